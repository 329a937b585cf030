"""What the files of a checkpoint must be: sizes and CRC-32, taken before it leaves its node.

torch finds a file that was cut off, but not a block of zeros in a tensor (its reader skips the
checksums that the file has), and of the files of a person's own trainable nobody knows what reads
them. It costs 1 ms for each 2 MB, at the writing and before a checkpoint is gone on from. It finds
damage, not malice.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, TypeAlias

from tune_cluster.storage.inside import opened
from tune_cluster.storage.regular import open_regular

PART = 1024**2
"""Bytes that are read at a time."""

Sums: TypeAlias = dict[str, list[int]]
"""By the path of a file within its folder, its bytes and its CRC-32."""


def sums_of(folder: Path) -> Sums:
    """Of all files in a folder and in the folders in it."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    sums = {}
    for path in files:
        with path.open("rb") as file:
            sums[str(path.relative_to(folder))] = [path.stat().st_size, _crc(file)]
    return sums


def check_sums(folder: Path, sums: Mapping[str, list[int]]) -> None:
    """Reads those files again and compares.

    Raises:
        ValueError: one is cut off or otherwise not what it was, or is none of the folder's.
        OSError: one is missing, or cannot be read.
    """
    for name, (size, crc) in sums.items():
        path = folder / name
        # Who has written the sums may have been another: no name leads out of the folder.
        with opened(folder, path.parent) as within, open_regular(path, within) as file:
            found = os.fstat(file.fileno()).st_size
            if found != size:
                raise ValueError(f"{path} has {found} bytes, and had {size}")
            if _crc(file) != crc:
                raise ValueError(f"{path} is damaged: its checksum is not the one that it had")


def _crc(file: BinaryIO) -> int:
    crc = 0
    while part := file.read(PART):
        crc = zlib.crc32(part, crc)
    return crc
