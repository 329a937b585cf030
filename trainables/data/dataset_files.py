"""The files of a dataset on disk: checksums, writing so that two drivers may start at once."""

import gzip
import hashlib
import shutil
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from trainables.data.splits import Images, Labels, stratified_order

CHUNK_BYTES = 1 << 20

# Where data comes without a test set: by a seed that no study can change, so that test results of
# all studies can be compared.
TEST_SHARE = 0.2
TEST_SEED = 0


@dataclass(frozen=True, kw_only=True)
class RawDataset:
    """A dataset as its files hold it, before any split for a search."""

    train_images: Images
    """uint8 `[n, channels, height, width]`."""

    train_labels: Labels
    """int64 `[n]`."""

    test_images: Images
    """uint8 `[k, channels, height, width]`."""

    test_labels: Labels
    """int64 `[k]`."""

    source: str
    """Where it was found."""

    notice: str = ""
    """What could not be verified, or empty."""


def with_test_set(images: Images, labels: Labels, *, source: str) -> RawDataset:
    """Sets `TEST_SHARE` of the images aside as a test set, stratified by class.

    Args:
        images: uint8 `[n, channels, height, width]`.
        labels: int64 `[n]`.
        source: where they were found.
    """
    order = stratified_order(labels, TEST_SEED)
    count = round(len(labels) * (1 - TEST_SHARE))
    train, test = order[:count], order[count:]
    return RawDataset(
        train_images=images[train],
        train_labels=labels[train],
        test_images=images[test],
        test_labels=labels[test],
        source=source,
    )


class Readable(Protocol):
    """Whatever bytes can be read from: an open file, also a packed one."""

    def read(self, size: int, /) -> bytes:
        """Read at most `size` bytes; none at the end."""


def damaged(path: Path, kind: str, expected: str, found: str) -> ValueError:
    """Build the error for a file that is not what it should be."""
    return ValueError(
        f"{path} is damaged: {kind} should be {expected}, found {found}. "
        f"Delete it and start again: it is then brought anew."
    )


def md5_of(file: Readable) -> str:
    """MD5 of the rest of an open file, in hexadecimal; guards against damage, not malice."""
    digest = hashlib.md5(usedforsecurity=False)
    while chunk := file.read(CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def check_md5(path: Path, expected: str) -> None:
    """Check a file.

    Raises:
        ValueError: another checksum.
    """
    with path.open("rb") as file:
        found = md5_of(file)
    if found != expected:
        raise damaged(path, "its MD5", expected, found)


def check_gzip(path: Path, expected: str, expected_content: str | None) -> None:
    """Check a .gz file by its own checksum, or else by that of what it holds.

    Distributions pack the same content again, which changes the bytes of the .gz.

    Args:
        path: of the .gz file.
        expected: MD5 of the file.
        expected_content: MD5 of what it holds, where known.

    Raises:
        ValueError: neither checksum fits.
    """
    try:
        check_md5(path, expected)
    except ValueError:
        if expected_content is None or _content_md5(path) != expected_content:
            raise


def check_unpacked(path: Path, packed: Path) -> None:
    """Check an unpacked file against the CRC-32 and size at the end of its (checked) .gz file.

    The trailer is described in RFC 1952, section 2.3.1.

    Raises:
        ValueError: another content or size.
    """
    with packed.open("rb") as file:
        file.seek(-8, 2)
        trailer = file.read(8)
    expected, expected_bytes = (int.from_bytes(trailer[i : i + 4], "little") for i in (0, 4))
    found = found_bytes = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            found = zlib.crc32(chunk, found)
            found_bytes += len(chunk)
    if (found, found_bytes) != (expected, expected_bytes):
        raise damaged(
            path,
            f"its CRC-32 and size (as {packed.name} says)",
            f"{expected:08x} and {expected_bytes} bytes",
            f"{found:08x} and {found_bytes} bytes",
        )


def copy_file(source: Path, target: Path) -> None:
    """Copy a file so that `target` is never seen half written."""
    with source.open("rb") as file, _appearing(target) as copy:
        shutil.copyfileobj(file, copy, CHUNK_BYTES)


def unpack_gzip(packed: Path, target: Path) -> None:
    """Unpack a .gz file so that `target` is never seen half written."""
    with gzip.open(packed) as file, _appearing(target) as copy:
        shutil.copyfileobj(file, copy, CHUNK_BYTES)


def _content_md5(packed: Path) -> str | None:
    try:
        with gzip.open(packed) as file:
            return md5_of(file)
    except (OSError, EOFError, zlib.error):
        return None


@contextmanager
def _appearing(target: Path) -> Iterator[IO[bytes]]:
    target.parent.mkdir(parents=True, exist_ok=True)
    # Another driver may write the same file now: each its own, and the last rename wins.
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        with partial.open("xb") as file:
            yield file
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
