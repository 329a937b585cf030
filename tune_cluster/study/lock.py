"""One process at a time has a study: who has its journal open and locked."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from tune_cluster.storage.inside import open_to_append


class StudyLock:
    """A study's lock, held from before anything of the study is read.

    Args:
        journal: of the study.
        create: whether the study is new; else its journal must be there.

    Raises:
        ValueError: another process has the study, or its journal is no regular file.
        OSError: the journal cannot be opened for writing.
    """

    def __init__(self, journal: Path, *, create: bool) -> None:
        self._number: int | None = open_to_append(
            journal.parent, journal, create=create, new=create
        )
        try:
            lock(self._number, journal.parent)
        except BaseException:
            self.release()
            raise

    def detach(self) -> int:
        """The number of the journal's open file, which from now on is the caller's to close."""
        assert self._number is not None, "the lock was passed on already"
        number, self._number = self._number, None
        return number

    def release(self) -> None:
        """Lets another process have the study, unless the lock was passed on."""
        if self._number is not None:
            os.close(self._number)
            self._number = None


def lock(number: int, study: Path) -> None:
    """Locks an open journal.

    Raises:
        ValueError: another process has the study.
        OSError: the storage has no locks.
    """
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ValueError(
            f"another process is running the study {study}; wait for it, or end it"
        ) from None
