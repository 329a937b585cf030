"""The cluster's head: the driver ends when it is gone, and lines of trials for a person go by it.

Ray itself would wait a minute for a head's return, in the middle of whatever call, and then end the
process with a stack of its own. Nothing of a study is on the head but the driver: what its journal
has is whole, and trials whose end it could not write go on from their checkpoints. So the driver
ends before, with the command that resumes the study.

Lines from a trial's process go by Ray's own store of keys on the head, since the storage may be
what they are about, and a report comes only when the epoch is over.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from tune_cluster.cluster.compat import HeadStore, ended_process
from tune_cluster.plain_text import one_line
from tune_cluster.storage.retry import print_line

PROBE_SECONDS = 3.0
"""Between two connections to the head."""

MISSED_PROBES = 5
"""Connections in a row that failed, 15 s together: a network that stumbles is back by then."""

REACH_SECONDS = 5.0
"""Within which a head on the other side of the world answers: it takes one."""


def check_reachable(address: str, within: float = REACH_SECONDS) -> None:
    """Open a connection to `host:port` or `[::1]:port`, and close it again: Ray itself would wait
    for minutes.

    Raises:
        ValueError: it is no such address.
        OSError: nobody answers within so many seconds.
    """
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"an address must be host:port, auto or local, got {address}")
    # The brackets belong to the address, not to the host.
    bare = host.removeprefix("[").removesuffix("]")
    socket.create_connection((bare, int(port)), timeout=within).close()


@contextmanager
def watched(address: str, gone: Callable[[str], None]) -> Iterator[None]:
    """Watch the head for as long as the context lasts, and its processes where they are ours.

    Args:
        address: of the head, `host:port`.
        gone: told the person's line when the head is gone; then the process ends with code 75
            (EX_TEMPFAIL: try again), whatever its other threads wait for.
    """
    over = threading.Event()

    def end(reason: str) -> None:
        # Also where nobody reads the line any more, and writing it fails.
        try:
            gone(reason)
        finally:
            os._exit(os.EX_TEMPFAIL)

    def watch() -> None:
        missed = 0
        while not over.wait(PROBE_SECONDS):
            ended = ended_process()
            if ended:
                end(f"{ended}, a process of the Ray that this job had started, was killed")
            missed = 0 if answers(address) else missed + 1
            if missed == MISSED_PROBES:
                end(
                    f"the cluster's head at {address} has not answered for "
                    f"{MISSED_PROBES * PROBE_SECONDS:g} s; start the cluster again"
                )

    threading.Thread(target=watch, name="head", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def answers(address: str) -> bool:
    """Return whether the head answers, before it is time for the next connection."""
    try:
        check_reachable(address, within=PROBE_SECONDS)
    except OSError:
        return False
    return True


NAMESPACE = "tune_jobs_notices"

NOTICE_SECONDS = 1.0
"""Between two looks for notices; each takes the head less than a millisecond."""


def notice_sender(trials: str, trial: str) -> Callable[[str], None]:
    """Return what sends a line from the process of a trial, by the address of the study's `trials/`
    and the name of the trial's directory in it."""

    def tell(line: str) -> None:
        # Without the head there is nobody to read it either.
        with suppress(Exception):
            key = f"{trials}:{time.time_ns()}:{trial}"
            HeadStore(NAMESPACE).put(key, f"trial {trial}: {line}")

    return tell


class Notices:
    """Listens for such lines while the study runs.

    Args:
        trials: the address of the study's `trials/`.
        show: given each line, by a thread.
    """

    def __init__(self, trials: str, show: Callable[[str], None] = print_line) -> None:
        self._prefix, self._show = f"{trials}:", show
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="notices", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Shows what has come by now."""
        self._over.set()
        self._thread.join()

    def _listen(self) -> None:
        while not self._over.wait(NOTICE_SECONDS):
            self._look()
        self._look()

    def _look(self) -> None:
        with suppress(Exception):
            for line in HeadStore(NAMESPACE).take(self._prefix):
                self._show(one_line(line))
