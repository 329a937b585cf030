"""A file that grows by whole pieces: of each all bytes are there, or none."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tune_jobs.runtime.storage.outage import Outages

STALE = (errno.ESTALE, errno.EIO, errno.ENOTCONN, errno.ENODEV)
"""What a file that is open may fail with for good, while its path can be opened again."""


class AppendedFile:
    """Appends what was written since the last `flush`, and waits for storage that fails.

    A full disk takes the first part of a piece. That is taken back before the piece is written
    again: what is read meanwhile is whole, and nothing is there twice.

    Args:
        path: in a folder that exists; the file is made if it is not there.
        outages: of the storage that it is on.
        opened: told the open file's number, each time that it is opened.
    """

    def __init__(
        self, path: Path, outages: Outages, opened: Callable[[int], None] = lambda number: None
    ) -> None:
        self.path = path
        self._outages = outages
        self._opened = opened
        self._pieces: list[bytes] = []
        self._torn = False
        self._file: int | None = None
        self._size = outages(lambda: os.fstat(self._open(os.O_CREAT)).st_size)

    def write(self, data: bytes) -> None:
        """Takes a part of the next piece."""
        self._pieces.append(data)

    def flush(self) -> None:
        """Appends the piece, in one call of the system where the storage takes it.

        Raises:
            StorageLostError: it is not there, nor any of it.
        """
        piece, self._pieces = b"".join(self._pieces), []
        if piece:
            self._outages(lambda: self._append(piece))

    def truncate(self, size: int) -> None:
        """Drops what follows after so many bytes."""
        os.ftruncate(self._open(), size)
        self._size = size

    def close(self) -> None:
        """Brings what was written to the disk."""
        self.flush()
        if self._file is not None:
            # Where this fails, the file is what a kill would leave.
            with suppress(OSError):
                os.fsync(self._file)
        self._shut()

    def _append(self, piece: bytes) -> None:
        try:
            # Not made anew: without its mount point it would come to lie under it.
            number = self._open()
            if self._torn:
                self._take_back(number)
            rest = piece
            while rest:
                rest = rest[os.write(number, rest) :]
        except OSError as error:
            self._torn = True
            if error.errno in STALE:
                self._shut()
            elif self._file is not None:
                with suppress(OSError):
                    self._take_back(self._file)
            raise
        self._size += len(piece)

    def _take_back(self, number: int) -> None:
        os.ftruncate(number, self._size)
        self._torn = False

    def _open(self, flags: int = 0) -> int:
        """The number of the open file."""
        if self._file is None:
            number = os.open(self.path, os.O_RDWR | os.O_APPEND | flags, 0o644)
            try:
                self._opened(number)
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
