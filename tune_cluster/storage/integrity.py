"""Strict reading of JSON, and sizes and CRC-32 of a checkpoint's files.

`json.loads` alone accepts NaN, keeps the last of two equal keys, and raises a RecursionError for
deeply nested brackets. torch detects a truncated file, but not a block of zeros in a tensor: its
reader skips the checksums of the file. The checksums here are taken before a checkpoint leaves its
node and cost 1 ms for each 2 MB, at the writing and before a resume from it. They find damage, not
malice.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, TypeAlias

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from tune_cluster.storage.inside import CHUNK_BYTES, open_regular, opened

DEEPEST_BRACKETS = 100
"""Largest depth of nested brackets; no file here needs ten."""

BRACKET, STRING = re.compile(r"[][{}]"), re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)

SHOWN_CHARACTERS = 60
"""Number of characters of a value in an error message."""

UNION = ("bool", "int", "constrained-int", "float")
"""Suffixes that pydantic appends to the location of an error in a number of several types."""

Sums: TypeAlias = dict[str, list[int]]
"""Size in bytes and CRC-32 of each file of a folder, by its relative path."""


def parse(data: bytes, *, unique: bool = True, finite: bool = True) -> Any:
    """Parse a JSON text in UTF-8.

    Args:
        data: the text.
        unique: whether to refuse equal keys, which doubles the time.
        finite: whether to refuse NaN and infinity.

    Raises:
        ValueError: it is not JSON, or contains what none of our files contains.
    """
    if finite and not unique:
        # Three times as fast as `json`; what it refuses is refused below, with the reason.
        try:
            return from_json(data, allow_inf_nan=False)
        except ValueError:
            pass
    try:
        text = data.decode()
        _check_depth(text)
        hook = _unique if unique else None
        constant = _no_constant if finite else float
        return json.loads(text, parse_constant=constant, object_pairs_hook=hook)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON ({error})") from None


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def check(kind: Any, value: Any) -> None:
    """Check a value against a type that pydantic supports; raise a ValueError with the field, its
    value, and what it should be."""
    try:
        _adapter(kind).validate_python(value)
    except ValidationError as error:
        raise ValueError(described(error)) from None


def crc_of(content: Mapping[str, Any], without: Collection[str] = ("crc",)) -> int:
    """Return the CRC-32 of a JSON object without some of its fields, whatever their order."""
    checked = {name: value for name, value in content.items() if name not in without}
    return zlib.crc32(json.dumps(checked, sort_keys=True).encode())


def sums_of(folder: Path) -> Sums:
    """Return sizes and checksums of all files below a folder."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    sums = {}
    for path in files:
        with path.open("rb") as file:
            sums[str(path.relative_to(folder))] = [path.stat().st_size, _crc(file)]
    return sums


def check_sums(folder: Path, sums: Mapping[str, list[int]]) -> None:
    """Read the files again; raise a ValueError if one has changed, or is outside the folder."""
    for name, (size, crc) in sums.items():
        path = folder / name
        # Another user may have written the sums: no name may lead out of the folder.
        with opened(folder, path.parent) as within, open_regular(path, within) as file:
            found = os.fstat(file.fileno()).st_size
            if found != size:
                raise ValueError(f"{path} has {found} bytes instead of {size}")
            if _crc(file) != crc:
                raise ValueError(f"{path} is damaged: its checksum has changed")


def _crc(file: BinaryIO) -> int:
    crc = 0
    while part := file.read(CHUNK_BYTES):
        crc = zlib.crc32(part, crc)
    return crc


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    pairs = list(pairs)
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{_shown(twice)} is there twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _check_depth(text: str) -> None:
    if text.count("[") + text.count("{") <= DEEPEST_BRACKETS:
        return
    brackets = BRACKET.findall(STRING.sub("", text))
    if max(accumulate(1 if b in "[{" else -1 for b in brackets), default=0) > DEEPEST_BRACKETS:
        raise ValueError(f"brackets are nested more than {DEEPEST_BRACKETS} deep")


def described(error: ValidationError) -> str:
    """Return the wrong field of an error, its value, and what it should be."""
    errors = error.errors(include_url=False)
    locs = [one["loc"] for one in errors]
    fields = [loc[:-1] if loc and loc[-1] in UNION else loc for loc in locs]
    first, path = errors[0], fields[0]
    field, value = ".".join(map(_plain, path)), _shown(first["input"])
    if first["type"] == "missing":
        return f"{field} is missing"
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{field} is unknown; a newer version may have written it"
    should = first["msg"].replace("Input should", "it should")
    if fields.count(path) > 1:
        should = "it should be a finite number"
    return f"{field} is {value}; {should}" if field else f"{value}; {should}"


def _shown(value: Any) -> str:
    return _cut(repr(value))


def _plain(name: int | str) -> str:
    return _cut(str(name).encode("unicode_escape").decode())


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
