"""The process that one trial after the other may use: its log, its working directory."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tune_cluster.trial.failures import ProcessExits, Retries
from tune_cluster.trial.seeds import Generators

LINES = 20
"""What a person is shown of a trial that failed."""

LINE_CHARACTERS = 500
"""Of a line; the rest of a longer one is cut off."""

TAIL_BYTES = 64 * 1024
"""That are looked at, from the end of the log."""

STDOUT, STDERR = 1, 2


class TrialLog:
    """Reads the log that Ray keeps of this process, from where the present trial began.

    Where Ray rotates its logs, standard output is a pipe, and there is nothing to be read.

    Args:
        descriptor: of the file that the process prints to.
    """

    def __init__(self, descriptor: int = STDOUT) -> None:
        self._descriptor = descriptor
        self._began = 0

    def begin(self) -> None:
        """Leave out what an earlier trial in this process has printed."""
        self._began = self._size()

    def tail(self) -> list[str]:
        """Return the last lines of the trial, at most `LINES`, the oldest first."""
        end = self._size()
        start = max(self._began, end - TAIL_BYTES)
        if end <= start:
            return []
        # Opened anew: Ray has opened it for writing only.
        with Path(f"/proc/self/fd/{self._descriptor}").open("rb") as file:
            file.seek(start)
            text = file.read(end - start).decode(errors="replace")
        # A progress bar writes over its line: what is seen of it is what it wrote last.
        lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
        return [line[:LINE_CHARACTERS] for line in lines if line.strip()][-LINES:]

    def _size(self) -> int:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        found = os.fstat(self._descriptor)
        return found.st_size if stat.S_ISREG(found.st_mode) else 0


@dataclass(frozen=True)
class TrialProcess:
    """The process, as far as it outlives a trial.

    Args:
        node: Ray's id of the node that it is on.
        gpus: that it has, or the fraction of one.
        log: of what it prints.
        exits: of the trainables in it.
        notify: shows a line about a trial, given its directory, to the person.
        clock: seconds.
    """

    node: str
    gpus: float
    log: TrialLog
    exits: ProcessExits
    notify: Callable[[str, str], None]
    clock: Callable[[], float] = time.monotonic
    retries: Retries = field(default_factory=Retries)
    generators: Generators = field(default_factory=Generators)


def join_outputs() -> None:
    """Lead standard error to where standard output goes, so that lines stand in the log in the
    order in which they were printed; subprocesses and C++ print there too."""
    os.dup2(STDOUT, STDERR)


def enter_directory(directory: str | None) -> None:
    """Make it the working directory of this process, where this node has it."""
    if directory is not None and Path(directory).is_dir():
        os.chdir(directory)


def searched_directory(error: BaseException) -> str:
    """Return where a file of a relative path was looked for in vain; else nothing."""
    name = error.filename if isinstance(error, FileNotFoundError) else None
    relative = isinstance(name, str) and not Path(name).is_absolute()
    return f" (in {Path.cwd()})" if relative else ""
