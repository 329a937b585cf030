"""The course of a study as curves: what is on which axis, and that a point never changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.journals import SCORE, typed
from tune_cluster.study.course import (
    BEST_BY_EPOCHS,
    BEST_BY_SECONDS,
    BEST_BY_TRIALS,
    RATE,
    TRIALS,
    Course,
)


def at(time, kind, trial=None, **fields):
    """An event as in a journal."""
    of = {} if trial is None else {"trial": trial}
    return typed({"event": kind, "time": time, **of, **fields})


def result(time, trial, epoch, score):
    return at(time, "result", trial, epoch=epoch, metrics={"score": score})


def ended(time, trial, epoch, status="finished", **fields):
    return at(time, "ended", trial, epoch=epoch, status=status, **fields)


def points_of(events):
    course = Course(SCORE)
    return [point for event in events for point in course.apply(event)]


def curves_of(events):
    curves = {}
    for point in points_of(events):
        curves.setdefault(point.curve, {})[point.step] = point.value
    return curves


FIRST = [
    at(100.0, "session"),
    at(100.1, "suggested", 0),
    at(100.1, "suggested", 1),
    at(100.2, "started", 0),
    at(100.2, "started", 1),
    result(101.5, 0, 1, 0.5),
    result(101.6, 1, 1, 0.4),
    result(103.0, 0, 2, 0.3),
    ended(103.0, 0, 2),
    result(112.0, 1, 2, 0.75),
    ended(112.0, 1, 2, "stopped", rung=2),
]
CLOSED = at(112.1, "closed")
SECOND = [
    at(5000.0, "session"),
    at(5000.0, "promoted", 1, rung=2),
    result(5001.0, 1, 3, 1.0),
    ended(5001.5, 1, 3),
    at(5001.6, "closed"),
]


def test_the_best_value_is_there_by_trials_by_epochs_and_by_seconds():
    curves = curves_of([*FIRST, CLOSED])
    assert curves[BEST_BY_TRIALS] == {1: 0.5, 2: 0.75}
    # Level until the epoch before the better one.
    assert curves[BEST_BY_EPOCHS] == {1: 0.5, 3: 0.5, 4: 0.75}
    assert curves[BEST_BY_SECONDS] == {1: 0.5, 3: 0.5, 11: 0.5, 12: 0.75}


def test_trials_are_counted_by_status_up_to_the_end_of_the_session():
    curves = curves_of([*FIRST, CLOSED])
    assert curves[f"{TRIALS}running"] == {0: 2, 2: 2, 3: 1, 11: 1, 12: 0}
    assert curves[f"{TRIALS}finished"] == {2: 0, 3: 1, 12: 1}
    assert curves[f"{TRIALS}stopped"] == {11: 0, 12: 1}
    assert f"{TRIALS}failed" not in curves


def test_results_a_second_are_those_of_at_least_ten_seconds_or_of_the_end():
    curves = curves_of([*FIRST, CLOSED])
    assert curves[RATE] == {12: pytest.approx(4 / 13)}
    steady = [
        at(0.0, "session"),
        at(0.0, "suggested", 0),
        *(result(second / 2, 0, second + 1, 0.5) for second in range(61)),
    ]
    assert curves_of(steady)[RATE] == {9: 2.0, 19: 2.0, 29: 2.0}


def test_the_clock_stands_still_between_sessions_and_a_promoted_trial_counts_again():
    curves = curves_of([*FIRST, CLOSED, *SECOND])
    assert curves[BEST_BY_TRIALS] == {1: 0.5, 2: 0.75, 3: 1.0}
    assert max(curves[BEST_BY_SECONDS]) == 14
    assert curves[f"{TRIALS}stopped"] == {11: 0, 12: 1, 13: 0, 14: 0}


def test_a_killed_session_has_the_points_of_one_that_was_closed():
    assert points_of([*FIRST, *SECOND]) == points_of([*FIRST, CLOSED, *SECOND])


def test_a_best_value_whose_epoch_is_lost_stays():
    lost = at(104.0, "epochs_lost", 0, first=1, last=1)
    curves = curves_of([*FIRST[:6], lost, result(105.0, 0, 1, 0.2), ended(105.0, 0, 1)])
    assert curves[BEST_BY_TRIALS] == {1: 0.5}
    assert curves[BEST_BY_EPOCHS] == {1: 0.5, 2: 0.5}


def test_a_study_without_times_or_values_has_what_remains():
    untimed = [typed({**event.to_json(), "time": None}) for event in FIRST]
    assert set(curves_of(untimed)) == {BEST_BY_TRIALS, BEST_BY_EPOCHS}
    assert set(curves_of([*FIRST[:5], CLOSED])) == {f"{TRIALS}running"}


@st.composite
def studies(draw):
    """Events of a few trials in sessions that end in any way."""
    time, epochs, events, live = 0.0, {}, [], []
    for _ in range(draw(st.integers(1, 3))):
        events.append(at(time, "session"))
        for _ in range(draw(st.integers(0, 30))):
            time += draw(st.sampled_from([0.0, 0.1, 0.7, 3.0, 40.0]))
            if not live or draw(st.booleans()):
                trial = len(epochs)
                epochs[trial] = 0
                live.append(trial)
                events += [at(time, "suggested", trial), at(time, "started", trial)]
            trial = draw(st.sampled_from(live))
            epochs[trial] += 1
            events.append(result(time, trial, epochs[trial], draw(st.integers(0, 9)) / 8))
            if draw(st.booleans()):
                live.remove(trial)
                events.append(ended(time, trial, epochs[trial]))
        if draw(st.booleans()):
            events.append(at(time, "closed"))
        time += 1000.0
    return events


@given(studies(), st.data())
def test_the_points_of_a_journal_begin_with_those_of_its_beginning(events, data):
    cut = data.draw(st.integers(0, len(events)))
    whole = points_of(events)
    before = points_of(events[:cut])
    assert whole[: len(before)] == before
    steps = {}
    for point in whole:
        assert point.step > steps.get(point.curve, -1)
        steps[point.curve] = point.step


@given(studies())
def test_every_curve_of_the_best_value_ends_with_the_best_value(events):
    scores = [event.metrics["score"] for event in events if event.name == "result"]
    curves = curves_of([*events, at(None, "closed")])
    for name in (BEST_BY_EPOCHS, BEST_BY_SECONDS) if scores else ():
        assert curves[name][max(curves[name])] == max(scores)
        values = [curves[name][step] for step in sorted(curves[name])]
        assert values == sorted(values)
