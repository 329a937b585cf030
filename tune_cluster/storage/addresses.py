"""What may be typed for where studies are kept: a folder, or `s3://bucket/folder`."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from tune_cluster.storage.bucket import SCHEME, Bucket

BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html"""


def check_address(flag: str, address: str) -> None:
    """Refuses what is neither a folder nor a bucket.

    Args:
        flag: that it was given with, for the error.
        address: as it was typed.

    Raises:
        ValueError: it is a URL, and none of a bucket.
    """
    if ":/" not in address:
        return
    if "@" in address:
        # Not repeated: what stands before it is a password.
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


def probe(bucket: Bucket) -> None:
    """Writes, reads and deletes a small file, with the credentials of this process.

    Raises:
        OSError: that cannot be done.
    """
    name = f".probe-{uuid.uuid4().hex}"
    bucket.write(name, b"probe")
    bucket.read(name)
    bucket.delete(name)


@contextmanager
def refusing(flag: str, bucket: Bucket) -> Iterator[None]:
    """Makes an error of S3 one of what was typed.

    Raises:
        ValueError: why the bucket cannot be used.
    """
    try:
        yield
    except OSError as error:
        raise ValueError(f"{flag} {bucket}: {error.strerror or error}") from None
