"""Signals that end a study in order: Ctrl-C, SIGTERM, and SIGHUP of a closing terminal.

SIGTERM is sent by schedulers such as Slurm, before a spot instance is reclaimed, by `ray job stop`
and by systemd; SIGHUP by a closing terminal. Under nohup SIGHUP is ignored, and a job that `ray job
submit` has started never gets it: the study continues.
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
"""Seconds from SIGTERM to the end in any case. Slurm, Kubernetes and Google's spot machines kill 30
s after it (AWS gives 120 s). An orderly end takes 15 s at most: that long Tune waits for an epoch
in training. If the process ends by itself, the Ray that it has started ends with it."""

EXIT_CODES = {INTERRUPTED: 128 + signal.SIGINT, TERMINATED: 128 + signal.SIGTERM}
"""Exit codes by the cause of a study's end."""


@contextmanager
def signals_handled(stopper: StudyStopper) -> Iterator[None]:
    """Handle the signals within the `with` block.

    The second Ctrl-C ends the process at once. The second SIGTERM does not, since one order may
    arrive twice: `timeout` sends one to its child and one to its process group.
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
                # A terminal or a pipe has lost its reader, and writing to it would fail.
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
        # Else it would end later work of this process.
        grace.cancel()


@contextmanager
def interrupted(stopper: StudyStopper) -> Iterator[None]:
    """Handle Ctrl-C within the `with` block, in a process that continues afterwards: the first ends
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
    """Turn signals that would end the process at once into a SystemExit, within the `with`
    block."""

    def end(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    numbers = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) != signal.SIG_IGN]
    with handled(dict.fromkeys(numbers, end)):
        yield


@contextmanager
def coded_as_terminated() -> Iterator[None]:
    """Give an exit within the `with` block the code of SIGTERM: while Ray starts, its own handlers
    exit with 15 or 1, by which a requeuing system would not know that the job was terminated."""
    try:
        yield
    except SystemExit as ended:
        ours = isinstance(ended.code, int) and ended.code > 128
        sys.exit(ended.code if ours else EXIT_CODES[TERMINATED])


@contextmanager
def handled(handlers: Mapping[signal.Signals, Handler]) -> Iterator[None]:
    """Install these signal handlers within the `with` block.

    Python allows them only in its main thread: in another one, of a notebook or a server, none is
    installed, and the code that has started the thread decides about signals.
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
    """Print a line for the user at the keyboard, on a line of its own, whatever was being printed
    when the signal came, which print() would not survive."""
    with suppress(OSError):
        os.write(STDERR, f"\n{line}\n".encode())
