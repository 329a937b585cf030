"""Names, paths and addresses (`s3://bucket/folder`) as a person types them."""

from __future__ import annotations

import os
import re

SCHEME = "s3://"

BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html"""

LONGEST_NAME = 200
"""Bytes of a study's name: file systems take 255, and hidden and numbered names are longer."""

LONGEST_PART, LONGEST_PATH = 255, 3500
"""Bytes that Linux takes of a part and, less what a study has below it, of the whole."""


def expanded(flag: str, typed: str) -> str:
    """A path with `~` as the shell expands it, which it does not do after `=`.

    Args:
        flag: that it was given with, for the error.
        typed: a path, or the address of a bucket.

    Raises:
        ValueError: no file system takes it, or there is no such user.
    """
    check_characters(flag, typed)
    path = os.path.expanduser(typed)  # noqa: PTH111 - a Path drops the second slash of s3://
    if path.startswith("~") and not os.path.lexists(path):
        raise ValueError(f"{flag} {typed}: there is no such user; for a folder of that name: ./")
    longest = max(len(os.fsencode(part)) for part in path.split("/"))
    if longest > LONGEST_PART or len(os.fsencode(os.path.abspath(path))) > LONGEST_PATH:  # noqa: PTH100
        raise ValueError(
            f"{flag} {path[:40]}... is too long: a name in a path has at most {LONGEST_PART} "
            f"bytes, the whole {LONGEST_PATH:,}"
        )
    return path


def check_name(flag: str, name: str) -> None:
    """Refuses what no folder can be called.

    Raises:
        ValueError: it is a path, empty, blank, too long, or has characters that a name has not.
    """
    check_characters(flag, name)
    if not name.strip() or "/" in name or name in (".", ".."):
        raise ValueError(f"{flag} must be the name of a folder, without /, got {name!r}")
    if (size := len(name.encode())) > LONGEST_NAME:
        raise ValueError(
            f"{flag} must have at most {LONGEST_NAME} bytes, got {size:,}: {name[:40]}..."
        )


def check_characters(flag: str, typed: str) -> None:
    """Refuses what cannot be shown on a line or written as UTF-8.

    Raises:
        ValueError: it has a control character, or bytes that are no text.
    """
    if not all(character.isprintable() for character in typed):
        raise ValueError(f"{flag} must be text without control characters, got {typed[:40]!a}")


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
