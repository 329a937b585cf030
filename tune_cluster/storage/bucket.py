"""A bucket of S3 as a place for checkpoints (`places`), and for a study's other files.

It has no rename: a folder is whole when it has its `RESULT_FILE`, which is uploaded last and
deleted first.

Needs neither Ray nor torch.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyarrow import fs

from tune_cluster.storage.scratch import scratch

RESULT_FILE = "result.json"
"""In every folder of a place."""

SCHEME = "s3://"

CHUNK_BYTES = 1024**2

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
        with reached():
            found = store().get_file_info(below)
        files = (file for file in found if file.type == fs.FileType.File)
        return {file.path[len(self.path) + 1 :]: file.size for file in files}

    def folders(self) -> list[str]:
        """The names of the folders in it that have their `RESULT_FILE`."""
        suffix = f"/{RESULT_FILE}"
        whole = [path.removesuffix(suffix) for path in self.files() if path.endswith(suffix)]
        return sorted(name for name in whole if "/" not in name)

    def read(self, path: str) -> bytes:
        """A file in it."""
        with reached(), store().open_input_stream(f"{self.path}/{path}") as stream:
            content: bytes = stream.read()
        return content

    def write(self, path: str, content: bytes) -> None:
        """Puts a file into it, whole or not at all."""
        with reached(), store().open_output_stream(f"{self.path}/{path}") as stream:
            stream.write(content)

    def delete(self, path: str) -> None:
        """Deletes a file in it, if it is there."""
        with contextlib.suppress(FileNotFoundError), reached():
            store().delete_file(f"{self.path}/{path}")

    def there(self) -> bool:
        """Always: what was never written to it looks the same."""
        return True

    def sizes(self) -> dict[str, int]:
        """The bytes of the folders in it."""
        sizes: dict[str, int] = {}
        for path, size in self.files().items():
            name, inside, _ = path.partition("/")
            if inside:
                sizes[name] = sizes.get(name, 0) + size
        return sizes

    def put(self, source: Path, name: str) -> None:
        """Uploads the files, `RESULT_FILE` last."""
        self.delete(f"{name}/{RESULT_FILE}")
        with contextlib.suppress(FileNotFoundError), reached():
            store().delete_dir(f"{self.path}/{name}")
        for path in sorted(source.rglob("*"), key=lambda path: path == source / RESULT_FILE):
            if path.is_file():
                self.write(f"{name}/{path.relative_to(source)}", path.read_bytes())

    @contextmanager
    def reading(self, name: str) -> Iterator[Path]:
        """A temporary copy."""
        with scratch() as local:
            self.copy_to(name, Path(local))
            yield Path(local)

    def copy_to(self, name: str, target: Path) -> None:
        """Downloads it."""
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
                store().open_input_stream(f"{folder.path}/{file}") as stream,
                copy.open("xb") as written,
            ):
                shutil.copyfileobj(stream, written, CHUNK_BYTES)

    def drop(self, name: str) -> None:
        """Deletes the folder `name`."""
        with contextlib.suppress(OSError):
            self.delete(f"{name}/{RESULT_FILE}")
            with reached():
                store().delete_dir(f"{self.path}/{name}")

    def drop_unfinished(self) -> None:
        """Deletes folders without their `RESULT_FILE`."""
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


@functools.cache
def store() -> fs.S3FileSystem:
    """The connections of this process; made at the first use, since they cannot be pickled."""
    return fs.S3FileSystem(
        # pyarrow reads this variable in some of its versions and ways of building only.
        endpoint_override=os.environ.get("AWS_ENDPOINT_URL"),
        # One request for a small file in place of three.
        allow_delayed_open=True,
    )
