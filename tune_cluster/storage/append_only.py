"""A file to which pieces are appended atomically: all bytes of a piece are written, or none."""

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
"""Errors that an open file may keep raising, although its path can be opened again."""

REMEMBERED_BYTES = 256 * 1024
"""Bytes of a file's end that can be written again: more than a journal grows within the 30 s for
which an NFS client may keep accepted data."""


class HeldFile:
    """A file that is open for appending and locked, before any file of its study is read.

    Args:
        path: path of the file.
        create: whether to create it; else it must exist.
        upload: called with appended pieces, to upload them to a bucket.

    Raises:
        ValueError: another process has locked it or deleted it, or it is no regular file.
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
        """Return the descriptor of the open file, which the caller must close from now on."""
        assert self._number is not None, "the lock was passed on already"
        number, self._number = self._number, None
        return number

    def release(self) -> None:
        """Close and unlock the file, unless it was detached."""
        if self._number is not None:
            os.close(self._number)
            self._number = None


class AppendOnlyFile:
    """Appends at each `flush` what was written since the last one, and waits for failing storage.

    A full disk accepts the first part of a piece. That part is removed before the piece is written
    again, so that readers see only complete pieces, each once. A server that was away may have lost
    accepted pieces: they are written again.

    Args:
        path: path of the file, in an existing folder; it is created if it is missing.
        retry: retries of the storage.
        study: study that the file belongs to, in which no link is followed; the file's folder if
            None.
        new: whether the file must not exist yet.
        kept: whether to sync it to the disk when it is closed; else the data survives the process,
            but not the machine.
        held: the file, if it is already open and locked: it stays locked while it is open, and is
            uploaded as `held` specifies.

    Raises:
        ValueError: the file, or a folder of its path in the study, is a link; or `held` was locked
            by another process.
        FileExistsError: `new` is set and the file exists.
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
        """Last bytes of the file, as this process wrote them."""
        self._file = None if held is None else held.detach()
        self._size = retry(lambda: os.fstat(self._open(create=True)).st_size)

    def write(self, data: bytes) -> None:
        """Add data to the next piece."""
        self._pieces.append(data)

    def flush(self) -> None:
        """Append the piece, in one system call if the storage accepts it.

        Raises:
            StorageLostError: no part of it was written, or earlier pieces are lost.
        """
        piece, self._pieces = b"".join(self._pieces), []
        if piece:
            self._retry(lambda: self._append(piece))
            if self._upload is not None:
                self._upload(piece)

    def truncate(self, size: int) -> None:
        """Remove everything after the first `size` bytes."""
        os.ftruncate(self._open(), size)
        self._size, self._last = size, b""

    def close(self) -> None:
        """Write the rest and close the file, even if the write fails."""
        try:
            self.flush()
            if self._file is not None and self._kept:
                # If this fails, the file is in the state that a kill would leave.
                with suppress(OSError):
                    os.fsync(self._file)
        finally:
            self._shut()

    def _append(self, piece: bytes) -> None:
        try:
            # Not created again: if its mount point were away, it would end up below it.
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
        """Restore the file to its state after the last piece."""
        there = os.fstat(number).st_size
        if there > self._size:
            os.ftruncate(number, self._size)
        elif (missing := self._size - there) > len(self._last):
            raise StorageLostError(
                errno.EIO, f"the last {missing} bytes that it had accepted are lost", str(self.path)
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
    """Write to an open file, in one system call if it accepts all data."""
    while data:
        data = data[os.write(number, data) :]


def lock(number: int, path: Path) -> None:
    """Lock the open journal of a study; raise a ValueError if another process has it."""
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ValueError(
            f"another process is running the study {path.parent}; wait for it, or end it"
        ) from None
