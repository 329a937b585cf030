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


def huge(_):
    """Return a training loss that an epoch later would be infinite."""
    return 1e9


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
    "high rates explode": (
        "divergence edge",
        "warn",
        lambda: [
            *spread(14, best=0.03, high=0.03),
            *(trial(0.1, "stopped", 1, 0.04 + at / 100, train_loss=huge) for at in range(5)),
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
    "a rung that stops what comes later": (
        "stopped trials",
        "warn",
        lambda: [
            *(
                trial(rate=0.001 * (at + 1), score=lambda e, at=at: at * 7 % 8 if e > 2 else at)
                for at in range(8)
            ),
            *(
                trial(0.0, "stopped", 1, 0.01, rung=1, score=lambda _, at=at: at / 12)
                for at in range(12)
            ),
        ],
        {"rungs": (1,)},
    ),
    "a rate from which on most diverge": (
        "infeasible",
        "fail",
        lambda: [
            *spread(6, best=1e-3, high=0.01),
            *(trial(0.1, "diverged", 1, 0.04 + at / 100) for at in range(8)),
        ],
        {},
    ),
    "most explode": (
        "infeasible",
        "fail",
        lambda: [
            *spread(8, best=1e-3, high=0.01),
            *(trial(0.1, "stopped", 1, 0.04 + at / 100, train_loss=huge) for at in range(12)),
        ],
        {},
    ),
    "three epochs that still improve": ("best epoch", "warn", lambda: spread(epochs=3, **LATE), {}),
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
    "processes that were killed": ("retries", "warn", spread, {"killed": range(10)}),
    "samples in two parts": (
        "leakage",
        "warn",
        spread,
        {"leakage": {"validation in training": 0.02, "test in training": 0.0}},
    ),
    "many samples in two parts": (
        "leakage",
        "fail",
        spread,
        {"leakage": {"validation in training": 0.0, "test in training": 0.4}},
    ),
    "places that wait": ("waiting", "warn", spread, {"together": 4}),
    "GPUs that no trial was given": ("gpus", "warn", spread, {"cluster_gpus": 2.0}),
    "GPUs that wait": (
        "gpus",
        "warn",
        spread,
        {"cluster_gpus": 4.0, "flags": {"storage_path": "", "gpus_per_trial": 1.0}},
    ),
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


HEALTHY = {
    "alone": {},
    "with rungs that rank": {"rungs": (1, 3)},
    "with a share of copies that is chance": {"leakage": {"validation in training": 0.005}},
    "with its GPU in use": {
        "cluster_gpus": 1.0,
        "flags": {"storage_path": "", "gpus_per_trial": 1.0},
    },
    "with a process that was killed once": {"killed": (3,)},
    "with one epoch in twenty trained twice": {"trained_twice": (3, 4)},
}


@pytest.mark.parametrize("more", HEALTHY.values(), ids=HEALTHY)
def test_a_healthy_study_has_no_fault(tmp_path, more):
    assert set(verdicts(study(tmp_path, spread(40), **more)).values()) == {"pass"}


def test_rungs_that_rank_have_stopped_nothing_that_comes_later(tmp_path):
    stopped = [trial(0.1, "stopped", 1, 0.01, rung=1, score=lambda _: 0.1) for _ in range(20)]
    assert (
        verdicts(study(tmp_path, [*spread(20), *stopped], rungs=(1,)))["stopped trials"] == "pass"
    )


def test_trials_far_below_all_that_ran_on_count_as_stopped_rightly(tmp_path):
    """The six that ran on have reached what there is to reach: their order says nothing."""
    whole = [
        trial(rate=0.01, score=lambda e, at=at: 0.98 + (5 - at) / 1e3 if e > 3 else 0.6 + at / 50)
        for at in range(6)
    ]
    stopped = [trial(0.1, "stopped", 1, 0.01, rung=1, score=lambda _: 0.1) for _ in range(30)]
    found = verdicts(study(tmp_path, [*whole, *stopped], rungs=(1,)))
    assert found["stopped trials"] == "pass"


def test_a_rung_that_has_left_few_values_apart_is_not_blamed_for_their_order(tmp_path):
    """The eight that ran on are close together, and the rung has ordered all others rightly."""
    close = [
        trial(rate=0.01, score=lambda epoch, at=at: 0.8 + (at * 3 % 8 if epoch > 2 else at) / 1e3)
        for at in range(8)
    ]
    stopped = [
        trial(0.1, "stopped", 1, 0.01, rung=1, score=lambda _, at=at: at / 60) for at in range(40)
    ]
    assert verdicts(study(tmp_path, [*close, *stopped], rungs=(1,)))["ranks"] == "pass"


def test_the_rise_of_a_loss_that_has_fallen_to_almost_nothing_is_no_overfitting(tmp_path):
    losses = [2.3, 0.8, 0.1, 0.02, 0.021, 0.022, 0.022, 0.023, 0.024, 0.024, 0.025, 0.026]
    trials = spread(20, val_loss=lambda epoch: losses[epoch - 1])
    assert verdicts(study(tmp_path, trials))["overfitting"] == "pass"


def test_one_late_epoch_above_the_lowest_of_many_is_no_overfitting(tmp_path):
    losses = [2.3, 0.8, 0.2, 0.15, 0.16, 0.12, 0.15, 0.14, 0.16, 0.14, 0.13, 0.3]
    trials = spread(20, val_loss=lambda epoch: losses[epoch - 1])
    assert verdicts(study(tmp_path, trials))["overfitting"] == "pass"


def test_the_first_of_many_equal_trials_are_no_better_than_the_others(tmp_path):
    """Accuracies of few samples: the two with the lowest index are at the end of the range."""
    rates = [1.1e-4, 1.2e-4, *(1e-3 * (at + 1) for at in range(8))]
    trials = [trial(rate=rate, score=lambda _: 1.0) for rate in rates]
    trials += [trial(rate=0.01, score=lambda _: 0.5) for _ in range(5)]
    found = verdicts(study(tmp_path, trials, in_order=True))
    assert found["boundary"] == "pass"


def test_nine_epochs_that_are_flat_from_the_seventh_are_enough(tmp_path):
    changed = {"epochs": 9, "score": lambda epoch: 0.5 + 0.05 * min(epoch, 7)}
    assert verdicts(study(tmp_path, spread(**changed)))["best epoch"] == "pass"


def test_a_study_that_its_budget_has_ended_is_given_a_larger_one(tmp_path):
    trials = [trial(0.5 + at / 50, rate=0.001 * (at + 1)) for at in range(14)]
    flags = {"storage_path": "", "epoch_budget": 100}
    stored = study(tmp_path, trials, in_order=True, flags=flags)
    (found,) = (one for one in examined(stored) if one.check == "course")
    assert [advice.flags for advice in found.advice] == [(("--epoch-budget", "200"),)]


def test_the_best_trials_own_last_epochs_ask_for_no_more_trials(tmp_path):
    long = trial(rate=0.01, epochs=100, score=lambda epoch: 0.9 + 0.002 * epoch)
    for status, verdict in (("finished", "pass"), ("stopped", "warn")):
        trials = [*spread(20), {**long, "status": status}]
        found = verdicts(study(tmp_path / status, trials, in_order=True))
        assert found["course"] == verdict


def test_trials_that_rungs_have_stopped_ask_for_no_more_epochs(tmp_path):
    for status, verdict in (("finished", "warn"), ("stopped", "pass")):
        trials = [{**one, "status": status} for one in spread(**LATE)]
        assert verdicts(study(tmp_path / status, trials))["best epoch"] == verdict


def test_a_study_that_goes_on_is_not_short_of_trials_that_are_planned(tmp_path):
    flags = {"storage_path": "", "trials": 20}
    (found,) = (
        one
        for one in examined(study(tmp_path / "on", spread(6), flags=flags))
        if one.check == "trials"
    )
    assert (found.verdict, found.advice) == ("pass", ())
    assert "of 20 planned" in found.evidence
    failed = [trial(0.1, "failed", 0, 0.01, reason="bug") for _ in range(14)]
    few = [*spread(6), *failed]
    (found,) = (
        one
        for one in examined(study(tmp_path / "over", few, flags=flags))
        if one.check == "trials" and one.verdict == "warn"
    )
    assert int(found.advice[0].flags[0][1]) > 20


def test_rates_that_diverge_are_left_out_of_the_next_search(tmp_path):
    _, _, trials, _ = FAULTS["a rate from which on most diverge"]
    found = [one for one in examined(study(tmp_path, trials())) if one.check == "infeasible"]
    assert [advice.search for one in found for advice in one.advice] == [
        ("learning_rate=log:0.0001:0.04",)
    ]


def test_two_trials_within_noise_are_not_decided_and_others_are(tmp_path):
    for name, values, sure in (("close", (0.9, 0.9001), False), ("apart", (0.9, 0.8), True)):
        stored = study(tmp_path / name, [trial(value, rate=0.01) for value in values])
        (found,) = (one for one in examined(stored) if one.check == "decision")
        assert dict(found.numbers)["decided"] is sure


def test_no_more_trials_are_advised_where_all_fail(tmp_path):
    failed = [trial(None, "failed", 0, rate=0.01, reason="no") for _ in range(4)]
    found = {one.check: one for one in examined(study(tmp_path, failed))}
    assert (found["trials"].verdict, found["infeasible"].verdict) == ("pass", "fail")


CURVES = ("overfitting", "late variance", "training loss")


def test_curves_without_a_training_loss_are_not_judged_by_it(tmp_path):
    made = [trial(rate=0.01, train_loss=lambda epoch: None) for _ in range(4)]
    found = {one.check: one for one in examined(study(tmp_path, made))}
    judged = {name: "not judged" not in found[name].evidence for name in CURVES}
    assert judged == {"overfitting": False, "late variance": True, "training loss": False}


def test_the_best_is_compared_with_trials_that_ran_as_far(tmp_path):
    stopped = trial(0.8999, "stopped", 2, rate=0.01)
    for name, others, sure in (("alone", [], None), ("far", [trial(0.8, rate=0.01)], True)):
        stored = study(tmp_path / name, [trial(0.9, rate=0.01), stopped, *others])
        (found,) = (one for one in examined(stored) if one.check == "decision")
        assert dict(found.numbers)["decided"] is sure


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
