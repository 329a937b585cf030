"""Where checkpoints lie: a folder that all nodes share, or a bucket.

Both hold folders which are there whole or not at all, whenever their writer is killed. In a file
system that is a rename. A bucket has none: there `RESULT_FILE` is uploaded last and deleted first,
and a folder without it is no folder.

Needs neither Ray nor torch.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from pyarrow import fs

RESULT_FILE = "result.json"
"""In every folder that is written here, and what makes it whole in a bucket."""

SCHEME = "s3://"


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

    def writing(self, name: str) -> AbstractContextManager[Path]:
        """A local folder to write to, `RESULT_FILE` too; it becomes the folder `name`, in the place
        of one that was there, unless the block raises.

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
        path: of the folder; made at the first write.
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

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """A folder beside the others, which is renamed at the end."""
        unfinished = self.path / f".unfinished-{os.getpid()}"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        yield unfinished
        shutil.rmtree(self.path / name, ignore_errors=True)
        unfinished.rename(self.path / name)

    @contextmanager
    def reading(self, name: str) -> Iterator[Path]:
        """The folder itself."""
        yield self.path / name

    def drop(self, name: str) -> None:
        """Deletes the folder `name`."""
        shutil.rmtree(self.path / name, ignore_errors=True)

    def drop_unfinished(self) -> None:
        """Deletes what killed writers have left."""
        for left in self.path.glob(".unfinished-*"):
            shutil.rmtree(left, ignore_errors=True)


class Bucket:
    """A place in a bucket of S3, or of what speaks its protocol, at `AWS_ENDPOINT_URL`.

    Credentials and region are those of the process: the instance's role, `~/.aws`, the environment.

    Args:
        url: `s3://bucket/folder`.
    """

    def __init__(self, url: str) -> None:
        self.path = url.removeprefix(SCHEME).strip("/")
        """`bucket/folder`, as pyarrow names it."""
        self.name = self.path.rpartition("/")[2]

    def __str__(self) -> str:
        return f"{SCHEME}{self.path}"

    def __truediv__(self, name: str) -> Bucket:
        return Bucket(f"{self.path}/{name}")

    def files(self) -> dict[str, int]:
        """The files below it, their paths within it and their sizes in bytes."""
        below = fs.FileSelector(self.path, recursive=True, allow_not_found=True)
        return {
            found.path[len(self.path) + 1 :]: found.size
            for found in store().get_file_info(below)
            if found.type == fs.FileType.File
        }

    def folders(self) -> list[str]:
        """The names of the folders in it that have their `RESULT_FILE`."""
        suffix = f"/{RESULT_FILE}"
        whole = [path.removesuffix(suffix) for path in self.files() if path.endswith(suffix)]
        return sorted(name for name in whole if "/" not in name)

    def read(self, path: str) -> bytes:
        """A file in it."""
        with store().open_input_stream(f"{self.path}/{path}") as stream:
            content: bytes = stream.read()
        return content

    def write(self, path: str, content: bytes) -> None:
        """Puts a file into it, whole or not at all."""
        with store().open_output_stream(f"{self.path}/{path}") as stream:
            stream.write(content)

    def delete(self, path: str) -> None:
        """Deletes a file in it, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            store().delete_file(f"{self.path}/{path}")

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """A temporary folder, which is uploaded at the end."""
        with tempfile.TemporaryDirectory(prefix="checkpoint-") as local:
            yield Path(local)
            self.delete(f"{name}/{RESULT_FILE}")
            with contextlib.suppress(FileNotFoundError):
                store().delete_dir(f"{self.path}/{name}")
            result = Path(local, RESULT_FILE)
            content = result.read_bytes()
            result.unlink()
            fs.copy_files(local, f"{self.path}/{name}", destination_filesystem=store())
            self.write(f"{name}/{RESULT_FILE}", content)

    @contextmanager
    def reading(self, name: str) -> Iterator[Path]:
        """A temporary copy."""
        with tempfile.TemporaryDirectory(prefix="checkpoint-") as local:
            fs.copy_files(f"{self.path}/{name}", local, source_filesystem=store())
            yield Path(local)

    def drop(self, name: str) -> None:
        """Deletes the folder `name`."""
        with contextlib.suppress(OSError):
            self.delete(f"{name}/{RESULT_FILE}")
            store().delete_dir(f"{self.path}/{name}")

    def drop_unfinished(self) -> None:
        """Deletes folders without their `RESULT_FILE`."""
        whole = set(self.folders())
        begun = {path.partition("/")[0] for path in self.files() if "/" in path}
        for name in begun - whole:
            self.drop(name)


def place_at(address: str) -> Place:
    """The place at a path or an `s3://` URL."""
    return Bucket(address) if address.startswith(SCHEME) else Folder(Path(address))


@functools.cache
def store() -> fs.S3FileSystem:
    """The connections of this process; made at the first use, since they cannot be pickled."""
    return fs.S3FileSystem(
        # pyarrow reads this variable in some of its versions and ways of building only.
        endpoint_override=os.environ.get("AWS_ENDPOINT_URL"),
        # One request for a small file in place of three.
        allow_delayed_open=True,
    )
