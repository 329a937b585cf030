"""Reads the files of a study, in which anything may lie under a file's name.

A FIFO would be waited for without end, a device may be endless, and a link leads to what is not the
study's: only a regular file is opened.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_regular(path: Path, folder: int | None = None) -> BinaryIO:
    """Open a regular file for reading; links in the folders that lead to it are followed, as far
    as they end.

    Args:
        path: of the file.
        folder: the number of the open folder that it is in, where the path to that is not to be
            followed again.

    Raises:
        ValueError: it is none: a folder, a link, a FIFO, a socket or a device.
        OSError: it is not there, or cannot be read.
    """
    # A look first: to open a device may be to act on it, and a socket gives the same error as
    # storage that is away.
    found = path if folder is None else Path(path.name)
    check_regular(path, os.stat(found, dir_fd=folder, follow_symlinks=False).st_mode)
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    number = os.open(found, flags, dir_fd=folder)
    try:
        check_regular(path, os.fstat(number).st_mode)
        return os.fdopen(number, "rb")
    except BaseException:
        os.close(number)
        raise


def read_regular(path: Path) -> bytes:
    """The content of a regular file; errors as those of `open_regular`."""
    with open_regular(path) as file:
        return file.read()


def check_regular(path: Path, mode: int) -> None:
    """Refuse what is no regular file by its mode, as `os.stat` has it.

    Raises:
        ValueError: it is none.
    """
    kind = stat.S_IFMT(mode)
    if kind != stat.S_IFREG:
        raise ValueError(f"{path} is {KINDS.get(kind, 'no file')}, where a file is expected")
