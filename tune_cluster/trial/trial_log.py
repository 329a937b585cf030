"""Output of a trial: shown if it fails, and stored in a file of its directory, `log.txt`.

A process prints to the log that Ray keeps of it on its node or, if Ray has given it a pipe, to a
file of its own: no output of a trial waits for the study's storage, or fails with it. A thread
copies the output to the trial's directory, at once in a folder, and every half minute in a bucket,
which stores complete files only; the output of each epoch and the end of a trial are copied with
its report. Output that could not be written is written later.
"""

from __future__ import annotations

import os
import re
import stat
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from tune_cluster.storage.store import Store

LOG_FILE = "log.txt"
"""File in the directory of a trial."""

LOG_LINES = 20
"""Number of last lines that are shown of a failed trial."""

LINE_CHARACTERS = 500
"""Largest number of characters of a shown line; the rest is cut off."""

TAIL_BYTES = 64 * 1024
"""Bytes, from the end of the log, that are searched for these lines."""

KEPT_BYTES = 10_000_000
"""Largest size in bytes of a trial's stored log, from its beginning in this process: a progress bar
may print without end."""

CUT_OFF = b"\n[the log is cut off here: more than 10 MB were printed]\n"

OF_RAY = re.compile(rb"^:(?:actor_name|task_name|job_id):.*\n", re.MULTILINE)
"""Pattern of Ray's lines that name the source of the following output."""

COPY_SECONDS = 1.0
"""Seconds between two copies to a folder."""

STDOUT = 1


class TrialLog:
    """The log of this process, from the beginning of the current trial.

    Args:
        descriptor: descriptor of the file that the process prints to.
    """

    def __init__(self, descriptor: int = STDOUT) -> None:
        # A copy, since a trainable may close its own.
        self._descriptor = os.dup(descriptor)
        self._began = 0
        self._copied = 0
        self._store: Store | None = None
        self._last_copy = 0.0
        self._copying = threading.Lock()
        self._thread: threading.Thread | None = None

    @classmethod
    def of_this_process(cls) -> TrialLog:
        """Return the common log of standard output and standard error, with lines of subprocesses
        and of C++, in the order in which they were printed."""
        if not stat.S_ISREG(os.fstat(STDOUT).st_mode):
            with tempfile.TemporaryFile() as file:
                os.dup2(file.fileno(), STDOUT)
        os.dup2(STDOUT, 2)
        return cls()

    def begin(self, store: Store | None = None) -> None:
        """Begin the log of another trial.

        Args:
            store: directory of the trial for its log; None stores no log.
        """
        self.copy(ends=True)
        with self._copying:
            self._began = self._copied = self._size()
            self._store = store
        if store is not None and self._thread is None:
            self._thread = threading.Thread(target=self._copy_on, daemon=True)
            self._thread.start()

    def tail(self) -> list[str]:
        """Return the last lines of the trial, at most `LOG_LINES`, the oldest first."""
        end = self._size()
        start = max(self._began, end - TAIL_BYTES)
        text = self._read(start, end).decode(errors="replace")
        # A progress bar overwrites its line: only its last state is visible.
        lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
        return [line[:LINE_CHARACTERS] for line in lines if line.strip()][-LOG_LINES:]

    def copy(self, *, ends: bool = False) -> None:
        """Copy the output since the last copy to the trial's directory, if it can be written now.

        Args:
            ends: whether the trial has ended, so that everything must be copied.
        """
        # Another copying thread may wait for storage that does not answer.
        if not self._copying.acquire(timeout=COPY_SECONDS):
            return
        try:
            self._copy(ends)
        finally:
            self._copying.release()

    def _copy(self, ends: bool) -> None:
        store, end = self._store, self._size()
        limit = self._began + KEPT_BYTES
        if store is None or min(end, limit) <= self._copied:
            return
        now = time.monotonic()
        if not ends and now - self._last_copy < store.append_seconds:
            return
        data = self._read(self._copied, min(end, limit))
        printed = OF_RAY.sub(b"", data) + CUT_OFF * (end > limit)
        with suppress(OSError, ValueError):
            if printed:
                store.append(LOG_FILE, printed)
            self._copied += len(data)
            self._last_copy = now

    def _copy_on(self) -> None:
        while True:
            time.sleep(COPY_SECONDS)
            self.copy()

    def _read(self, start: int, end: int) -> bytes:
        if end <= start:
            return b""
        # Opened again, since Ray has opened it for writing only.
        with Path(f"/proc/self/fd/{self._descriptor}").open("rb") as file:
            file.seek(start)
            return file.read(end - start)

    def _size(self) -> int:
        for stream in (sys.stdout, sys.stderr):
            # A trainable may have replaced the stream, and closed it.
            with suppress(Exception):
                stream.flush()
        found = os.fstat(self._descriptor)
        return found.st_size if stat.S_ISREG(found.st_mode) else 0
