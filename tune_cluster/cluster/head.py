"""The cluster's head: the driver ends when it is lost, and trials send lines for the user by it.

Ray itself would wait a minute for a head's return, in the middle of any call, and then end the
process with a stack trace. Nothing of a study is on the head except possibly the driver: its
journal is complete, and trials whose end could not be written resume from their checkpoints. So the
driver ends earlier, with the command that resumes the study.

Lines from a trial's process are sent by Ray's own key-value store on the head, since they may be
about the storage, and a report comes only at the end of an epoch.
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
"""Seconds between two connections to the head."""

MISSED_PROBES = 5
"""Number of consecutive failed connections, 15 s together: a short network failure is over by
then."""

REACH_SECONDS = 5.0
"""Seconds within which a head answers; one on another continent takes 1."""


def check_reachable(address: str, within: float = REACH_SECONDS) -> None:
    """Open a connection to `host:port` or `[::1]:port`, and close it again: Ray itself would wait
    for minutes.

    Args:
        address: the address.
        within: seconds to wait for an answer.

    Raises:
        ValueError: the address is invalid.
        OSError: nothing answers within that time.
    """
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"an address must be host:port, auto or local, got {address}")
    # The brackets are part of the address, not of the host.
    bare = host.removeprefix("[").removesuffix("]")
    socket.create_connection((bare, int(port)), timeout=within).close()


@contextmanager
def watched(address: str, gone: Callable[[str], None]) -> Iterator[None]:
    """Watch the head within the `with` block, and its processes if this job has started them.

    Args:
        address: address of the head, `host:port`.
        gone: called with a line for the user when the head is lost; then the process ends with code
            75 (EX_TEMPFAIL: try again), whatever its other threads wait for.
    """
    over = threading.Event()

    def end(reason: str) -> None:
        # Even if writing the line fails because the reader has gone.
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
    """Return whether the head answers before the next connection is due."""
    try:
        check_reachable(address, within=PROBE_SECONDS)
    except OSError:
        return False
    return True


NAMESPACE = "tune_jobs_notices"

NOTICE_SECONDS = 1.0
"""Seconds between two reads of notices; each takes the head less than a millisecond."""


def notice_sender(trials: str, trial: str) -> Callable[[str], None]:
    """Return a function that sends a line from the process of a trial, given the address of the
    study's `trials/` and the name of the trial's directory in it."""

    def tell(line: str) -> None:
        # Without the head there is no reader either.
        with suppress(Exception):
            key = f"{trials}:{time.time_ns()}:{trial}"
            HeadStore(NAMESPACE).put(key, f"trial {trial}: {line}")

    return tell


class Notices:
    """Receives these lines while the study runs.

    Args:
        trials: address of the study's `trials/`.
        show: called with each line, in a thread.
    """

    def __init__(self, trials: str, show: Callable[[str], None] = print_line) -> None:
        self._prefix, self._show = f"{trials}:", show
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="notices", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Show the lines that have arrived so far."""
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
