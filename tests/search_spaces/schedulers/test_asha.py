"""ASHA as a scheduler of Tune: what it answers, what it tells, and what it remembers."""

import json
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.tune.schedulers import TrialScheduler

from search_spaces.schedulers.asha import ASHA
from search_spaces.schedulers.expectation import expected
from search_spaces.schedulers.rungs import Rungs


def asha(mode="max", *, rung_rule="top", **options):
    scheduler = ASHA(max_epochs=27, rung_rule=rung_rule, **options)
    scheduler.trial_key = lambda trial: trial.index
    assert scheduler.set_search_properties("score", mode)
    return scheduler


def report(scheduler, trial, epoch, score, name="epoch"):
    result = {name: epoch, "score": score}
    return scheduler.on_trial_result(None, SimpleNamespace(index=trial), result)


def test_a_trial_goes_on_or_is_stopped_at_a_rung_only():
    scheduler = asha()
    assert report(scheduler, 0, 1, 0.5) == TrialScheduler.CONTINUE
    assert report(scheduler, 1, 1, 0.4) == TrialScheduler.STOP
    assert report(scheduler, 0, 2, 0.1) == TrialScheduler.CONTINUE
    assert report(scheduler, 0, 27, 0.1) == TrialScheduler.CONTINUE


def test_in_mode_min_the_lower_one_goes_on():
    scheduler = asha("min")
    assert report(scheduler, 0, 1, 0.5) == TrialScheduler.CONTINUE
    assert report(scheduler, 1, 1, 0.4) == TrialScheduler.CONTINUE
    assert report(scheduler, 2, 1, 0.6) == TrialScheduler.STOP


def test_every_decision_is_told_and_nothing_else():
    scheduler, told = asha(), []
    scheduler.on_decision = told.append
    report(scheduler, 0, 1, 0.5)
    report(scheduler, 0, 2, 0.6)
    report(scheduler, 1, 1, 0.4)
    report(scheduler, 1, 1, 0.4)
    assert [(d.trial, d.rung, d.cutoff, d.stop) for d in told] == [
        (0, 1, 0.5, False),
        (1, 1, 0.5, True),
    ]


def test_what_a_trial_reports_as_its_epoch_can_have_another_name():
    scheduler = asha(time_attr="round")
    report(scheduler, 0, 3, 0.5, name="round")
    assert scheduler.rungs.values == {1: {}, 3: {0: 0.5}, 9: {}}


def test_by_itself_it_names_trials_as_tune_does():
    scheduler, told = ASHA(max_epochs=3), []
    scheduler.set_search_properties("score", "max")
    scheduler.on_decision = told.append
    trial = SimpleNamespace(trial_id="abc_00001")
    scheduler.on_trial_result(None, trial, {"epoch": 1, "score": 0.5})
    assert told[0].trial == "abc_00001"


@pytest.mark.parametrize(("metric", "mode"), [(None, None), ("score", None), (None, "max")])
def test_without_metric_or_mode_it_says_so_and_stays_as_it_was(metric, mode):
    scheduler = asha("min")
    assert scheduler.set_search_properties(metric, mode) is False
    assert scheduler.rungs.mode == "min"
    assert report(scheduler, 0, 1, 0.5) == TrialScheduler.CONTINUE


events = st.lists(
    st.tuples(
        st.integers(0, 15), st.integers(1, 27), st.floats(0, 1, allow_nan=False), st.booleans()
    ),
    max_size=80,
)


@given(
    events,
    st.sampled_from(["max", "min"]),
    st.sampled_from(["promotion", "top", "ray"]),
    st.integers(0, 80),
)
def test_a_replay_leaves_the_rungs_of_the_live_study_and_the_same_decisions(
    happened, mode, rule, cut
):
    live, told = asha(mode, rung_rule=rule), []
    live.on_decision = told.append
    for trial, epoch, score, failed in happened:
        if failed:
            live.replay_failure(trial, epoch)
        else:
            report(live, trial, epoch, score)

    resumed, replayed = asha(mode, rung_rule=rule), []
    resumed.on_decision = replayed.append
    for trial, epoch, score, failed in happened[:cut]:
        if failed:
            resumed.replay_failure(trial, epoch)
        else:
            replayed += filter(None, [resumed.replay(trial, epoch, score)])
    for trial, epoch, score, failed in happened[cut:]:
        if failed:
            resumed.replay_failure(trial, epoch)
        else:
            report(resumed, trial, epoch, score)
    assert resumed.rungs == live.rungs
    assert replayed == told
    assert resumed.promotable() == live.promotable()


def test_a_replay_tells_nobody():
    scheduler, told = asha(), []
    scheduler.on_decision = told.append
    assert scheduler.replay(0, 1, 0.5) is not None
    assert told == []


@pytest.mark.parametrize("rule", ["promotion", "top", "ray"])
def test_the_expectation_is_that_of_the_rule_in_use(rule):
    scheduler = asha(rung_rule=rule, grace_period=2, reduction_factor=4)
    rungs = Rungs(27, grace_period=2, reduction_factor=4, rule=rule)
    found = scheduler.expected(trials=16, concurrent=2)
    assert found == expected(rungs, trials=16, concurrent=2)
    assert not any(scheduler.rungs.values.values()), "a simulation leaves no trace"


def test_the_strategy_is_plain_json():
    assert json.loads(json.dumps(ASHA(max_epochs=27, grace_period=2).describe())) == {
        "scheduler": "asha",
        "grace_period": 2,
        "reduction_factor": 3,
        "max_epochs": 27,
        "rung_rule": "promotion",
        "rungs": [2, 6, 18],
        "audit": 0.0,
    }


def test_a_trial_that_was_stopped_can_be_promoted_once():
    scheduler = asha(rung_rule="promotion")
    for trial, score in enumerate([0.5, 0.4, 0.3]):
        assert report(scheduler, trial, 1, score) == TrialScheduler.STOP
    assert scheduler.promotable().trial == 0
    scheduler.promote(0, 1)
    assert scheduler.promotable() is None


@pytest.mark.parametrize(
    ("asked", "there", "rule"),
    [
        (None, True, "promotion"),
        (None, False, "top"),
        ("promotion", True, "promotion"),
        ("top", True, "top"),
        ("top", False, "top"),
        ("ray", False, "ray"),
    ],
)
def test_without_checkpoints_trials_are_stopped_for_good(asked, there, rule):
    scheduler = asha(rung_rule=asked)
    scheduler.check_checkpoints(there)
    assert scheduler.rungs.rule == rule


def test_a_promotion_without_checkpoints_is_refused():
    with pytest.raises(ValueError, match=r"no checkpoint .* take --rung-rule top"):
        asha(rung_rule="promotion").check_checkpoints(False)


def test_impossible_rungs_are_refused():
    with pytest.raises(ValueError, match="got 28"):
        ASHA(max_epochs=27, grace_period=28)


@pytest.mark.parametrize("audit", [-0.1, 1.01, float("nan"), float("inf")])
def test_a_share_of_controls_that_is_none_is_refused(audit):
    with pytest.raises(ValueError, match=f"--audit must be a share from 0 to 1, got {audit:g}"):
        ASHA(max_epochs=27, audit=audit)


def test_an_audit_of_no_rungs_is_refused():
    with pytest.raises(ValueError, match=r"--audit 0\.1: no rung below the 9 epochs"):
        ASHA(max_epochs=9, grace_period=9, audit=0.1)


def test_who_is_a_control_follows_from_seed_and_index_and_grows_with_the_share():
    def drawn(audit, seed=0):
        scheduler = asha(audit=audit, seed=seed)
        return {index for index in range(2000) if scheduler.is_control(index)}

    assert drawn(0.0) == set()
    assert drawn(1.0) == set(range(2000))
    assert 60 < len(drawn(0.05)) < 140
    assert drawn(0.05) < drawn(0.3)
    assert drawn(0.3) != drawn(0.3, seed=1)
    # Seed 1 is not seed 0, shifted.
    assert {index + 1 for index in drawn(0.3, seed=1)} != drawn(0.3)


def test_what_has_no_name_is_compared_with_nobody():
    scheduler, told = asha(), []
    scheduler.on_decision = told.append
    report(scheduler, 0, 1, 0.5)
    before = {rung: dict(reached) for rung, reached in scheduler.rungs.values.items()}
    for epoch in range(1, 28):
        assert report(scheduler, None, epoch, 0.1) == TrialScheduler.CONTINUE
    assert scheduler.rungs.values == before
    assert len(told) == 1
