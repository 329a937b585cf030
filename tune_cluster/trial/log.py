"""What the process of a trial has printed since the trial began."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

LINES = 20
"""What a person is shown of a trial that failed."""

LINE = 500
"""Characters of a line; the rest of a longer one is cut off."""

LAST = 64 * 1024
"""Bytes that are looked at, from the end."""

STDOUT, STDERR = 1, 2


class TrialLog:
    """Reads the log that Ray keeps of this process, from where the present trial began.

    Standard error is led to where standard output goes, so that lines stand in the order in which
    they were printed; subprocesses and C++ print there too. Where Ray rotates its logs, standard
    output is a pipe, and there is nothing to be read.
    """

    def __init__(self) -> None:
        os.dup2(STDOUT, STDERR)
        self._began = 0

    def begin(self) -> None:
        """A trial begins: what an earlier one in this process has printed is not its own."""
        self._began = self._size()

    def tail(self) -> list[str]:
        """Its last lines, at most `LINES`, the oldest first."""
        end = self._size()
        start = max(self._began, end - LAST)
        if end <= start:
            return []
        # Opened anew: Ray has opened it for writing only.
        with Path(f"/proc/self/fd/{STDOUT}").open("rb") as file:
            file.seek(start)
            text = file.read(end - start).decode(errors="replace")
        # A progress bar writes over its line: what is seen of it is what it wrote last.
        shown = [line.rstrip("\r").rpartition("\r")[2][:LINE] for line in text.split("\n")]
        return [line for line in shown if line.strip()][-LINES:]

    @staticmethod
    def _size() -> int:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        found = os.fstat(STDOUT)
        return found.st_size if stat.S_ISREG(found.st_mode) else 0
