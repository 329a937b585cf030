"""The time of the places for trials, from events written by hand."""

import pytest

from search_spaces.trial_events import Ended, EpochsLost, Promoted, Result
from tune_cluster.reports.doctor.machines import Usage
from tune_cluster.study.events import Retried, Session, Started


def usage_of(*events):
    found = Usage()
    for event in events:
        found.take(event)
    return found


def result(trial, epoch, time):
    return Result(trial=trial, epoch=epoch, metrics={"score": 0.5}, time=time)


def ended(trial, time, status="finished"):
    return Ended(trial=trial, epoch=1, status=status, time=time)


def test_a_promoted_trial_has_a_place_again_and_its_wait_is_not_lost():
    found = usage_of(
        Started(trial=0, time=0.0),
        result(0, 1, 10.0),
        ended(0, 10.0, "stopped"),
        Promoted(trial=0, rung=1, value=0.5, rank=1, of=1, time=50.0),
        result(0, 2, 60.0),
        ended(0, 60.0),
    )
    assert (found.at_work, found.span, found.lost) == (20.0, 60.0, 0.0)


@pytest.mark.parametrize("again", [False, True])
def test_what_a_killed_process_has_done_since_its_last_result_is_lost_with_the_wait(again):
    broken = [Retried(trial=0, epoch=2, reason="killed", lost=True, time=18.0)]
    if again:
        broken += [Retried(trial=0, epoch=2, reason="killed", lost=True, time=22.0)]
    found = usage_of(
        Started(trial=0, time=0.0),
        result(0, 1, 10.0),
        *broken,
        Started(trial=0, time=25.0),
        result(0, 2, 35.0),
        ended(0, 35.0),
    )
    assert (found.at_work, found.lost, found.restarts) == (35.0, 15.0, len(broken))


def test_results_that_are_trained_again_are_lost_with_their_time():
    found = usage_of(
        Started(trial=0, time=0.0),
        *(result(0, epoch, 10.0 * epoch) for epoch in (1, 2, 3)),
        EpochsLost(trial=0, first=2, last=3, time=32.0),
        result(0, 2, 42.0),
        ended(0, 42.0),
    )
    assert found.lost == 22.0


def test_the_time_between_two_sessions_is_neither_used_nor_lost():
    found = usage_of(
        Started(trial=0, time=0.0),
        result(0, 1, 10.0),
        Session(time=1000.0),
        Started(trial=0, time=1005.0),
        result(0, 2, 1015.0),
        ended(0, 1015.0),
    )
    assert (found.at_work, found.span, found.lost) == (20.0, 25.0, 0.0)
