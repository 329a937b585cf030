"""Where a study's files and checkpoints lie: a folder that all nodes share, or a bucket of S3.

A store is a folder of folders which are there whole or not at all, whenever their writer is killed:
in a file system by a rename; in a bucket, which has none, by `RESULT_FILE`, which is uploaded last
and deleted first.

A bucket is reached by `pyarrow.fs` (`s3`). A folder is not: pyarrow's `LocalFileSystem` follows
links, opens what is no regular file, cannot make a file only if it is new (O_EXCL), and takes paths
alone, in which another user can exchange a folder between two calls. So a folder is reached by
`inside`.

Needs neither Ray nor torch.
"""

from __future__ import annotations

import os
import secrets
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from typing_extensions import override

from tune_cluster.storage.addresses import SCHEME
from tune_cluster.storage.inside import (
    bytes_in,
    check_no_links,
    copy_folder,
    delete,
    naming,
    opened,
    read_file,
)

RESULT_FILE = "result.json"
"""In every folder of a store."""

UNFINISHED = ".unfinished-"
"""Begins the name of a folder that is being written, or deleted: a kill may leave it."""

FULL_BYTES = 64 * 1024
"""A disk with less is full: what failed on it failed by that."""


class Store(ABC):
    """A folder of folders that trials write to and that all nodes see.

    Every method that reads or writes raises an OSError where the storage fails.
    """

    name: str
    """The last part of its address."""

    @staticmethod
    def at(address: str) -> Store:
        """The store at a path or an `s3://` URL. Of a path the folder itself must be no link, what
        leads to it may have links."""
        if address.startswith(SCHEME):
            # Here: it is a store itself.
            from tune_cluster.storage.s3 import S3Store

            return S3Store(address)
        path = Path(address)
        return LocalStore(path, root=path.parent)

    @abstractmethod
    def __str__(self) -> str:
        """Its address, which `at` takes."""

    @abstractmethod
    def __truediv__(self, name: str) -> Store:
        """The store `name` in it, which need not exist."""

    @abstractmethod
    def exists(self) -> bool:
        """Whether it is there; always of a bucket, where what was never written looks the same."""

    @abstractmethod
    def is_full(self) -> bool:
        """Whether it is a disk that is full."""

    @abstractmethod
    def folders(self) -> list[str]:
        """The names of the whole folders in it, sorted; none if it does not exist. Of links too,
        which are then refused by name."""

    @abstractmethod
    def sizes(self) -> dict[str, int]:
        """The bytes of the folders in it, unfinished ones too, by their names."""

    @abstractmethod
    def read(self, path: str) -> bytes:
        """A file in it."""

    @abstractmethod
    def put(self, source: Path, name: str) -> None:
        """Makes a copy of a local folder, `RESULT_FILE` and all, the folder `name`, in the place of
        one that was there. After an error it can be done again."""

    @abstractmethod
    def reading(self, name: str) -> AbstractContextManager[Path]:
        """A local folder with what the folder `name` has, for as long as the context lasts.

        Raises:
            ValueError: it has what no writer of a checkpoint leaves, such as a link.
        """

    @abstractmethod
    def copy_to(self, name: str, target: Path) -> None:
        """Copies what the folder `name` has to an empty local folder of this process's own.

        Raises:
            ValueError: it has what no writer of a checkpoint leaves, such as a link.
        """

    @abstractmethod
    def drop(self, name: str) -> None:
        """Deletes the folder `name`, as far as it can be deleted."""

    @abstractmethod
    def drop_unfinished(self) -> None:
        """Deletes what killed writers have left; nobody may be writing."""


class LocalStore(Store):
    """A store in a file system, in which no link is followed.

    Args:
        path: of the folder; made at the first write, in one that is there.
        root: it, or a folder above it: what that lies in may be reached by links; `path` if None.
    """

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
        return read_file(self._root, self.path / path)

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
        # Not with its parents: where a mount point is away, what is under it would be filled.
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
                # Half a folder is of no use, and would keep a full disk full.
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
    """Whether less than `FULL_BYTES` are left where `folder` is."""
    try:
        return shutil.disk_usage(folder).free < FULL_BYTES
    except OSError:
        return False
