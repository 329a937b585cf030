"""Folders on a node's own disk that go with the process that made them, however it ends.

A process that is killed removes nothing. So each has its folders in one of its own, with a file
that it has locked as long as it lives: where nobody holds the lock, the folder is removed by the
next process that needs one, and by the driver at its end.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PREFIX, LOCK = "tune-cluster-", "lock"


def scratch() -> tempfile.TemporaryDirectory[str]:
    """A new folder, which is there until it is cleaned up or the process ends."""
    return tempfile.TemporaryDirectory(
        dir=_own(os.getpid(), tempfile.gettempdir()), ignore_cleanup_errors=True
    )


def sweep() -> None:
    """Removes the folders of processes that have ended."""
    for folder in _folders():
        try:
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW)
        except OSError:
            # It is about to be made, or is no longer there.
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(lock)


def _folders() -> Iterator[Path]:
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            status = folder.lstat()
        except FileNotFoundError:
            continue
        # Whoever else may write there could have made it.
        if status.st_uid == os.getuid() and not folder.is_symlink():
            yield folder


@cache
def _own(pid: int, disk: str) -> Path:
    """The folder of this process there; a fork of it has another one."""
    sweep()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=disk))
    # Locked before it has its name, under which others look for it.
    made = os.open(folder / f"{LOCK}-{pid}", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    fcntl.flock(made, fcntl.LOCK_EX)
    (folder / f"{LOCK}-{pid}").rename(folder / LOCK)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
