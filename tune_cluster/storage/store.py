"""Where a study's files and checkpoints lie: a folder that all nodes share, or a bucket of S3.

A store is a folder of folders which are there whole or not at all, whenever their writer is killed:
in a file system by a rename; in a bucket, which has none, by `RESULT_FILE`, which is uploaded last
and deleted first.

A bucket is reached by `pyarrow.fs`. A folder is not: `pyarrow.fs.LocalFileSystem` follows links,
opens what is no regular file, cannot make a file only if it is new (O_EXCL), and takes paths alone,
in which another user can exchange a folder between two calls. So a folder is reached by `inside`.

Needs neither Ray nor torch.
"""

from __future__ import annotations

import errno
import functools
import os
import re
import secrets
import shutil
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from pyarrow import fs
from typing_extensions import override

from tune_cluster.storage.addresses import SCHEME
from tune_cluster.storage.inside import (
    CHUNK_BYTES,
    bytes_in,
    check_no_links,
    copy_folder,
    delete,
    naming,
    opened,
    read_file,
)
from tune_cluster.storage.scratch import scratch

RESULT_FILE = "result.json"
"""In every folder of a store."""

UNFINISHED = ".unfinished-"
"""Begins the name of a folder that is being written, or deleted: a kill may leave it."""

FULL_BYTES = 64 * 1024
"""A disk with less is full: what failed on it failed by that."""

REASONS = {
    "NO_SUCH_BUCKET": "there is no bucket of that name: make it, or give another one",
    "ACCESS_DENIED": "no credentials, or they do not allow it: it takes s3:ListBucket, "
    "s3:GetObject, s3:PutObject and s3:DeleteObject, by the machine's role, in ~/.aws or in "
    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "INVALID_ACCESS_KEY_ID": "nobody knows these credentials",
    "SIGNATURE_DOES_NOT_MATCH": "the secret of these credentials is another one",
    "NETWORK_CONNECTION": "nothing answers there; AWS_ENDPOINT_URL says where another S3 is",
}
"""By pyarrow's name of an error of S3, what a person can do."""


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


class S3Store(Store):
    """A store in a bucket of S3, or of what speaks its protocol, at `AWS_ENDPOINT_URL`.

    Credentials and region are those of the process: the instance's role, `~/.aws`, the environment.

    Args:
        url: `s3://bucket/folder`.
    """

    def __init__(self, url: str) -> None:
        self.path = url.removeprefix(SCHEME).strip("/")
        """`bucket/folder`, as pyarrow names it."""
        self.name = self.path.rpartition("/")[2]

    @override
    def __str__(self) -> str:
        return f"{SCHEME}{self.path}"

    @override
    def __truediv__(self, name: str) -> S3Store:
        return S3Store(f"{self.path}/{name}")

    def files(self) -> dict[str, int]:
        """The files below it, their paths within it and their sizes in bytes."""
        below = fs.FileSelector(self.path, recursive=True, allow_not_found=True)
        with reached():
            found = s3().get_file_info(below)
        files = (file for file in found if file.type == fs.FileType.File)
        return {file.path[len(self.path) + 1 :]: file.size for file in files}

    @override
    def folders(self) -> list[str]:
        suffix = f"/{RESULT_FILE}"
        whole = [path.removesuffix(suffix) for path in self.files() if path.endswith(suffix)]
        return sorted(name for name in whole if "/" not in name)

    @override
    def read(self, path: str) -> bytes:
        with reached(), s3().open_input_stream(f"{self.path}/{path}") as stream:
            content: bytes = stream.read()
        return content

    def write(self, path: str, content: bytes) -> None:
        """Puts a file into it, whole or not at all."""
        with reached(), s3().open_output_stream(f"{self.path}/{path}") as stream:
            stream.write(content)

    def delete(self, path: str) -> None:
        """Deletes a file in it, if it is there."""
        with suppress(FileNotFoundError), reached():
            s3().delete_file(f"{self.path}/{path}")

    def probe(self) -> None:
        """Writes, reads and deletes a small file, with the credentials of this process.

        Raises:
            OSError: that cannot be done.
        """
        name = f".probe-{uuid.uuid4().hex}"
        self.write(name, b"probe")
        self.read(name)
        self.delete(name)

    @override
    def exists(self) -> bool:
        return True

    @override
    def is_full(self) -> bool:
        return False

    @override
    def sizes(self) -> dict[str, int]:
        sizes: dict[str, int] = {}
        for path, size in self.files().items():
            name, inside, _ = path.partition("/")
            if inside:
                sizes[name] = sizes.get(name, 0) + size
        return sizes

    @override
    def put(self, source: Path, name: str) -> None:
        self.delete(f"{name}/{RESULT_FILE}")
        with suppress(FileNotFoundError), reached():
            s3().delete_dir(f"{self.path}/{name}")
        for path in sorted(source.rglob("*"), key=lambda path: path == source / RESULT_FILE):
            if path.is_file():
                self.write(f"{name}/{path.relative_to(source)}", path.read_bytes())

    @override
    @contextmanager
    def reading(self, name: str) -> Iterator[Path]:
        with scratch() as local:
            self.copy_to(name, Path(local))
            yield Path(local)

    @override
    def copy_to(self, name: str, target: Path) -> None:
        folder = self / name
        files = folder.files()
        if not files:
            raise FileNotFoundError(errno.ENOENT, "nothing is there", str(folder))
        for file in files:
            if any(part in ("", ".", "..") for part in file.split("/")):
                # A key may be anything, and another may have made it.
                raise ValueError(f"{folder}: {file} leads out of its folder")
        for file in files:
            copy = target / file
            copy.parent.mkdir(parents=True, exist_ok=True)
            with (
                reached(),
                s3().open_input_stream(f"{folder.path}/{file}") as stream,
                copy.open("xb") as written,
            ):
                shutil.copyfileobj(stream, written, CHUNK_BYTES)

    @override
    def drop(self, name: str) -> None:
        with suppress(OSError):
            self.delete(f"{name}/{RESULT_FILE}")
            with reached():
                s3().delete_dir(f"{self.path}/{name}")

    @override
    def drop_unfinished(self) -> None:
        files = self.files()
        for name in {path.partition("/")[0] for path in files if "/" in path}:
            if f"{name}/{RESULT_FILE}" not in files:
                self.drop(name)


@contextmanager
def reached() -> Iterator[None]:
    """Gives what S3 refuses a number, as a file system's errors have one, and says what it means.

    Raises:
        FileNotFoundError: what is asked for is not there.
        OSError: the bucket cannot be used, now or before somebody does something.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno is not None:
            raise
        found = re.search(r"AWS Error (\w+)", str(error))
        known = REASONS.get(found[1]) if found else None
        raise OSError(errno.EREMOTEIO, known or str(error).splitlines()[0]) from None


@contextmanager
def refusing(flag: str, store: S3Store) -> Iterator[None]:
    """Makes an error of S3 one of what was typed.

    Raises:
        ValueError: why the bucket cannot be used.
    """
    try:
        yield
    except OSError as error:
        raise ValueError(f"{flag} {store}: {error.strerror or error}") from None


def disk_is_full(folder: str) -> bool:
    """Whether less than `FULL_BYTES` are left where `folder` is."""
    try:
        return shutil.disk_usage(folder).free < FULL_BYTES
    except OSError:
        return False


@functools.cache
def s3() -> fs.S3FileSystem:
    """The connections of this process; made at the first use, since they cannot be pickled."""
    return fs.S3FileSystem(
        # pyarrow reads this variable in some of its versions and ways of building only.
        endpoint_override=os.environ.get("AWS_ENDPOINT_URL"),
        # One request for a small file in place of three.
        allow_delayed_open=True,
    )
