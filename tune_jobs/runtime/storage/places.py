"""Where checkpoints lie: a folder that all nodes share, or a bucket.

Both hold folders which are there whole or not at all, whenever their writer is killed: in a file
system by a rename, in a bucket by what is uploaded last (`bucket`).

Needs neither Ray nor torch.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from tune_jobs.runtime.storage.bucket import SCHEME, Bucket

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
        """

    def drop(self, name: str) -> None:
        """Deletes the folder `name`, as far as it can be deleted."""

    def drop_unfinished(self) -> None:
        """Deletes what killed writers have left; nobody may be writing."""


class Folder:
    """A place in a file system.

    Args:
        path: of the folder; made at the first write, in one that is there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name

    def __str__(self) -> str:
        return str(self.path)

    def __truediv__(self, name: str) -> Folder:
        return Folder(self.path / name)

    def folders(self) -> list[str]:
        """The names of the whole folders in it."""
        return sorted(
            path.name for path in self.path.glob("*") if path.is_dir() and path.name[0] != "."
        )

    def read(self, path: str) -> bytes:
        """A file in it."""
        return (self.path / path).read_bytes()

    def there(self) -> bool:
        """Whether it is there, and answers."""
        try:
            return self.path.is_dir()
        except OSError:
            return False

    def sizes(self) -> dict[str, int]:
        """The bytes of the folders in it."""
        return {path.name: bytes_in(path) for path in self.path.glob("*") if path.is_dir()}

    def put(self, source: Path, name: str) -> None:
        """Copies to a folder beside the others, and renames it."""
        # Not with its parents: where a mount point is away, what is under it would be filled.
        self.path.mkdir(exist_ok=True)
        unfinished = self.path / f"{UNFINISHED}{os.getpid()}"
        try:
            shutil.rmtree(unfinished, ignore_errors=True)
            copy_files(source, unfinished)
            self.drop(name)
            unfinished.rename(self.path / name)
        except BaseException:
            # Half a folder is of no use, and would keep a full disk full.
            shutil.rmtree(unfinished, ignore_errors=True)
            raise

    @contextmanager
    def reading(self, name: str) -> Iterator[Path]:
        """The folder itself."""
        yield self.path / name

    def drop(self, name: str) -> None:
        """Deletes the folder `name`, which is gone before its files are."""
        going = self.path / f"{UNFINISHED}{name}"
        with contextlib.suppress(OSError):
            (self.path / name).rename(going)
        shutil.rmtree(going, ignore_errors=True)

    def drop_unfinished(self) -> None:
        """Deletes what killed writers have left."""
        for left in self.path.glob(f"{UNFINISHED}*"):
            shutil.rmtree(left, ignore_errors=True)


def copy_files(source: Path, target: Path) -> None:
    """Copies a local folder.

    Raises:
        OSError: the first one, with its number, which that of `shutil.copytree` lacks.
    """
    for path in sorted(source.rglob("*")):
        if path.is_file():
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)


def bytes_in(folder: Path) -> int:
    """Of the files in a local folder, those that are being deleted meanwhile left out."""
    size = 0
    # Unlike `Path.rglob` it passes over a folder that is gone.
    for parent, _, files in os.walk(folder):
        for file in files:
            with contextlib.suppress(FileNotFoundError):
                size += Path(parent, file).stat().st_size
    return size


def place_at(address: str) -> Place:
    """The place at a path or an `s3://` URL."""
    return Bucket(address) if address.startswith(SCHEME) else Folder(Path(address))
