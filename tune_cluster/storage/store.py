"""Stores of a study's files and checkpoints: a folder that all nodes share, or a bucket of S3, by a
path or an address (`s3://bucket/folder`).

A store is a folder of folders that are complete or absent, whenever their writer is killed: in a
file system by a rename; in a bucket, which has no rename, by `RESULT_FILE`, which is uploaded last
and deleted first.

A bucket is accessed by `pyarrow.fs` (`s3`), a folder by `inside`: pyarrow's `LocalFileSystem`
follows links, opens irregular files, cannot create a file only if it is new (O_EXCL), and accepts
paths alone, in which another user can exchange a folder between two calls.

Files that pass a node's own disk are kept there in a folder of the process that made it. A killed
process removes nothing, so each folder has a file that its process locks for its lifetime: a folder
without a lock is removed by the next process that needs one, and by the driver at its end.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import re
import secrets
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache
from pathlib import Path

from typing_extensions import override

from tune_cluster.storage.inside import (
    bytes_in,
    check_no_links,
    copy_folder,
    delete,
    naming,
    open_regular,
    open_to_append,
    opened,
)

SCHEME = "s3://"

BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html"""

LONGEST_NAME_BYTES = 200
"""Bytes of a study's name: file systems allow 255, and hidden and numbered names are longer."""

LONGEST_PART_BYTES, LONGEST_PATH_BYTES = 255, 3500
"""Bytes that Linux allows for a part and, minus the paths below a study, for the whole."""


def expanded(flag: str, typed: str) -> str:
    """Return a path or an address with `~` expanded, which the shell does not do after `=`.

    Raises:
        ValueError: no file system accepts it, or the user does not exist; names the flag first.
    """
    check_characters(flag, typed)
    path = os.path.expanduser(typed)  # noqa: PTH111 - a Path drops the second slash of s3://
    if path.startswith("~") and not os.path.lexists(path):
        raise ValueError(f"{flag} {typed}: there is no such user; for a folder of that name: ./")
    longest = max(len(os.fsencode(part)) for part in path.split("/"))
    if longest > LONGEST_PART_BYTES or len(os.fsencode(os.path.abspath(path))) > LONGEST_PATH_BYTES:  # noqa: PTH100
        raise ValueError(
            f"{flag} {path[:40]}... is too long: a name in a path has at most {LONGEST_PART_BYTES} "
            f"bytes, the whole {LONGEST_PATH_BYTES:,}"
        )
    return path


def check_name(flag: str, name: str) -> None:
    """Raise a ValueError for an invalid folder name: a path, empty, blank, too long, or with
    characters that names cannot have."""
    check_characters(flag, name)
    if not name.strip() or "/" in name or name in (".", ".."):
        raise ValueError(f"{flag} must be the name of a folder, without /, got {name!r}")
    if (size := len(name.encode())) > LONGEST_NAME_BYTES:
        raise ValueError(
            f"{flag} must have at most {LONGEST_NAME_BYTES} bytes, got {size:,}: {name[:40]}..."
        )


def check_characters(flag: str, typed: str) -> None:
    """Raise a ValueError for text that cannot be shown on a line (control characters) or written as
    UTF-8."""
    if not all(character.isprintable() for character in typed):
        raise ValueError(f"{flag} must be text without control characters, got {typed[:40]!a}")


def check_address(flag: str, address: str) -> None:
    """Raise a ValueError for an address that is neither a folder nor a bucket: another URL, or one
    with credentials."""
    if ":/" not in address:
        return
    if "@" in address:
        # Not repeated, since the part before it is a password.
        raise ValueError(
            f"{flag} must have no credentials in it, which everybody could read; give them in "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or in ~/.aws"
        )
    bucket = address.removeprefix(SCHEME).partition("/")[0]
    named = address.startswith(SCHEME) and BUCKET_NAME.fullmatch(bucket)
    if not named or re.search(r"[?#\s]|/\.{0,2}/|/\.{1,2}$", address.removeprefix(SCHEME)):
        raise ValueError(
            f"{flag} must be a folder on storage that all nodes share, or s3://bucket/folder, got "
            f"{address}"
        )


SCRATCH_PREFIX, SCRATCH_LOCK = "tune-cluster-", "lock"


def scratch() -> tempfile.TemporaryDirectory[str]:
    """Create a folder that exists until it is cleaned up or the process ends."""
    return tempfile.TemporaryDirectory(
        dir=_own(os.getpid(), tempfile.gettempdir()), ignore_cleanup_errors=True
    )


def sweep() -> None:
    """Remove the folders of processes that have ended."""
    for folder in _folders():
        try:
            lock = os.open(folder / SCRATCH_LOCK, os.O_RDWR | os.O_NOFOLLOW)
        except OSError:
            # It is being created, or was removed.
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(lock)


def _folders() -> Iterator[Path]:
    for folder in Path(tempfile.gettempdir()).glob(f"{SCRATCH_PREFIX}*"):
        try:
            status = folder.lstat()
        except FileNotFoundError:
            continue
        # Anybody else who may write there could have created it.
        if status.st_uid == os.getuid() and not folder.is_symlink():
            yield folder


@cache
def _own(pid: int, disk: str) -> Path:
    """Return the folder of this process there; a fork of it has another one."""
    sweep()
    folder = Path(tempfile.mkdtemp(prefix=SCRATCH_PREFIX, dir=disk))
    # Locked before it gets the name under which others look for it.
    made = os.open(folder / f"{SCRATCH_LOCK}-{pid}", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    fcntl.flock(made, fcntl.LOCK_EX)
    (folder / f"{SCRATCH_LOCK}-{pid}").rename(folder / SCRATCH_LOCK)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


RESULT_FILE = "result.json"
"""File that every complete folder of a store has."""

UNFINISHED = ".unfinished-"
"""Prefix of folders that are being written or deleted, which a kill may leave."""

FULL_BYTES = 64 * 1024
"""Bytes below which a disk is full, so that an error on it is caused by that."""


class Store(ABC):
    """A folder of folders that trials write to and that all nodes see.

    Every method that reads or writes raises an OSError if the storage fails.
    """

    name: str
    """Last part of its address."""

    append_seconds: float
    """Recommended seconds between two calls of `append` for one file."""

    @staticmethod
    def at(address: str) -> Store:
        """Return the store at a path or an `s3://` URL. The folder at a path must be no link; the
        path to it may have links."""
        if address.startswith(SCHEME):
            # Imported here, since that module imports this one.
            from tune_cluster.storage.s3 import S3Store

            return S3Store(address)
        path = Path(address)
        return LocalStore(path, root=path.parent)

    @abstractmethod
    def __str__(self) -> str:
        """Return its address, as `at` accepts it."""

    @abstractmethod
    def __truediv__(self, name: str) -> Store:
        """Return the store `name` in it, which need not exist."""

    @abstractmethod
    def exists(self) -> bool:
        """Return whether it exists; True for a bucket, where absent and empty look the same."""

    @abstractmethod
    def is_full(self) -> bool:
        """Return whether it is on a full disk."""

    @abstractmethod
    def folders(self) -> list[str]:
        """Return the names of the complete folders in it, sorted; none if it does not exist.
        Includes links, which are then refused by name."""

    @abstractmethod
    def sizes(self) -> dict[str, int]:
        """Return the bytes of the folders in it by name, with unfinished ones."""

    @abstractmethod
    def read(self, path: str) -> bytes:
        """Return the content of a file in it."""

    @abstractmethod
    def append(self, path: str, data: bytes) -> None:
        """Append to a file in it, which is made where it is missing, the folder too."""

    @abstractmethod
    def put(self, source: Path, name: str) -> None:
        """Copy a local folder, including `RESULT_FILE`, to the folder `name`, in place of an
        existing one. It can be repeated after an error."""

    @abstractmethod
    def reading(self, name: str) -> AbstractContextManager[Path]:
        """Provide a local folder with the content of the folder `name` within the `with` block.

        Raises:
            ValueError: it has what no writer of a checkpoint leaves, such as a link.
        """

    @abstractmethod
    def copy_to(self, name: str, target: Path) -> None:
        """Copy the content of the folder `name` to an empty local folder of this process; raises as
        `reading`."""

    @abstractmethod
    def drop(self, name: str) -> None:
        """Delete the folder `name`, as far as possible."""

    @abstractmethod
    def drop_unfinished(self) -> None:
        """Delete what killed writers have left; no writer may be running."""


class LocalStore(Store):
    """A store in a file system, in which no link is followed.

    Args:
        path: path of the folder; created at the first write, in an existing folder.
        root: the folder or one above it, whose own path may contain links; `path` if None.
    """

    append_seconds = 0.0

    def __init__(self, path: Path, root: Path | None = None) -> None:
        self.path = path
        self.name = path.name
        self._root = path if root is None else root

    @override
    def __str__(self) -> str:
        return str(self.path)

    @override
    def __truediv__(self, name: str) -> LocalStore:
        return LocalStore(self.path / name, self._root)

    @override
    def folders(self) -> list[str]:
        with suppress(FileNotFoundError), self._opened() as number:
            return sorted(
                entry.name
                for entry in os.scandir(number)
                if entry.name[0] != "." and (entry.is_symlink() or entry.is_dir())
            )
        return []

    @override
    def read(self, path: str) -> bytes:
        file = self.path / path
        with (
            opened(self._root, file.parent) as folder,
            naming(file),
            open_regular(file, folder) as content,
        ):
            return content.read()

    @override
    def append(self, path: str, data: bytes) -> None:
        # Made as `put` makes it: not with its parents.
        with self._opened(make=True):
            number = open_to_append(self._root, self.path / path, create=True)
        with os.fdopen(number, "ab") as file:
            file.write(data)

    @override
    def exists(self) -> bool:
        try:
            return self.path.is_dir()
        except OSError:
            return False

    @override
    def is_full(self) -> bool:
        return disk_is_full(str(self.path))

    @override
    def sizes(self) -> dict[str, int]:
        sizes = {}
        with suppress(FileNotFoundError), self._opened() as number:
            for entry in os.scandir(number):
                if entry.is_dir(follow_symlinks=False):
                    sizes[entry.name] = bytes_in(self.path / entry.name, self._root)
        return sizes

    @override
    def put(self, source: Path, name: str) -> None:
        # Not with its parents: if a mount point is away, the disk below it would be filled.
        with self._opened(make=True) as number, naming(self.path / name):
            unfinished = f"{UNFINISHED}{secrets.token_hex(8)}"
            try:
                os.mkdir(unfinished, dir_fd=number)
                with (
                    opened(source, source) as local,
                    opened(self._root, self.path / unfinished) as copy,
                ):
                    copy_folder(local, copy, source, own=True)
                self._drop(number, name)
                os.rename(unfinished, name, src_dir_fd=number, dst_dir_fd=number)
            except BaseException:
                # An incomplete folder is useless, and would keep a full disk full.
                delete(number, unfinished)
                raise

    @override
    @contextmanager
    def reading(self, name: str) -> Iterator[Path]:
        check_no_links(self._root, self.path / name)
        yield self.path / name

    @override
    def copy_to(self, name: str, target: Path) -> None:
        with opened(self._root, self.path / name) as source, opened(target, target) as copy:
            copy_folder(source, copy, self.path / name)

    @override
    def drop(self, name: str) -> None:
        with suppress(OSError), self._opened() as number:
            self._drop(number, name)

    @override
    def drop_unfinished(self) -> None:
        with suppress(FileNotFoundError), self._opened() as number:
            for entry in list(os.scandir(number)):
                if entry.name.startswith(UNFINISHED):
                    delete(number, entry.name)

    def _opened(self, *, make: bool = False) -> AbstractContextManager[int]:
        return opened(self._root, self.path, make=make)

    def _drop(self, number: int, name: str) -> None:
        going = f"{UNFINISHED}{secrets.token_hex(8)}"
        with suppress(OSError):
            os.rename(name, going, src_dir_fd=number, dst_dir_fd=number)
        delete(number, going)


def disk_is_full(folder: str) -> bool:
    """Return whether fewer than `FULL_BYTES` are left on the disk of `folder`."""
    try:
        return shutil.disk_usage(folder).free < FULL_BYTES
    except OSError:
        return False
