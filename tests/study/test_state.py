"""State of a study by its events, and their valid order."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.objective import Objective
from tests.journals import SCORE, Happens, typed
from tune_cluster.study.state import StudyState


def event(kind, trial=0, **rest):
    return {"event": kind, "trial": trial, **rest}


SUGGESTED = event("suggested", config={})
STOPPED = event("ended", status="stopped", rung=1, epoch=1)
PROMOTED = event("promoted", rung=1)
JUDGED = {"event": "rung_judged", "rung": 1, "next": 3, "pairs": 6, "agreement": 0.5, "used": False}


def result(epoch, kind="result", trial=0, score=None):
    return event(kind, trial, epoch=epoch, metrics={"score": score})


def state_after(events):
    return StudyState(SCORE, map(typed, events))


@pytest.mark.parametrize(
    ("before", "then", "said"),
    [
        ([], event("started"), "trial 0 has not been suggested"),
        ([SUGGESTED], event("suggested", 2), "trial 2 is suggested where trial 1 is next"),
        ([SUGGESTED], SUGGESTED, "trial 0 is suggested where trial 1 is next"),
        ([SUGGESTED], event("exploited", donor=999), "trial 999 has not been suggested"),
        ([SUGGESTED, result(2)], result(1), "epoch 1 comes after epoch 2"),
        ([SUGGESTED, result(2)], result(2), "epoch 2 comes after epoch 2"),
        ([SUGGESTED, result(1)], event("decision", rung=3), "no result of its rung, epoch 3"),
        ([SUGGESTED], STOPPED, "no result of its last epoch, 1"),
        ([SUGGESTED, result(1), STOPPED], STOPPED, "has ended before"),
        ([SUGGESTED, result(1), STOPPED], result(2), "has ended before"),
        ([SUGGESTED, result(1), STOPPED], event("started"), "has ended before"),
        ([SUGGESTED, result(1)], PROMOTED, "was not stopped at rung 1"),
        ([SUGGESTED, result(1), STOPPED], event("promoted", rung=3), "was not stopped at rung 3"),
        ([JUDGED], {**JUDGED, "used": True}, "rung 1 was judged before"),
    ],
)
def test_an_event_that_cannot_follow_is_refused_and_leaves_the_state_unchanged(before, then, said):
    state = state_after(before)
    for _ in range(2):
        with pytest.raises(ValueError, match=said):
            state.apply(typed(then))


@pytest.mark.parametrize(
    "events",
    [
        # A report every second epoch.
        [SUGGESTED, result(2), result(4), event("ended", status="finished", epoch=4)],
        [SUGGESTED, result(1), STOPPED, PROMOTED, result(2), event("ended", status="failed")],
        [SUGGESTED, result(1), STOPPED, event("control_started"), result(2, "control")],
        [SUGGESTED, event("ended", status="diverged", epoch=1)],
        # A stop of which power was lost: its decision is written by the next session.
        [SUGGESTED, result(1), STOPPED, event("decision", rung=1)],
        [{"event": "session"}, {"event": "closed"}, {"event": "session"}],
        [JUDGED, {**JUDGED, "rung": 3, "next": 9, "used": True}],
    ],
)
def test_events_in_the_order_of_a_driver_are_accepted(events):
    state_after(events)


def trials_after(events):
    study = Happens()
    for one in events:
        study.tell(one)
    return study.trials


def test_trials_are_told_from_events():
    trials = trials_after(
        [
            {"event": "session"},
            event("suggested", 0, config={"a": 1}),
            event("suggested", 1, config={"a": 2}),
            event("suggested", 2, config={"a": 3}),
            event("started", 0),
            event("result", 0, epoch=1, metrics={"m": 0.5}),
            event("started", 1),
            event("ended", 0, status="stopped", rung=1, epoch=1),
            event("ended", 1, status="failed", epoch=1, reason="why"),
        ]
    )
    assert [trials[i].status for i in range(3)] == ["stopped", "failed", "pending"]
    assert trials[0].results == {1: {"m": 0.5}}
    assert (trials[0].rung, trials[1].reason) == (1, "why")
    assert [trials[i].ended for i in range(3)] == [True, True, False]


def test_a_promoted_trial_has_not_ended_until_it_ends_again():
    events = [
        event("suggested", 0, config={}),
        event("started", 0),
        event("result", 0, epoch=1, metrics={"m": 0.5}),
        event("ended", 0, status="stopped", rung=1, epoch=1),
        event("promoted", 0, rung=1, value=0.5, rank=1, of=3),
        event("result", 0, epoch=2, metrics={"m": 0.6}),
        event("ended", 0, status="finished", epoch=2),
    ]
    seen = [trials_after(events[:count])[0] for count in (4, 5, 7)]
    assert [(t.status, t.rung, t.ended) for t in seen] == [
        ("stopped", 1, True),
        ("running", None, False),
        ("finished", None, True),
    ]
    assert seen[-1].results == {1: {"m": 0.5}, 2: {"m": 0.6}}


@pytest.mark.parametrize(("mode", "best"), [("max", (0, 2, 0.9)), ("min", (2, 2, 0.1))])
def test_the_best_is_at_any_epoch_and_the_first_of_equals(mode, best):
    study = Happens(objective=Objective("score", mode))
    values = {1: [0.9, 0.2], 0: [0.5, 0.9, 0.9], 2: [0.5, 0.1, None], 3: [0.1]}
    assert study.state.best is None
    for trial, scores in values.items():
        for epoch, score in enumerate(scores, start=1):
            study.tell(result(epoch, trial=trial, score=score))
    found = study.state.best
    assert found is not None
    assert (found.trial.index, found.epoch, found.value) == best


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["result", "result", "lost", "end", "fail", "promote"]),
            st.integers(0, 4),
            st.sampled_from([0.1, 0.2, 0.3, None]),
        )
    ),
    st.sampled_from(["max", "min"]),
)
def test_the_running_counts_and_the_best_equal_those_counted_from_all_trials(happened, mode):
    study = Happens(objective=Objective("score", mode))
    for what, index, score in happened:
        study.suggest(index)
        trial = study.trials[index]
        if what == "promote" and trial.status == "stopped":
            study.tell({**PROMOTED, "trial": index, "value": 0, "rank": 1, "of": 1})
        elif what == "lost" and trial.epochs:
            first = max(1, trial.epochs - 1)
            lost = {"event": "epochs_lost", "trial": index, "first": first, "last": trial.epochs}
            study.tell(lost)
        elif what == "result" and not trial.ended:
            study.tell(result(trial.epochs + 1, trial=index, score=score))
        elif what == "end" and not trial.ended and trial.epochs:
            study.tell(event("ended", index, status="stopped", epoch=trial.epochs, rung=1))
        elif what == "fail" and not trial.ended:
            study.tell(event("ended", index, status="failed", epoch=trial.epochs + 1))
    state, trials = study.state, study.trials.values()
    assert +state.counts == Counter(trial.status for trial in trials)
    assert state.ended == sum(trial.ended for trial in trials)
    sign = 1 if mode == "min" else -1
    for trial in trials:
        scores = [(m["score"], epoch) for epoch, m in trial.results.items()]
        found = min(((sign * s, e) for s, e in scores if s is not None), default=None)
        assert trial.best == (found and (found[1], sign * found[0]))
        assert trial.epochs == max(trial.results, default=0)
    ranked = sorted((sign * trial.best.value, trial.index) for trial in trials if trial.best)
    assert state.leaders() == [index for _, index in ranked]
    assert state.leaders(2) == state.leaders()[:2]


def test_events_of_controls_from_an_earlier_version_change_nothing():
    before = [
        event("suggested", 0, config={}),
        event("result", 0, epoch=1, metrics={"score": 0.5}),
        event("ended", 0, status="stopped", epoch=1, rung=1, control=True),
    ]
    after = [
        event("control_started", 0),
        event("control", 0, epoch=2, metrics={"score": 0.9}),
        event("control_ended", 0, status="failed", epoch=3, blameless=True),
    ]
    assert trials_after([*before, *after]) == trials_after(before)


def test_a_trial_that_continues_another_one_begins_where_that_one_was():
    begun = [event("suggested", 0, config={}, origin=7, start_epoch=3)]
    (trial,) = trials_after(begun).values()
    assert (trial.origin, trial.start_epoch, trial.epochs, trial.results) == (7, 3, 3, {})
    begun.append(result(4, score=0.5))
    for first, epochs in ((4, 3), (1, 0)):
        (trial,) = trials_after([*begun, event("epochs_lost", first=first, last=4)]).values()
        assert (trial.epochs, trial.results) == (epochs, {})
