"""A store in a bucket of S3, or of a service with the same protocol.

It is accessed by `pyarrow.fs`, except for conditional writes, which that lacks: boto3 makes those,
and only the driver of a study needs it. A bucket has no rename: a folder is complete when it has
its `RESULT_FILE`, which is uploaded last and deleted first.
"""

from __future__ import annotations

import errno
import functools
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenacity import retry, retry_if_exception_message, stop_after_attempt, wait_fixed
from typing_extensions import override

from search_spaces import needs_extra
from tune_cluster.storage.inside import CHUNK_BYTES
from tune_cluster.storage.store import RESULT_FILE, SCHEME, Store, scratch

# Imported by what reads a bucket: a study in a folder is listed sooner than pyarrow is imported.
if TYPE_CHECKING:
    from pyarrow import fs

REASONS = {
    "NO_SUCH_BUCKET": "there is no bucket of that name: create it, or give another one",
    "ACCESS_DENIED": "no credentials, or they do not allow it: it takes s3:ListBucket, "
    "s3:GetObject, s3:PutObject and s3:DeleteObject, by the machine's role, in ~/.aws or in "
    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "INVALID_ACCESS_KEY_ID": "these credentials are unknown",
    "SIGNATURE_DOES_NOT_MATCH": "the secret of these credentials is wrong",
    "NETWORK_CONNECTION": "nothing answers there; AWS_ENDPOINT_URL is the address of another S3",
}
"""Advice for the user, by pyarrow's name of an error of S3."""


CONNECT_SECONDS, READ_SECONDS = 3, 10
"""Seconds after which a conditional write considers the bucket unreachable; it is tried twice."""

UNDECIDED = "ConditionalRequestConflict"
"""S3's answer to a conditional write that conflicts with another one: it must be sent again."""

UNDECIDED_TRIES, UNDECIDED_SECONDS = 5, 0.2

CONFLICTS = ("PreconditionFailed", "NoSuchKey", UNDECIDED)
"""S3's answers if the condition of a write does not hold, or its object does not exist."""


class ConflictError(Exception):
    """An object of a bucket does not meet the condition of a write."""


class S3Store(Store):
    """A store in a bucket of S3, or of a service with the same protocol, at `AWS_ENDPOINT_URL`.

    Credentials and region are those of the process: the instance's role, `~/.aws`, the environment.
    """

    append_seconds = 30.0

    def __init__(self, url: str) -> None:
        self.path = url.removeprefix(SCHEME).strip("/")
        """`bucket/folder`, in pyarrow's form."""
        self.name = self.path.rpartition("/")[2]

    @override
    def __str__(self) -> str:
        return f"{SCHEME}{self.path}"

    @override
    def __truediv__(self, name: str) -> S3Store:
        return S3Store(f"{self.path}/{name}")

    def files(self) -> dict[str, int]:
        """Return the sizes in bytes of all files below it, by relative path."""
        from pyarrow import fs

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

    @override
    def append(self, path: str, data: bytes) -> None:
        # A bucket's file is written whole.
        try:
            before = self.read(path)
        except FileNotFoundError:
            before = b""
        self.write(path, before + data)

    def write(self, path: str, content: bytes) -> None:
        """Write a file to it, completely or not at all."""
        with reached(), s3().open_output_stream(f"{self.path}/{path}") as stream:
            stream.write(content)

    @retry(
        retry=retry_if_exception_message(message=UNDECIDED),
        stop=stop_after_attempt(UNDECIDED_TRIES),
        wait=wait_fixed(UNDECIDED_SECONDS),
        reraise=True,
    )
    def write_if(self, path: str, content: bytes, etag: str | None) -> str:
        """Write a file to it if the existing file has that ETag or, for None, if none exists;
        return the ETag of the new one.

        Raises:
            ConflictError: the condition does not hold, and nothing was written.
        """
        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        try:
            with reached():
                answer = s3_client().put_object(Body=content, **self._key(path), **condition)
            return str(answer["ETag"])
        except ConflictError:
            # A write whose answer was lost is sent again, and then finds its own result.
            found = self.read_tagged(path)
            if found is not None and found[0] == content:
                return found[1]
            raise

    def read_tagged(self, path: str) -> tuple[bytes, str] | None:
        """Return a file in it and its ETag; None if it does not exist."""
        try:
            with reached():
                answer = s3_client().get_object(**self._key(path))
                return answer["Body"].read(), str(answer["ETag"])
        except ConflictError:
            return None

    def delete_if(self, path: str, etag: str) -> None:
        """Delete a file in it if it has that ETag; else, or if it does not exist, raise a
        ConflictError."""
        with reached():
            s3_client().delete_object(**self._key(path), IfMatch=etag)

    def _key(self, path: str) -> dict[str, str]:
        bucket, _, folder = self.path.partition("/")
        return {"Bucket": bucket, "Key": f"{folder}/{path}" if folder else path}

    def delete(self, path: str) -> None:
        """Delete a file in it, if it exists."""
        with suppress(FileNotFoundError), reached():
            s3().delete_file(f"{self.path}/{path}")

    def probe(self) -> None:
        """Write, read and delete a small file, with the credentials of this process; raise an
        OSError if that fails."""
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
                # A key may be any text, and may be another user's.
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
    """Give errors of S3 an errno, as those of a file system have, and explain them.

    Raises:
        FileNotFoundError: the object does not exist.
        ConflictError: the condition of a write does not hold.
        OSError: the bucket cannot be used, now or until the user acts.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno is not None:
            raise
        found = re.search(r"AWS Error (\w+)", str(error))
        raise _refused(found[1] if found else "", error) from None
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "botocore":
            raise
        # Only a `ClientError` has a response; other errors mean that nothing has answered.
        response = getattr(error, "response", None)
        code = response["Error"]["Code"] if response else "NetworkConnection"
        if code in CONFLICTS:
            raise ConflictError(code) from None
        name = "ACCESS_DENIED" if type(error).__name__ == "NoCredentialsError" else code
        raise _refused(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper(), error) from None


def _refused(name: str, error: Exception) -> OSError:
    return OSError(errno.EREMOTEIO, REASONS.get(name) or str(error).splitlines()[0])


@contextmanager
def refusing(flag: str, store: S3Store) -> Iterator[None]:
    """Turn an error of S3 into a ValueError that names the flag: why the bucket cannot be used."""
    try:
        yield
    except OSError as error:
        raise ValueError(f"{flag} {store}: {error.strerror or error}") from None


@functools.cache
def s3() -> fs.S3FileSystem:
    """Return the connection of this process, opened at the first use, since it cannot be
    pickled."""
    from pyarrow import fs

    return fs.S3FileSystem(
        # pyarrow reads this variable only in some of its versions and builds.
        endpoint_override=os.environ.get("AWS_ENDPOINT_URL"),
        # One request for a small file instead of three.
        allow_delayed_open=True,
    )


@functools.cache
def s3_client() -> Any:
    """Return a client of boto3 for this process, with the same address and credentials."""
    with needs_extra("s3"):
        import boto3
        from botocore.config import Config
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": 2},
        # Only where required: not every S3 supports these checksums.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return boto3.client("s3", config=config)
