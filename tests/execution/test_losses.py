"""How often a trial may lose its process, and when it starts again."""

import os
import signal
from types import SimpleNamespace

import pytest
from ray.exceptions import ActorUnavailableError, OutOfMemoryError, RayActorError

from search_spaces.schedulers.in_order import InOrder
from tests.trial.test_retries import events_of, names, times
from tests.trial.test_wrapper import trainable_that
from tune_cluster.execution.losses import Losses
from tune_cluster.trial.lost_process import ProcessLostError

KILLED = RayActorError(error_msg="killed")
NODE_GONE = RayActorError(error_msg="The actor died because its node has died.")
FULL = ProcessLostError(OutOfMemoryError("1 worker(s) were killed"))


@pytest.fixture
def clock():
    return SimpleNamespace(seconds=0.0)


@pytest.fixture
def notes():
    return []


@pytest.fixture
def losses(clock, notes):
    return Losses(lambda: 2, notes.append, clock=lambda: clock.seconds)


def test_a_process_lost_for_the_fourth_time_in_an_epoch_fails_its_trial(losses):
    assert [losses.fails(0, 3, KILLED) for _ in range(4)] == [False] * 3 + [True]


def test_an_epoch_further_all_tries_are_there_again_and_a_start_from_the_beginning_has_no_more(
    losses,
):
    assert [losses.fails(0, epoch, KILLED) for epoch in (1, 1, 1, 2, 2, 2)] == [False] * 6
    assert losses.fails(0, 1, KILLED)


def test_a_node_that_is_gone_says_nothing_of_the_trial(losses):
    for error in (NODE_GONE, ActorUnavailableError("away", None)) * 10:
        assert not losses.fails(0, 1, error)


def test_a_trial_that_was_killed_for_memory_waits_longer_each_time_and_then_for_room(
    losses, clock, notes
):
    waited = []
    for _ in range(3):
        assert not losses.fails(1, 1, FULL)
        assert losses.after(1, failed=False, beside=1)
        began = clock.seconds
        while not losses.may_start(1, active=0):
            clock.seconds += 1
        waited.append(clock.seconds - began)
    assert waited == [3, 6, 12]
    assert not losses.may_start(1, active=1)
    assert [note.trials for note in notes] == [1]
    # It was not for its neighbours.
    assert losses.fails(1, 1, FULL)
    losses.after(1, failed=True, beside=0)
    assert [note.trials for note in notes] == [1, 2]


def test_alone_on_the_machine_it_makes_no_room(losses, notes):
    for _ in range(2):
        losses.fails(0, 1, FULL)
        losses.after(0, failed=False, beside=0)
    assert notes == []


@pytest.mark.long
def test_a_process_that_never_starts_ends_the_study_after_a_few_starts(run_study, tmp_path):
    calls = tmp_path / "calls"
    calls.mkdir()
    toy = trainable_that(lambda *_: None)

    class NeverThere(toy):
        def __init__(self, *args, **kwargs):
            times(calls, "start")
            os.kill(os.getpid(), signal.SIGKILL)

    code, trials, study = run_study(NeverThere, trials=20, scheduler=InOrder(), max_concurrent=1)
    assert code == 1
    assert {trial.status for trial in trials.values()} == {"failed"}
    assert len(trials) == 5
    assert len(names(calls)) == 4 + 4
    (reason,) = {e["reason"] for e in events_of(study, "ended")}
    assert "its process was lost again and again (Worker unexpectedly exits" in reason
