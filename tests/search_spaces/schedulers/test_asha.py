"""ASHA as a scheduler of Tune: its decisions, its events, and its state after a replay."""

import json
import math
from types import SimpleNamespace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from ray.tune.schedulers import TrialScheduler

from search_spaces.schedulers.asha import ASHA
from search_spaces.schedulers.expectation import expected
from search_spaces.schedulers.rungs import Rungs
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.space import Space
from search_spaces.trial_events import Decision, Ended, Promoted, Result
from tests.search_spaces.conftest import parameter, study_of


def asha(mode="max", *, rung_rule="top", grace_period=1, continues=True, **options):
    rungs = {"rung_rule": rung_rule, "grace_period": grace_period}
    scheduler = ASHA(max_epochs=27, **rungs, **options)
    study_of(scheduler=scheduler, mode=mode, continues=continues).check()
    return scheduler


def report(scheduler, trial, epoch, score):
    tunes = SimpleNamespace(custom_dirname=f"{trial:04d}")
    return scheduler.on_trial_result(None, tunes, {"epoch": epoch, "score": score})


def result(trial, epoch, score):
    return Result(trial=trial, epoch=epoch, metrics={"score": score})


def failed(trial, epoch, **rest):
    return Ended(trial=trial, epoch=epoch, status="failed", **rest)


def test_a_trial_continues_or_is_stopped_only_at_a_rung():
    scheduler = asha()
    assert report(scheduler, 0, 1, 0.5) == TrialScheduler.CONTINUE
    assert report(scheduler, 1, 1, 0.4) == TrialScheduler.STOP
    assert report(scheduler, 0, 2, 0.1) == TrialScheduler.CONTINUE
    assert report(scheduler, 0, 27, 0.1) == TrialScheduler.CONTINUE


def test_in_mode_min_the_lower_value_continues():
    scheduler = asha("min")
    assert report(scheduler, 0, 1, 0.5) == TrialScheduler.CONTINUE
    assert report(scheduler, 1, 1, 0.4) == TrialScheduler.CONTINUE
    assert report(scheduler, 2, 1, 0.6) == TrialScheduler.STOP


def test_every_decision_is_given_once_and_nothing_else():
    scheduler = asha()
    report(scheduler, 0, 1, 0.5)
    report(scheduler, 0, 2, 0.6)
    report(scheduler, 1, 1, 0.4)
    report(scheduler, 1, 1, 0.4)
    *decisions, end = scheduler.take_events()
    assert [(d.trial, d.rung, d.cutoff, d.stop) for d in decisions] == [
        (0, 1, 0.5, False),
        (1, 1, 0.5, True),
    ]
    assert end == Ended(trial=1, epoch=1, status="stopped", rung=1)
    assert scheduler.take_events() == []


def test_a_trial_whose_directory_tune_has_named_is_compared_too():
    scheduler = asha()
    for score, trial_id in ((0.5, "abc_00001"), (0.4, "abc_00002")):
        trial = SimpleNamespace(custom_dirname=None, trial_id=trial_id)
        scheduler.on_trial_result(None, trial, {"epoch": 1, "score": score})
    assert [decision.stop for decision in scheduler.take_events()[:2]] == [False, True]


events = st.lists(
    st.tuples(
        st.integers(0, 15), st.integers(1, 27), st.floats(0, 1, allow_nan=False), st.booleans()
    ),
    max_size=80,
)


rules = st.sampled_from(["promotion", "top", "ray"])


def lived(scheduler, happened):
    """Return a session as the recorder writes it to a journal."""
    journal, ended = [], set()
    for trial, epoch, score, fails in happened:
        if trial in ended:
            continue
        if fails:
            told = [failed(trial, epoch)]
        else:
            report(scheduler, trial, epoch, score)
            decided = scheduler.take_events()
            told = [result(trial, epoch, score), *decided]
        journal += told
        ended |= {event.trial for event in told if isinstance(event, Ended)}
        for event in told:
            scheduler.on_event(event, replay=False)
        promoted = scheduler.next_promotion()
        if promoted is not None:
            journal.append(promoted)
            scheduler.on_event(promoted, replay=False)
            ended.discard(promoted.trial)
    return journal


@given(events, st.sampled_from(["max", "min"]), rules)
def test_a_replay_leaves_the_rungs_of_the_live_study_and_nothing_to_write(happened, mode, rule):
    live, resumed = asha(mode, rung_rule=rule), asha(mode, rung_rule=rule)
    for event in lived(live, happened):
        resumed.on_event(event, replay=True)
    assert resumed.take_events() == []
    assert resumed.memory == live.memory
    assert resumed.next_promotion() == live.next_promotion()


@given(events, rules)
def test_a_journal_that_has_lost_its_last_lines_is_completed(happened, rule):
    """The consequences of a result are written with it; a disk may keep the result alone."""
    live = asha(rung_rule=rule)
    journal = lived(live, happened)
    last = max((at for at, event in enumerate(journal) if isinstance(event, Result)), default=0)
    lost = journal[last + 1 :]
    assume(lost and not any(isinstance(e, Promoted) or getattr(e, "blamed", False) for e in lost))
    resumed = asha(rung_rule=rule)
    for event in journal[: last + 1]:
        resumed.on_event(event, replay=True)
    assert resumed.take_events() == lost
    assert resumed.memory == live.memory


def test_the_last_result_of_a_finished_trial_enters_no_rung():
    scheduler = asha()
    for event in (result(0, 1, 0.5), Ended(trial=0, epoch=1, status="finished")):
        scheduler.on_event(event, replay=True)
    assert scheduler.take_events() == []
    assert not any(scheduler.memory.values.values())


def test_a_decision_in_the_journal_is_kept_on_replay():
    """An earlier version has decided otherwise of equal trials."""
    scheduler = asha(rung_rule="promotion")
    for trial in range(3):
        scheduler.on_event(result(trial, 1, 0.5), replay=True)
        decision = Decision(
            trial=trial, rung=1, value=0.5, cutoff=0.5, rank=1, of=trial + 1, stop=False
        )
        scheduler.on_event(decision, replay=True)
    assert scheduler.take_events() == []
    assert scheduler.next_promotion() is None


def test_a_blameless_failure_enters_no_rung():
    scheduler = asha()
    scheduler.on_event(failed(0, 1, blameless=True), replay=False)
    assert not any(scheduler.memory.values.values())
    scheduler.on_event(failed(1, 1), replay=False)
    assert scheduler.memory.values[1] == {1: -math.inf}


@pytest.mark.parametrize("rule", ["promotion", "top", "ray"])
def test_the_expectation_is_that_of_the_rule_in_use(rule):
    scheduler = asha(rung_rule=rule, grace_period=2, reduction_factor=4)
    rungs = Rungs(27, grace_period=2, reduction_factor=4, rule=rule)
    found = scheduler.expected(trials=16, concurrent=2, max_epochs=27)
    assert found == expected(rungs, trials=16, concurrent=2)
    assert not any(scheduler.memory.values.values()), "a simulation leaves no trace"


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
    promoted = scheduler.next_promotion()
    assert promoted.trial == 0
    assert scheduler.next_promotion() == promoted, "it is a question, and changes nothing"
    scheduler.on_event(promoted, replay=False)
    assert scheduler.next_promotion() is None


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
    scheduler = asha(rung_rule=asked, continues=there)
    assert scheduler.describe()["rung_rule"] == rule
    assert scheduler.promotes == (rule == "promotion")
    assert bool(scheduler.notes(64)) == (asked is None and not there)


def test_a_promotion_without_checkpoints_is_refused():
    with pytest.raises(ValueError, match=r"resume .* give --rung-rule top"):
        asha(rung_rule="promotion", continues=False)


def test_trials_are_not_compared_before_they_have_settled():
    warm_up = parameter("epochs_warmup", default=0, low=0, high=2)
    searcher = RandomSearch(Space("warm", (warm_up,)), seed=0)
    with pytest.raises(ValueError, match=r"--grace-period 1: the space allows 2 epochs of warm-up"):
        study_of(searcher, ASHA(max_epochs=27, grace_period=1)).check()
    study_of(searcher, ASHA(max_epochs=27, grace_period=2)).check()
    # Without a rung no trial is compared.
    study_of(searcher, ASHA(max_epochs=1, grace_period=1)).check()


def test_a_note_says_that_too_few_trials_may_leave_none_for_the_last_epoch():
    scheduler = asha(rung_rule="promotion")
    assert scheduler.notes(27) == []
    (note,) = scheduler.notes(26)
    assert "one in 27 trials" in note


def test_impossible_rungs_are_refused():
    with pytest.raises(ValueError, match="got 28"):
        ASHA(max_epochs=27, grace_period=28)


@pytest.mark.parametrize("audit", [-0.1, 1.01, float("nan"), float("inf")])
def test_an_audit_share_outside_0_to_1_is_refused(audit):
    with pytest.raises(ValueError, match=f"--audit must be a share from 0 to 1, got {audit:g}"):
        ASHA(max_epochs=27, audit=audit)


def test_an_audit_of_no_rungs_is_refused():
    with pytest.raises(ValueError, match=r"--audit 0\.1: no rung below the 9 epochs"):
        ASHA(max_epochs=9, grace_period=9, audit=0.1)


def test_trials_kept_for_an_audit_follow_from_seed_and_index_and_grow_with_the_share():
    def drawn(audit, seed=0):
        scheduler = asha(audit=audit, seed=seed)
        return {index for index in range(2000) if scheduler.keeps(index)}

    assert drawn(0.0) == set()
    assert drawn(1.0) == set(range(2000))
    assert 60 < len(drawn(0.05)) < 140
    assert drawn(0.05) < drawn(0.3)
    assert drawn(0.3) != drawn(0.3, seed=1)
    # Seed 1 is not seed 0, shifted.
    assert {index + 1 for index in drawn(0.3, seed=1)} != drawn(0.3)
