"""Where checkpoints lie: a folder that all nodes share, or a bucket.

Both hold folders which are there whole or not at all, whenever their writer is killed: in a file
system by a rename, in a bucket by what is uploaded last (`bucket`).

Needs neither Ray nor torch.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from tune_cluster.storage.bucket import SCHEME, Bucket
from tune_cluster.storage.inside import (
    bytes_in,
    check_no_links,
    copy_folder,
    delete,
    naming,
    opened,
    read_file,
)

UNFINISHED = ".unfinished-"
"""Begins the name of a folder that is being written, or deleted: a kill may leave it."""

FULL_BYTES = 64 * 1024
"""A disk with less is full: what failed on it failed by that."""


class Place(Protocol):
    """A folder of folders that trials write to and that all nodes see."""

    @property
    def name(self) -> str:
        """The last part of its address."""

    def __str__(self) -> str:
        """Its address, which `place_at` takes."""

    def __truediv__(self, name: str) -> Place:
        """The place `name` in it, which need not be there."""

    def folders(self) -> list[str]:
        """The names of the whole folders in it, sorted; none if it is not there.

        Raises:
            OSError: it cannot be read.
        """

    def read(self, path: str) -> bytes:
        """A file in it.

        Raises:
            OSError: it is not there, or cannot be read.
        """

    def there(self) -> bool:
        """Whether it is there; always of what cannot be away, but only out of reach."""

    def sizes(self) -> dict[str, int]:
        """The bytes of the folders in it, unfinished ones too, by their names.

        Raises:
            OSError: it cannot be read.
        """

    def put(self, source: Path, name: str) -> None:
        """Makes a copy of a local folder, `RESULT_FILE` and all, the folder `name`, in the place of
        one that was there. After an error it can be done again.

        Raises:
            OSError: it cannot be written.
        """

    def reading(self, name: str) -> AbstractContextManager[Path]:
        """A local folder with what the folder `name` has, for as long as the context lasts.

        Raises:
            OSError: it is not there, or cannot be read.
            ValueError: it has what no writer of a checkpoint leaves, such as a link.
        """

    def copy_to(self, name: str, target: Path) -> None:
        """Copies what the folder `name` has to an empty local folder of this process's own.

        Raises:
            OSError: it is not there, or cannot be read, or not be written there.
            ValueError: it has what no writer of a checkpoint leaves, such as a link.
        """

    def drop(self, name: str) -> None:
        """Deletes the folder `name`, as far as it can be deleted."""

    def drop_unfinished(self) -> None:
        """Deletes what killed writers have left; nobody may be writing."""


class Folder:
    """A place in a file system, in which no link is followed.

    Args:
        path: of the folder; made at the first write, in one that is there.
        root: it, or a folder above it: what that lies in may be reached by links; `path` if None.
    """

    def __init__(self, path: Path, root: Path | None = None) -> None:
        self.path = path
        self.name = path.name
        self._root = path if root is None else root

    def __str__(self) -> str:
        return str(self.path)

    def __truediv__(self, name: str) -> Folder:
        return Folder(self.path / name, self._root)

    def folders(self) -> list[str]:
        """The names of the whole folders in it; of links too, which are then refused by name."""
        with contextlib.suppress(FileNotFoundError), self._opened() as number:
            return sorted(
                entry.name
                for entry in os.scandir(number)
                if entry.name[0] != "." and (entry.is_symlink() or entry.is_dir())
            )
        return []

    def read(self, path: str) -> bytes:
        """A file in it."""
        return read_file(self._root, self.path / path)

    def there(self) -> bool:
        """Whether it is there, and answers."""
        try:
            return self.path.is_dir()
        except OSError:
            return False

    def sizes(self) -> dict[str, int]:
        """The bytes of the folders in it."""
        sizes = {}
        with contextlib.suppress(FileNotFoundError), self._opened() as number:
            for entry in os.scandir(number):
                if entry.is_dir(follow_symlinks=False):
                    sizes[entry.name] = bytes_in(self.path / entry.name, self._root)
        return sizes

    def put(self, source: Path, name: str) -> None:
        """Copies to a folder beside the others, and renames it."""
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

    @contextmanager
    def reading(self, name: str) -> Iterator[Path]:
        """The folder itself."""
        check_no_links(self._root, self.path / name)
        yield self.path / name

    def copy_to(self, name: str, target: Path) -> None:
        """Copies it, whatever is exchanged for it meanwhile."""
        with opened(self._root, self.path / name) as source, opened(target, target) as copy:
            copy_folder(source, copy, self.path / name)

    def drop(self, name: str) -> None:
        """Deletes the folder `name`, which is gone before its files are."""
        with contextlib.suppress(OSError), self._opened() as number:
            self._drop(number, name)

    def drop_unfinished(self) -> None:
        """Deletes what killed writers have left."""
        with contextlib.suppress(FileNotFoundError), self._opened() as number:
            for entry in list(os.scandir(number)):
                if entry.name.startswith(UNFINISHED):
                    delete(number, entry.name)

    def _opened(self, *, make: bool = False) -> AbstractContextManager[int]:
        return opened(self._root, self.path, make=make)

    def _drop(self, number: int, name: str) -> None:
        going = f"{UNFINISHED}{secrets.token_hex(8)}"
        with contextlib.suppress(OSError):
            os.rename(name, going, src_dir_fd=number, dst_dir_fd=number)
        delete(number, going)


def place_at(address: str) -> Place:
    """The place at a path or an `s3://` URL: of a study, and where that is a folder the path to it
    may have links, and what is in it none."""
    if address.startswith(SCHEME):
        return Bucket(address)
    path = Path(address)
    return Folder(path, root=path.parent)
