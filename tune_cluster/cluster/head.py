"""End the driver when the cluster's head is gone, with the command that resumes the study.

Ray itself would wait a minute for its return, in the middle of whatever call, and then end the
process with a stack of its own. Nothing of a study is on the head but the driver: what its journal
has is whole, and trials whose end it could not write go on from their checkpoints.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tune_cluster.cluster.compat import ended_process
from tune_cluster.cluster.connect import check_reachable

EVERY_SECONDS = 3.0
"""A connection to the head is tried."""

MISSED = 5
"""Connections in a row that failed, 15 s together: a network that stumbles is back by then."""


@contextmanager
def watched(address: str, gone: Callable[[str], None]) -> Iterator[None]:
    """Watch the head for as long as the context lasts, and its processes where they are ours.

    Args:
        address: of the head, `host:port`.
        gone: told the person's line when the head is gone; then the process ends with code 75
            (EX_TEMPFAIL: try again), whatever its other threads wait for.
    """
    over = threading.Event()

    def watch() -> None:
        missed = 0
        while not over.wait(EVERY_SECONDS):
            ended = ended_process()
            if ended:
                gone(f"{ended}, a process of the Ray that this job had started, was killed")
                os._exit(os.EX_TEMPFAIL)
            missed = 0 if answers(address) else missed + 1
            if missed == MISSED:
                gone(
                    f"the cluster's head at {address} has not answered for "
                    f"{MISSED * EVERY_SECONDS:g} s; start the cluster again"
                )
                os._exit(os.EX_TEMPFAIL)

    threading.Thread(target=watch, name="head", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def answers(address: str) -> bool:
    """Return whether the head answers, before it is time for the next connection."""
    try:
        check_reachable(address, within=EVERY_SECONDS)
    except OSError:
        return False
    return True
