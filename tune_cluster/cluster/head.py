"""Notices that the cluster's head is gone, and ends the driver with the command that goes on.

Ray itself would wait a minute for its return, in the middle of whatever call, and then end the
process with a stack of its own. Nothing of a study is on the head but the driver: what its journal
has is whole, and trials whose end it could not write go on from their checkpoints.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import ray

from tune_cluster.cluster.knock import knock

EVERY = 3.0
"""Seconds between two knocks."""

MISSED = 5
"""Knocks in a row that nobody answered, 15 s together: a network that stumbles is back by then."""


@contextmanager
def watched(address: str, gone: Callable[[str], None]) -> Iterator[None]:
    """Knocks at the head for as long as the context lasts, and looks after it where it is ours.

    Args:
        address: of the head, `host:port`.
        gone: told the person's line when the head is gone; then the process ends with code 75
            (EX_TEMPFAIL: try again), whatever its other threads wait for.
    """
    over = threading.Event()

    def watch() -> None:
        missed = 0
        while not over.wait(EVERY):
            ended = ended_process()
            if ended:
                gone(f"{ended}, a process of the Ray that this job had started, was killed")
                os._exit(os.EX_TEMPFAIL)
            missed = 0 if answers(address) else missed + 1
            if missed == MISSED:
                gone(
                    f"the cluster's head at {address} has not answered for {MISSED * EVERY:g} s; "
                    "start the cluster again"
                )
                os._exit(os.EX_TEMPFAIL)

    threading.Thread(target=watch, name="head", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def ended_process() -> str:
    """What has ended of a Ray that this process has started; Ray itself would end this one after a
    while, without a word on how to go on."""
    node = ray._private.worker._global_node
    if node is None or not node.is_head():
        return ""
    kinds = ("gcs_server", "raylet")
    processes = [
        (kind, info.process) for kind in kinds for info in node.all_processes.get(kind, [])
    ]
    return next((kind for kind, process in processes if process.poll() is not None), "")


def answers(address: str) -> bool:
    """Whether anybody does, before it is time for the next knock."""
    try:
        knock(address, within=EVERY)
    except OSError:
        return False
    return True
