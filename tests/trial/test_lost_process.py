"""What a lost process was lost by, on a real Ray: short, alike for two alike, and all of it."""

import errno
import os

import pytest
import ray
from ray.exceptions import ActorUnavailableError, OutOfMemoryError, RayError

from tune_cluster.storage.retry import StorageLostError
from tune_cluster.trial import lost_process


class Worker:
    """Made in the test's process, so that its errors are what a trial's are."""

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


KILLED = "Worker unexpectedly exits with a connection error code 2. End of file."


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fails", "method", "why", "all_of_it"),
    [
        (False, "be_killed", KILLED, "its worker process has died"),
        (False, "leave", "Worker exits unexpectedly. Worker exits with an exit code 3.", "died"),
        (True, "leave", "RuntimeError: no such device", "in __init__\n"),
        (
            False,
            "lose_gpu",
            "RuntimeError: CUDA error: device-side assert triggered",
            "in lose_gpu\n",
        ),
        (
            False,
            "lose_storage",
            "StorageLostError: [Errno 5] input/output error: '/shared'",
            "in lose_storage\n",
        ),
    ],
)
def test_two_alike_are_told_alike_in_a_line_and_all_of_it_is_there(
    cluster_address, fails, method, why, all_of_it
):
    for _ in range(2):
        actor = ray.remote(num_cpus=0)(Worker).remote(fails)
        with pytest.raises(RayError) as lost:
            ray.get(getattr(actor, method).remote())
        assert lost_process.why(lost.value) == why
        told = lost_process.told(lost.value, failed=True)
        assert told["reason"] == f"its process was lost again and again ({why})"
        assert all_of_it in told["traceback"]
        assert "\x1b" not in told["traceback"]


@pytest.mark.parametrize(
    ("error", "why"),
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
    ],
)
def test_what_is_of_one_process_alone_is_left_out(error, why):
    assert lost_process.why(error) == why
