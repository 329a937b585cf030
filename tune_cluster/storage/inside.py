"""Safe access to files and folders of a study, which others may write to: no link in it is
followed, and only regular files are opened, since a FIFO would block and a device may be endless.

A link placed by another user could lead our writes to any file of our user, and our reads to files
that the other user may not read. So each folder below `root` is opened relative to the one before
it (`openat`), and new files are created under a random unused name (`O_CREAT | O_EXCL`), so that
none of them can be exchanged in between. `root` itself, the study or the folder of studies, may be
a link of its owner's.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

CHUNK_BYTES = 1024**2

FILE_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class LinkError(ValueError):
    """A link inside a study, which is not followed."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is a link, and links inside a study are not followed: replace it with its "
            "target, or delete it"
        )


@contextmanager
def opened(root: Path, folder: Path, *, make: bool = False) -> Iterator[int]:
    """Open a folder within the `with` block, and return its descriptor.

    Args:
        root: folder whose own path may contain links.
        folder: `root`, or a folder below it.
        make: whether to create the folder if it is missing, but none above it: if a mount point is
            away, they would be created on the wrong disk.

    Raises:
        LinkError: it, or a folder between it and `root`, is a link.
    """
    below = folder.relative_to(root).parts
    if make and not below:
        with suppress(FileExistsError):
            root.mkdir()
    number = os.open(root, FOLDER)
    try:
        for depth, name in enumerate(below, start=1):
            path = root.joinpath(*below[:depth])
            with naming(path):
                if make and depth == len(below):
                    with suppress(FileExistsError):
                        os.mkdir(name, dir_fd=number)
                upper, number = number, open_folder(number, name, path)
                os.close(upper)
        yield number
    finally:
        os.close(number)


def open_folder(within: int, name: str, path: Path) -> int:
    """Open the folder `name` in an open one; return its descriptor. `path` is for error messages.

    Raises:
        ValueError: it is a link, or `..`.
    """
    if name == "..":
        raise ValueError(f"{path} leads out of its folder")
    try:
        return os.open(name, FOLDER | os.O_NOFOLLOW, dir_fd=within)
    except NotADirectoryError:
        if stat.S_ISLNK(os.stat(name, dir_fd=within, follow_symlinks=False).st_mode):
            raise LinkError(path) from None
        raise


def open_regular(path: Path, folder: int | None = None) -> BinaryIO:
    """Open a regular file for reading; links in the folders of its path are followed, if they end.

    Args:
        path: path of the file.
        folder: descriptor of the open folder that contains it, if its path is not to be followed
            again.

    Raises:
        ValueError: it is no regular file but a folder, a link, a FIFO, a socket or a device.
    """
    return os.fdopen(_open_regular(path, folder, os.O_RDONLY), "rb")


def _open_regular(path: Path, folder: int | None, flags: int) -> int:
    found = path if folder is None else Path(path.name)
    if not flags & os.O_EXCL:
        # Checked first: opening a device may have an effect, and a socket raises the same error as
        # storage that is away.
        with suppress(FileNotFoundError):
            check_regular(path, os.stat(found, dir_fd=folder, follow_symlinks=False).st_mode)
    flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    number = os.open(found, flags, 0o644, dir_fd=folder)
    try:
        status = os.fstat(number)
        check_regular(path, status.st_mode)
        if flags & os.O_APPEND and status.st_nlink > 1:
            raise ValueError(
                f"{path} has a second name (a hard link), under which it would be written too: put "
                "a copy in its place"
            )
    except BaseException:
        os.close(number)
        raise
    return number


def read_regular(path: Path) -> bytes:
    """Return the content of a regular file; raises as `open_regular`."""
    with open_regular(path) as file:
        return file.read()


def check_regular(path: Path, mode: int) -> None:
    """Raise a ValueError if a mode, as from `os.stat`, is not that of a regular file."""
    kind = stat.S_IFMT(mode)
    if kind != stat.S_IFREG:
        raise ValueError(f"{path} is {FILE_KINDS.get(kind, 'no file')}, where a file is expected")


def write_file(root: Path, path: Path, content: bytes) -> None:
    """Write a complete file in place of an existing one, or leave the old one unchanged.

    Raises:
        LinkError: its path has a link.
    """
    with opened(root, path.parent) as folder, naming(path):
        unfinished = random_name(path.name)
        try:
            with new_file(folder, unfinished) as file:
                file.write(content)
            os.replace(unfinished, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with suppress(OSError):
                os.unlink(unfinished, dir_fd=folder)
            raise


def new_file(folder: int, name: str) -> BinaryIO:
    """Create a new file and open it for writing; raise an OSError if the name exists."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(name, flags, 0o666, dir_fd=folder), "wb")


def open_to_append(root: Path, path: Path, *, create: bool = False, new: bool = False) -> int:
    """Open a regular file below `root` for reading and appending; return its descriptor.

    Args:
        root: folder whose own path may contain links.
        path: path of the file.
        create: whether to create it if it is missing.
        new: whether it must not exist yet.

    Raises:
        ValueError: it or a folder of its path is a link, or it is no file, or has a second name.
    """
    flags = os.O_RDWR | os.O_APPEND
    flags |= os.O_CREAT if create or new else 0
    flags |= os.O_EXCL if new else 0
    with opened(root, path.parent) as folder, naming(path):
        return _open_regular(path, folder, flags)


def random_name(name: str) -> str:
    """Return a hidden name for what becomes `name` once it is complete; it cannot be guessed."""
    return f".{name}-{secrets.token_hex(8)}"


def copy_folder(source: int, target: int, path: Path, *, own: bool = False) -> None:
    """Copy the files and folders of an open folder to another one, which is empty.

    Args:
        source: descriptor of the folder to copy.
        target: descriptor of the empty folder.
        path: path of the source, for error messages.
        own: whether the source is this process's own, so that links in it to files are followed.

    Raises:
        ValueError: it contains a link, or anything but files and folders.
    """
    for entry in sorted(os.scandir(source), key=lambda entry: entry.name):
        name, here = entry.name, path / entry.name
        if entry.is_dir(follow_symlinks=False):
            os.mkdir(name, dir_fd=target)
            with (
                _closing(open_folder(source, name, here)) as below,
                _closing(open_folder(target, name, here)) as copy,
            ):
                copy_folder(below, copy, here, own=own)
        elif not own:
            with open_regular(here, source) as file, new_file(target, name) as copied:
                shutil.copyfileobj(file, copied, CHUNK_BYTES)
        elif entry.is_file():
            with here.open("rb") as file, new_file(target, name) as copied:
                shutil.copyfileobj(file, copied, CHUNK_BYTES)


@contextmanager
def _closing(number: int) -> Iterator[int]:
    try:
        yield number
    finally:
        os.close(number)


def check_no_links(root: Path, folder: Path) -> None:
    """Raise a ValueError if the path of a folder has a link, or if the folder contains anything but
    files and folders, at any depth."""
    try:
        with opened(root, folder) as number:
            for parent, folders, files, within in os.fwalk(dir_fd=number):
                for name in (*folders, *files):
                    mode = os.stat(name, dir_fd=within, follow_symlinks=False).st_mode
                    if not stat.S_ISDIR(mode):
                        check_regular(folder / parent / name, mode)
    except RecursionError:
        raise ValueError(f"{folder} has folders in folders without end") from None


def bytes_in(folder: Path, root: Path | None = None) -> int:
    """Return the bytes of all files below a folder, without those that are being deleted; links are
    followed to `root` alone, which is the folder if None."""
    size = 0
    # `os.fwalk` itself skips a folder that is gone, except the first.
    with suppress(FileNotFoundError), opened(root or folder, folder) as number:
        for _, _, files, within in os.fwalk(dir_fd=number):
            for name in files:
                with suppress(FileNotFoundError):
                    size += os.stat(name, dir_fd=within, follow_symlinks=False).st_size
    return size


def delete(folder: int, name: str) -> None:
    """Delete `name` in an open folder, as far as possible; of a link, the link and not its
    target."""
    with suppress(OSError):
        if not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            os.unlink(name, dir_fd=folder)
            return
        with _closing(os.open(name, FOLDER | os.O_NOFOLLOW, dir_fd=folder)) as number:
            # List all names first: deletions during a scan may hide others.
            for entry in list(os.scandir(number)):
                delete(number, entry.name)
        os.rmdir(name, dir_fd=folder)


def make_private(root: Path, path: Path) -> None:
    """Create a folder that only this user can write to, or raise a ValueError. An existing one is
    kept if only this user can write to it; else others may have changed it, and it is deleted."""
    try:
        with opened(root, path.parent, make=True) as folder:
            if not _is_private(folder, path.name):
                with suppress(FileNotFoundError):
                    old = random_name(path.name)
                    os.rename(path.name, old, src_dir_fd=folder, dst_dir_fd=folder)
                    delete(folder, old)
                os.mkdir(path.name, 0o700, dir_fd=folder)
    except OSError as error:
        raise ValueError(
            f"{path}: cannot be made a folder that only you can write to ({error.strerror})"
        ) from None


def _is_private(folder: int, name: str) -> bool:
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    writable = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISDIR(found.st_mode) and not writable and found.st_uid == os.geteuid()


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Make errors in an open folder name the whole path."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            error.filename, error.filename2 = str(path), None
        raise
