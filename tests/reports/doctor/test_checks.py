"""Each check of the doctor on a made-up study that triggers it, and on one that does not."""

import pytest

from tests.reports.made_up import BATCH, RATE, spread, study, trial
from tune_cluster.reports.doctor.checks import examined


def verdicts(stored):
    """Return the worst verdict of each check."""
    found = {}
    for one in examined(stored):
        found[one.check] = max(one.verdict, found.get(one.check, "pass"), key=ORDER.index)
    return found


ORDER = ("pass", "warn", "fail")

LATE = {"score": lambda epoch: 0.5 + 0.03 * epoch}
NOTICE = "THIS STUDY RUNS ON DIGITS, NOT ON FASHION_MNIST, which is not available:"
DATA = {"name": "digits", "source": "", "notice": NOTICE, "fingerprint": ""}
HIDDEN = {"val_accuracy": lambda _: 0.95, "val_recall": lambda _: 0.5}


def noisy(at):
    """Return late values that differ by as much as the whole rise."""
    return {"score": lambda epoch: 0.5 + 0.2 * ((epoch * (at + 3)) % 2)}


FAULTS = {
    "a best rate at the upper end": ("boundary", "fail", lambda: spread(best=0.1), {}),
    "a best rate at the lower end": ("boundary", "fail", lambda: spread(best=1e-4), {}),
    "many failed": (
        "infeasible",
        "warn",
        lambda: [*spread(12), *(trial(0.1, "failed", 1, 0.01, reason="bug") for _ in range(5))],
        {},
    ),
    "most failed": (
        "infeasible",
        "fail",
        lambda: [*spread(5), *(trial(0.1, "failed", 1, 0.01, reason="bug") for _ in range(9))],
        {},
    ),
    "high rates diverge": (
        "divergence edge",
        "warn",
        lambda: [
            *spread(14, best=0.03, high=0.03),
            *(trial(0.1, "diverged", 1, 0.04 + at / 100) for at in range(5)),
        ],
        {},
    ),
    "overfitting": (
        "overfitting",
        "warn",
        lambda: spread(val_loss=lambda epoch: 0.5 + 0.05 * epoch),
        {},
    ),
    "late variance": (
        "late variance",
        "warn",
        lambda: [trial(rate=0.001 * (at + 1), **noisy(at % 2 * 2)) for at in range(12)],
        {},
    ),
    "a training loss that rises": (
        "training loss",
        "fail",
        lambda: spread(train_loss=lambda epoch: 1 + epoch / 10),
        {},
    ),
    "best in the first epochs": (
        "best epoch",
        "warn",
        lambda: spread(score=lambda epoch: 0.9 - epoch / 50),
        {},
    ),
    "still improving at the end": ("best epoch", "warn", lambda: spread(**LATE), {}),
    "a rung that does not rank": (
        "ranks",
        "warn",
        lambda: [
            trial(
                rate=0.001 * (at + 1),
                score=lambda epoch, at=at: (-at if epoch < 4 else at) / 100,
            )
            for at in range(12)
        ],
        {"rungs": (1,)},
    ),
    "few trials": ("trials", "warn", lambda: spread(6), {}),
    "a best that came last": (
        "course",
        "warn",
        lambda: [trial(0.5 + at / 50, rate=0.001 * (at + 1)) for at in range(14)],
        {"in_order": True},
    ),
    "batch sizes at one rate": (
        "batch size",
        "warn",
        lambda: [trial(batch=size) for size in (32, 64, 128) for _ in range(2)],
        {"parameters": (BATCH,)},
    ),
    "trials that differ by chance": (
        "noise",
        "warn",
        lambda: [trial(0.5 + at / 1e5, rate=0.01) for at in range(12)],
        {},
    ),
    "epochs that were trained twice": ("retries", "warn", spread, {"trained_twice": range(4)}),
    "another dataset": ("dataset", "fail", spread, {"dataset": DATA}),
    "a metric that hides a small class": (
        "imbalance",
        "fail",
        lambda: spread(**HIDDEN),
        {"metric": "val_accuracy"},
    ),
}


@pytest.mark.parametrize(("check", "verdict", "trials", "more"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_found_with_evidence_rule_and_advice(tmp_path, check, verdict, trials, more):
    stored = study(tmp_path, trials(), **more)
    assert verdicts(stored)[check] == verdict
    (found,) = (one for one in examined(stored) if one.check == check and one.verdict == verdict)
    assert any(map(str.isdigit, found.evidence)) or check in ("dataset", "batch size")
    assert found.rule
    assert found.advice or check in ("divergence edge",)


def test_a_healthy_study_has_no_fault(tmp_path):
    assert set(verdicts(study(tmp_path, spread(40))).values()) == {"pass"}


def test_a_best_value_at_a_boundary_advises_a_range_that_has_it_inside(tmp_path):
    stored = study(tmp_path, spread(best=0.1))
    (found,) = (one for one in examined(stored) if one.check == "boundary")
    (advice,) = found.advice
    (text,) = advice.search
    assert text == "learning_rate=log:0.0003162:1"


def test_a_range_under_a_condition_is_judged_by_the_trials_that_have_it(tmp_path):
    rates = [
        {**RATE, "low": 1e-4, "high": 1.0, "condition": {"optimizer": ["sgd"]}},
        {**RATE, "condition": {"optimizer": ["adam"]}},
    ]
    # Adam's best are in the middle of its own range; only SGD's lie at an end.
    trials = [
        {**one, "config": {**one["config"], "optimizer": name}}
        for name, best in (("sgd", 1.0), ("adam", 3e-3))
        for one in spread(20, best=best, high=1.0 if name == "sgd" else 0.1)
    ]
    found = [one for one in examined(study(tmp_path, trials, parameters=rates)) if one.advice]
    texts = [text for one in found for advice in one.advice for text in advice.search]
    assert texts == ["learning_rate=log:0.0003162:10 if optimizer=sgd"]


def test_a_natural_limit_of_a_value_is_no_boundary(tmp_path):
    dropout = {"name": "dropout", "low": 0.0, "high": 0.5, "scale": "linear", "integer": False}
    trials = [
        {**trial(0.9 - at / 40), "config": {"dropout": 0.5 * (at + 0.5) / 20}} for at in range(20)
    ]
    found = verdicts(study(tmp_path, trials, parameters=(dropout,)))
    assert found["boundary"] == "pass"


def test_a_study_without_trials_and_one_without_values_are_examined(tmp_path):
    for number, trials in enumerate(([], [trial(epochs=0, status="failed", reason="bug")])):
        found = verdicts(study(tmp_path / str(number), trials, parameters=(RATE,)))
        assert found["boundary"] == "pass"
