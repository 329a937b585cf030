"""A file that grows by whole pieces: of each all bytes are there, or none."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tune_cluster.storage.inside import open_to_append
from tune_cluster.storage.retry import StorageLostError, StorageRetry

STALE_ERRNOS = (errno.ESTALE, errno.EIO, errno.ENOTCONN, errno.ENODEV)
"""What a file that is open may fail with for good, while its path can be opened again."""

REMEMBERED_BYTES = 256 * 1024
"""Bytes of a file's end that can be written again: more than a journal grows by within the 30 s for
which an NFS client may keep what it has taken."""


class HeldFile:
    """A file that is open to append to, and locked: from before anything of its study is read.

    Args:
        create: whether it is new; else it must be there.
        upload: of what is appended to it, to a bucket.

    Raises:
        ValueError: another process has it, or has deleted it, or it is no regular file.
    """

    def __init__(
        self, path: Path, *, create: bool, upload: Callable[[bytes], None] | None = None
    ) -> None:
        self.upload = upload
        self._number: int | None = open_to_append(path.parent, path, create=create, new=create)
        try:
            lock(self._number, path)
            if not os.fstat(self._number).st_nlink:
                raise ValueError(f"{path.parent}: another process has just removed it; try again")
        except BaseException:
            self.release()
            raise

    def detach(self) -> int:
        """The number of the open file, which from now on is the caller's to close."""
        assert self._number is not None, "the lock was passed on already"
        number, self._number = self._number, None
        return number

    def release(self) -> None:
        """Lets another process have the file, unless it was passed on."""
        if self._number is not None:
            os.close(self._number)
            self._number = None


class AppendOnlyFile:
    """Appends what was written since the last `flush`, and waits for storage that fails.

    A full disk takes the first part of a piece. That is taken back before the piece is written
    again: what is read meanwhile is whole, and nothing is there twice. A server that was away may
    have lost pieces that it had taken: they are written again.

    Args:
        path: in a folder that exists; the file is made if it is not there.
        retry: of the storage that it is on.
        study: that the file is of, in which no link is followed; the file's folder if None.
        new: whether the file must not be there yet.
        kept: whether it is brought to the disk when it is closed; else only to the system, where it
            survives the process.
        held: the file, where it is open and locked already: it is locked for as long as it is open,
            and uploaded to where it says.

    Raises:
        ValueError: the file, or what it is reached by in the study, is a link; or one that
            was held is another process's.
        FileExistsError: a new one is there.
    """

    def __init__(
        self,
        path: Path,
        retry: StorageRetry,
        *,
        study: Path | None = None,
        new: bool = False,
        kept: bool = True,
        held: HeldFile | None = None,
    ) -> None:
        self.path = path
        self._root = path.parent if study is None else study
        self._new = new
        self._kept = kept
        self._retry = retry
        self._exclusive = held is not None
        self._upload = None if held is None else held.upload
        self._pieces: list[bytes] = []
        self._last = b""
        """The file's end, as it was written here."""
        self._file = None if held is None else held.detach()
        self._size = retry(lambda: os.fstat(self._open(create=True)).st_size)

    def write(self, data: bytes) -> None:
        """Takes a part of the next piece."""
        self._pieces.append(data)

    def flush(self) -> None:
        """Appends the piece, in one call of the system where the storage takes it; where it raises
        StorageLostError, nothing of it is there, or what came before it is lost."""
        piece, self._pieces = b"".join(self._pieces), []
        if piece:
            self._retry(lambda: self._append(piece))
            if self._upload is not None:
                self._upload(piece)

    def truncate(self, size: int) -> None:
        """Drops what follows after so many bytes."""
        os.ftruncate(self._open(), size)
        self._size, self._last = size, b""

    def close(self) -> None:
        """Writes what is left, and closes the file, whether or not that can be written."""
        try:
            self.flush()
            if self._file is not None and self._kept:
                # Where this fails, the file is what a kill would leave.
                with suppress(OSError):
                    os.fsync(self._file)
        finally:
            self._shut()

    def _append(self, piece: bytes) -> None:
        try:
            # Not made anew: without its mount point it would come to lie under it.
            number = self._open()
            self._mend(number)
            write_all(number, piece)
        except OSError as error:
            if error.errno in STALE_ERRNOS:
                self._shut()
            elif self._file is not None:
                with suppress(OSError):
                    self._mend(self._file)
            raise
        self._size += len(piece)
        self._last = (self._last + piece)[-REMEMBERED_BYTES:]

    def _mend(self, number: int) -> None:
        """Makes the file what it was after the last piece."""
        there = os.fstat(number).st_size
        if there > self._size:
            os.ftruncate(number, self._size)
        elif (missing := self._size - there) > len(self._last):
            raise StorageLostError(
                errno.EIO, f"the last {missing} bytes that it had taken are gone", str(self.path)
            )
        elif missing:
            write_all(number, self._last[-missing:])

    def _open(self, *, create: bool = False) -> int:
        if self._file is None:
            number = open_to_append(self._root, self.path, create=create, new=create and self._new)
            try:
                if self._exclusive:
                    lock(number, self.path)
            except BaseException:
                os.close(number)
                raise
            self._file = number
        return self._file

    def _shut(self) -> None:
        number, self._file = self._file, None
        if number is not None:
            with suppress(OSError):
                os.close(number)


def write_all(number: int, data: bytes) -> None:
    """Writes to an open file, in one call of the system where it takes it."""
    while data:
        data = data[os.write(number, data) :]


def lock(number: int, path: Path) -> None:
    """Locks the open journal of a study; a ValueError says that another process has it."""
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ValueError(
            f"another process is running the study {path.parent}; wait for it, or end it"
        ) from None
