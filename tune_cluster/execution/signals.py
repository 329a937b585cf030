"""The signals that end a study in order: Ctrl-C, SIGTERM, and SIGHUP of a terminal that closes.

SIGTERM is what a scheduler such as Slurm, a spot instance that is taken, `ray job stop` and systemd
send, and SIGHUP what is left of a terminal. Under nohup SIGHUP is ignored, and a job that
`ray job submit` has started never gets it: the study goes on.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TypeAlias

from tune_cluster.callbacks.stopping import INTERRUPTED, TERMINATED, StudyStopper

Handler: TypeAlias = Callable[[int, FrameType | None], None]

STDOUT, STDERR = 1, 2

INTERRUPTING = "Ending: trials keep the epochs that they have reported. Ctrl-C again: at once."

TERMINATION_GRACE_SECONDS = 25.0
"""Seconds from SIGTERM to the end in any case. Slurm, Kubernetes and Google's spot machines kill
30 s after it (AWS gives 120 s). To end in order takes 15 s at most: so long Tune waits for an epoch
that is being trained. Ended by itself, the process takes along the Ray that it has started."""

EXIT_CODES = {INTERRUPTED: 128 + signal.SIGINT, TERMINATED: 128 + signal.SIGTERM}
"""By why a study was ended."""


@contextmanager
def signals_handled(stopper: StudyStopper) -> Iterator[None]:
    """Handles the signals for as long as the context lasts.

    The second Ctrl-C ends the process at once. The second SIGTERM does not, since one order may
    come twice: `timeout` sends one to its child and one to its whole group.
    """
    grace = threading.Timer(TERMINATION_GRACE_SECONDS, os._exit, args=(EXIT_CODES[TERMINATED],))
    grace.daemon = True

    def interrupt(number: int, frame: FrameType | None) -> None:
        if stopper.why in EXIT_CODES:
            # Ray's processes on this machine were started to die with this one.
            os._exit(EXIT_CODES[INTERRUPTED])
        stopper.interrupt()
        print_on_stderr(INTERRUPTING)

    def terminate(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            for stream in (STDOUT, STDERR):
                # Nobody reads a terminal or a pipe now, and to write there would be an error.
                if not stat.S_ISREG(os.fstat(stream).st_mode):
                    os.dup2(nowhere, stream)
        if stopper.why in EXIT_CODES:
            return
        stopper.terminate()
        grace.start()
        print_on_stderr(
            f"Ending, within {TERMINATION_GRACE_SECONDS:g} s: "
            "trials keep the epochs that they have reported."
        )

    handlers = {signal.SIGINT: interrupt, signal.SIGTERM: terminate}
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        handlers[signal.SIGHUP] = terminate
    try:
        with handled(handlers):
            yield
    finally:
        # Else it would end whatever this process does next.
        grace.cancel()


@contextmanager
def interrupted(stopper: StudyStopper) -> Iterator[None]:
    """Handles Ctrl-C for as long as the context lasts, in a process that goes on: the first ends
    the study in order, the second raises `KeyboardInterrupt`."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        if stopper.why == INTERRUPTED:
            raise KeyboardInterrupt
        stopper.interrupt()
        print_on_stderr(INTERRUPTING)

    with handled({signal.SIGINT: interrupt}):
        yield


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Within, what would end the process without a word to it is a SystemExit."""

    def end(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    numbers = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) != signal.SIG_IGN]
    with handled(dict.fromkeys(numbers, end)):
        yield


@contextmanager
def handled(handlers: Mapping[signal.Signals, Handler]) -> Iterator[None]:
    """Has these handlers called for as long as the context lasts.

    Python lets only its main thread have any: in another one, of a notebook or a server, none is
    called, and what a signal does is up to whoever has started the thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def print_on_stderr(line: str) -> None:
    """For the person at the keyboard, on a line of its own; whatever was being printed when the
    signal came, which print() would not bear."""
    with suppress(OSError):
        os.write(STDERR, f"\n{line}\n".encode())
