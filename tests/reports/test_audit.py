"""The audit of a study, from its journal alone."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces.objective import Objective
from tests.conftest import ROOT
from tests.journals import state_of, trials_from, typed
from tests.studies import about
from tune_cluster.reports.audit import audit, audit_lines, audit_of, continuations

ASHA = {"reduction_factor": 3, "max_epochs": 9, "grace_period": 1, "rungs": [1, 3]}


def suggested(index):
    return {"event": "suggested", "trial": index, "config": {}}


def lived(index, values, status, rung=None, control=None, blameless=False):
    """The events of one trial; `control`: how it ended as one, at the last of `values`."""
    own = values if rung is None else values[:rung]
    events = [suggested(index)]
    for epoch, value in enumerate(values, start=1):
        kind = "result" if epoch <= len(own) else "control"
        metrics = {"score": value}
        events.append({"event": kind, "trial": index, "epoch": epoch, "metrics": metrics})
    end = {"event": "ended", "trial": index, "status": status, "epoch": len(own)}
    if rung is not None:
        end["rung"] = rung
        end["control"] = control is not None
    events.insert(1 + len(own), end)
    if control is not None and control != "running":
        end = {"trial": index, "status": control, "blameless": blameless, "epoch": len(values)}
        events.append({"event": "control_ended", **end})
    return events


def population(rng, trials=64, share=1.0, noise=0.3):
    """Trials under ASHA whose curves rise to their quality; all of them, and their events."""
    quality = rng.permutation(trials) / trials
    epochs = np.arange(1, 10)
    curves = quality[:, None] * (1 - 0.5**epochs) + noise * rng.normal(size=(trials, 9)) / epochs
    reached, events = {1: [], 3: []}, []
    for index, curve in enumerate(curves.tolist()):
        stopped = None
        for rung, values in reached.items():
            if stopped is None:
                values.append(curve[rung - 1])
                if sum(v > curve[rung - 1] for v in values) >= max(1, len(values) // 3):
                    stopped = rung
        if stopped is None:
            events += lived(index, curve, "finished")
        elif rng.random() < share:
            events += lived(index, curve, "stopped", stopped, "finished")
        else:
            events += lived(index, curve[:stopped], "stopped", stopped)
    return curves, events


def audited(events, mode="max", asha=ASHA):
    """The form of an earlier version, in one study."""
    objective = Objective("score", mode)
    return audit_of(state_of(events, objective), asha, continuations(map(typed, events)))


@given(st.integers(0, 10_000))
@settings(max_examples=25)
def test_with_every_stopped_trial_as_a_control_an_audit_knows_the_exact_counts(seed):
    curves, events = population(np.random.default_rng(seed), trials=40)
    found = audited(events)
    trials = trials_from(events)
    best = np.argsort(-curves.max(axis=1))[: found["top"]]
    killed = sum(trials[index].status == "stopped" for index in best)
    assert found["killed"] == {"estimate": pytest.approx(killed), "low": killed, "high": killed}
    assert found["stopped"] == found["controls"]
    epochs = found["epochs"]
    assert epochs["saved"] == epochs["controls"]
    assert epochs["run"] + epochs["saved"] == 40 * 9
    json.dumps(found, allow_nan=False)
    assert all(name and text for name, text in audit_lines(found))


def test_mode_min_of_negated_values_equals_mode_max():
    _, events = population(np.random.default_rng(1))
    turned = json.loads(json.dumps(events))
    for event in turned:
        if "metrics" in event:
            event["metrics"]["score"] *= -1
    assert audited(turned, mode="min") == audited(events)


def test_curves_that_never_cross_correlate_perfectly_and_lose_no_trial():
    _, events = population(np.random.default_rng(0), noise=0.0)
    found = audited(events)
    for at in found["rank_correlation"]:
        assert (at["value"], at["low"], at["high"]) == pytest.approx((1, 1, 1))
    assert found["grace_period"]["advised"] == 1
    assert dict(audit_lines(found))["grace period"].endswith("leave it")


@pytest.mark.parametrize(("left_out", "now"), [([], 1), ([1], 3), ([1, 3], 9)])
def test_the_grace_period_of_an_adaptive_study_is_its_lowest_rung_in_use(left_out, now):
    _, events = population(np.random.default_rng(0))
    judged = {"event": "rung_judged", "next": 9, "pairs": 6, "agreement": 0.5, "used": False}
    events += [{**judged, "rung": rung} for rung in left_out]
    found = audited(events, asha={**ASHA, "grace_period": None})
    assert found["grace_period"]["now"] == now
    assert dict(audit_lines(found))["grace period"]


def test_an_uninformative_first_epoch_is_reported_with_a_longer_grace_period():
    _, events = population(np.random.default_rng(0))
    shuffled = np.random.default_rng(1).permutation(64) / 1e6
    for event in events:
        if event["event"] == "result" and event["epoch"] == 1:
            event["metrics"]["score"] = shuffled[event["trial"]]
    found = audited(events)
    first, _ = found["rank_correlation"]
    assert first["low"] < 0 < first["high"]
    assert found["grace_period"]["advised"] > 1
    line = dict(audit_lines(found))["grace period"]
    assert line.startswith(f"{found['grace_period']['advised']} is advised: it keeps")
    assert "epochs instead of" in line


def test_a_share_of_controls_represents_all_stopped_trials():
    covered = 0
    for seed in range(20):
        curves, events = population(np.random.default_rng(seed), share=0.5)
        found, trials = audited(events), trials_from(events)
        best = np.argsort(-curves.max(axis=1))[: found["top"]]
        killed = sum(trials[index].status == "stopped" for index in best)
        covered += found["killed"]["low"] <= killed <= found["killed"]["high"]
    assert covered >= 19


@pytest.mark.parametrize(("controls", "enough"), [(29, False), (30, True)])
def test_a_grace_period_is_advised_from_30_controls_on(controls, enough):
    curve = [0.1 * epoch for epoch in range(1, 10)]
    events = lived(0, curve, "finished")
    for index in range(1, controls + 1):
        events += lived(index, [v / (index + 1) for v in curve], "stopped", 1, "finished")
    advice = audited(events)["grace_period"]
    assert ("advised" in advice) is enough
    if not enough:
        assert advice == {"too_few": "too few: 29 controls, 30 are needed"}


def test_a_control_is_worth_its_best_epoch_before_or_after_the_rung_and_a_failed_one_too():
    events = lived(0, [0.5] * 9, "finished")
    events += lived(1, [0.6, 0.1], "stopped", 1, "diverged")
    assert audited(events)["killed"]["estimate"] == 1
    events += lived(2, [0.1, 0.7], "diverged")
    found = audited(events)
    assert found["top"] == 2
    assert found["killed"]["estimate"] == 1


def test_a_control_that_is_blameless_or_still_runs_does_not_count():
    events = lived(0, [0.5] * 9, "finished")
    events += lived(1, [0.1, 0.9], "stopped", 1, "failed", blameless=True)
    events += lived(2, [0.1, 0.9], "stopped", 1, "running")
    events += lived(3, [0.1], "stopped", 1)
    found = audited(events)
    assert (found["controls"], found["controls_lost"], found["controls_left"]) == (0, 1, 1)
    assert found["killed"] is None
    lines = dict(audit_lines(found))
    assert lines["controls"] == (
        "0 of 3 stopped trials were finished, 1 are still to be, 1 were lost"
    )
    assert "no control has ended" in lines["rungs killed"]


@pytest.mark.parametrize(
    "events",
    [[], [suggested(0)], lived(0, [0.5], "stopped", 1, "finished"), lived(0, [], "failed")],
)
def test_a_nearly_empty_study_is_audited(events):
    found = audited(events)
    assert all(at["too_few"].startswith("too few") for at in found["rank_correlation"])
    assert dict(audit_lines(found))["rungs killed"].startswith("not known")
    json.dumps(found, allow_nan=False)


def test_an_audit_leaves_the_records_of_trials_unchanged():
    events = [suggested(0), *lived(0, [0.5], "finished")[1:]]
    state = state_of(events)
    audit_of(state, ASHA, continuations(map(typed, events)))
    assert state.trials == state_of(events).trials


def stored(folder, events, **said):
    """A stored study."""
    folder.mkdir()
    (folder / "journal.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    (folder / "study.json").write_text(json.dumps(about(**said)))


def apart(events):
    """Split a study of an earlier version in two: the study, and the one that audits it."""
    first = [event for event in events if not event["event"].startswith("control")]
    second, indices = [], {}
    for event in (event for event in events if event["event"].startswith("control")):
        trial = indices.setdefault(event["trial"], len(indices))
        kind = {"control": "result", "control_ended": "ended"}[event["event"]]
        if not any(known["trial"] == trial for known in second):
            rung = event["epoch"] - 1
            second.append({**suggested(trial), "origin": event["trial"], "start_epoch": rung})
        second.append({**event, "event": kind, "trial": trial})
    return [{k: v for k, v in event.items() if k != "control"} for event in first], second


def test_a_study_and_its_audit_study_report_what_one_study_of_an_earlier_version_does(tmp_path):
    _, events = population(np.random.default_rng(0), share=0.5)
    first, second = apart(events)
    wanted = audited(events)
    stored(tmp_path / "first", first, strategy=ASHA)
    alone = audit(str(tmp_path / "first"))
    assert (alone["stopped"], alone["controls"]) == (wanted["stopped"], 0)
    flags = {**about()["flags"], "trials": wanted["controls"] + 2}
    audits = {"study": "first", "share": 0.5}
    stored(tmp_path / "first-audit", second, flags=flags, audits=audits)
    for name in ("first", "first-audit"):
        assert audit(str(tmp_path / name)) == {**wanted, "controls_left": 2}


def test_the_audit_study_finishes_the_controls_of_a_study_of_an_earlier_version(tmp_path):
    whole = lived(0, [0.5] * 9, "finished")
    for index in (1, 2):
        whole += lived(index, [0.1 * index] * 9, "stopped", 1, "finished")
    # Trial 1 was killed in its eighth epoch, and trial 2 never began.
    cut = [e for e in whole if not (e["event"].startswith("control") and e["trial"] == 2)]
    cut = [e for e in cut if not (e["event"].startswith("control") and e["epoch"] > 7)]
    found = audited(cut)
    assert (found["controls"], found["controls_left"]) == (0, 2)
    stored(tmp_path / "old", cut, strategy=ASHA)
    flags = {**about()["flags"], "trials": 2}
    audits = {"study": "old", "share": 1.0}
    stored(tmp_path / "old-audit", apart(whole)[1], flags=flags, audits=audits)
    assert audit(str(tmp_path / "old")) == audited(whole)


def run(*arguments):
    command = [sys.executable, "-m", "tune_cluster", "audit", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_audit_command_prints_the_audit_or_names_what_is_missing(tmp_path):
    _, events = population(np.random.default_rng(0))
    study = tmp_path / "study"
    stored(study, events, strategy=ASHA)
    done = run(study)
    assert done.returncode == 0, done.stderr
    assert [line.split("  ")[0] for line in done.stdout.splitlines()] == [
        *("controls", "rungs killed", "rung 1", "rung 3", "epochs saved", "grace period")
    ]
    (study / "study.json").write_text(json.dumps(about()))
    for arguments, said in (
        ((study,), "no rungs"),
        ((study, "--share", "0.5"), "no rungs"),
        ((study, "--share", "0"), "--share must be above 0"),
        ((study, "--share", "x"), "--share"),
        ((study, "--trials", "3"), "--trials"),
        ((), "STUDY is missing"),
        (("x",), "no study"),
        (("x", "--share", "0.5"), "no study"),
    ):
        done = run(*arguments)
        assert done.returncode == 2
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1
