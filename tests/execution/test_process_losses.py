"""Lost processes: how often a trial may lose one, when it restarts, and the cause of a loss."""

import errno
import os
import signal
from types import SimpleNamespace

import pytest
import ray
from ray.core.generated.common_pb2 import ActorDiedErrorContext  # type: ignore[attr-defined]
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    OutOfMemoryError,
    RayActorError,
    RayError,
)

from search_spaces.schedulers.base import StudyScheduler
from tests.execution.ray_tune.test_trainable import trainable_that
from tests.in_process import names
from tests.trial.test_retries import events_of, times
from tune_cluster.execution.process_losses import LostProcesses, reason_of, text_of, why
from tune_cluster.execution.ray_tune.compat import ProcessLostError
from tune_cluster.storage.retry import StorageLostError

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
    return LostProcesses(lambda: 2, notes.append, clock=lambda: clock.seconds)


def test_a_process_lost_for_the_fourth_time_in_an_epoch_fails_its_trial(losses):
    assert [losses.fails(0, 3, KILLED) for _ in range(4)] == [False] * 3 + [True]


def test_a_process_loss_without_a_message_of_ray_counts_as_any_other(losses):
    assert why(RayActorError(error_msg="")) == "RayActorError"
    assert not losses.fails(0, 1, RayActorError(error_msg=""))


def test_a_further_epoch_restores_all_retries_and_a_start_from_the_beginning_does_not(
    losses,
):
    assert [losses.fails(0, epoch, KILLED) for epoch in (1, 1, 1, 2, 2, 2)] == [False] * 6
    assert losses.fails(0, 1, KILLED)


def test_a_lost_node_never_fails_the_trial(losses):
    for error in (NODE_GONE, ActorUnavailableError("away", None)) * 10:
        assert not losses.fails(0, 1, error)


def test_a_trial_killed_for_memory_waits_longer_each_time_and_then_for_fewer_active_trials(
    losses, clock, notes
):
    waited = []
    for _ in range(3):
        assert not losses.fails(1, 1, FULL)
        assert losses.waits(1, failed=False, others=1)
        began = clock.seconds
        while not losses.may_start(1, active=0):
            clock.seconds += 1
        waited.append(clock.seconds - began)
    assert waited == [3, 6, 12]
    assert not losses.may_start(1, active=1)
    assert [note.trials for note in notes] == [1]
    # It was not for its neighbours.
    assert losses.fails(1, 1, FULL)
    losses.waits(1, failed=True, others=0)
    assert [note.trials for note in notes] == [1, 2]


def test_a_trial_killed_for_memory_while_alone_does_not_lower_the_number_of_trials(losses, notes):
    for _ in range(2):
        losses.fails(0, 1, FULL)
        losses.waits(0, failed=False, others=0)
    assert notes == []


@pytest.mark.long
def test_a_process_that_never_starts_ends_the_study_after_a_few_starts(run_study, tmp_path):
    calls = tmp_path / "calls"
    calls.mkdir()
    toy = trainable_that(lambda *_: None)

    class NeverThere(toy):  # type: ignore[valid-type, misc]
        def __init__(self, *args, **kwargs):
            times(calls, "start")
            os.kill(os.getpid(), signal.SIGKILL)

    code, trials, study = run_study(
        NeverThere, trials=20, scheduler=StudyScheduler(), max_concurrent=1
    )
    assert code == 1
    assert {trial.status for trial in trials.values()} == {"failed"}
    assert len(trials) == 5
    assert len(names(calls)) == 4 + 4
    (reason,) = {e["reason"] for e in events_of(study, "ended")}
    assert "its process was lost again and again (Worker unexpectedly exits" in reason


class Worker:
    """Defined in the test's process, so that its errors equal those of a trial."""

    def __init__(self, fails=False):
        if fails:
            raise RuntimeError("no such device\nof many lines")

    def be_killed(self):
        os.kill(os.getpid(), 9)

    def leave(self):
        raise SystemExit(3)

    def lose_gpu(self):
        raise RuntimeError("CUDA error: device-side assert triggered\nCompile with …")

    def lose_storage(self):
        raise StorageLostError(errno.EIO, "input/output error", "/shared")


EXIT = "Worker unexpectedly exits with a connection error code 2. End of file."


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fails", "method", "reason", "all_of_it"),
    [
        (False, "be_killed", EXIT, "its worker process has died"),
        pytest.param(
            False,
            "leave",
            "Worker exits unexpectedly. Worker exits with an exit code 3.",
            "died",
            marks=pytest.mark.long,
        ),
        (True, "leave", "RuntimeError: no such device", "in __init__\n"),
        pytest.param(
            False,
            "lose_gpu",
            "RuntimeError: CUDA error: device-side assert triggered",
            "in lose_gpu\n",
            marks=pytest.mark.long,
        ),
        pytest.param(
            False,
            "lose_storage",
            "StorageLostError: [Errno 5] input/output error: '/shared'",
            "in lose_storage\n",
            marks=pytest.mark.long,
        ),
    ],
)
def test_two_equal_process_losses_have_one_reason_in_a_line_and_keep_the_whole_text(
    cluster_address, fails, method, reason, all_of_it
):
    for _ in range(2):
        actor = ray.remote(num_cpus=0)(Worker).remote(fails)
        with pytest.raises(RayError) as lost:
            ray.get(getattr(actor, method).remote())
        assert why(lost.value) == reason
        told = reason_of(lost.value, failed=True)
        assert told == f"its process was lost again and again ({reason})"
        text = text_of(lost.value)
        assert all_of_it in text
        assert "\x1b" not in text


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            OutOfMemoryError(
                "1 worker(s) were killed due to the node running low on memory. Memory on the node "
                "(IP: 10.0.0.7, ID: 3a8dc270bc7e8c03eb9df8e001000000) was 7.61GB used\nOOM kill …"
            ),
            "OutOfMemoryError: killed due to the node running low on memory.",
        ),
        (
            ActorUnavailableError("failed to connect to ipv4:10.0.0.7:41147", bytes(range(16))),
            "The actor … is unavailable: failed to connect to ipv4:…. The task may or may not have "
            "been executed on the actor.",
        ),
        (
            ActorDiedError(ActorDiedErrorContext(actor_id=bytes(16), pid=7, node_ip_address="::1")),
            "The actor died unexpectedly before finishing this task.",
        ),
        (
            ActorDiedError(
                ActorDiedErrorContext(
                    actor_id=bytes(16), error_message="It has died. Worker exit detail: "
                )
            ),
            "It has died.",
        ),
    ],
)
def test_details_of_one_process_are_left_out_of_the_reason(error, reason):
    assert why(error) == reason
