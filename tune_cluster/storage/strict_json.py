"""JSON that is read as it was written, or refused: files of a study are data that may be damaged.

`json.loads` alone takes NaN, keeps the last of two equal keys, and ends in a RecursionError where
brackets are nested deeply enough.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NoReturn

from pydantic import TypeAdapter, ValidationError

DEEPEST = 100
"""Brackets within each other; nothing here needs ten."""

SHOWN = 60
"""Characters of a value in an error."""

UNION = ("bool", "int", "constrained-int", "float")
"""What pydantic appends to the place of an error in a number that may be of several types."""


def parse(data: bytes, *, unique: bool = True, finite: bool = True) -> Any:
    """The value of a JSON text.

    Args:
        data: the text in UTF-8.
        unique: whether equal keys are looked for, which takes as long as the parsing again.
        finite: whether NaN and infinity are refused.

    Raises:
        ValueError: it is not JSON, or has what no file of ours has.
    """
    try:
        text = data.decode()
        _check_depth(text)
        hook = _unique if unique else None
        constant = _no_constant if finite else float
        return json.loads(text, parse_constant=constant, object_pairs_hook=hook)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON ({error})") from None


def check(adapter: TypeAdapter[Any], value: Any) -> None:
    """Hold a value against its type.

    Raises:
        ValueError: the field, its value, and what it should be.
    """
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        raise ValueError(_described(error)) from None


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
    if text.count("[") + text.count("{") <= DEEPEST:
        return
    depth, quoted, escaped = 0, False, False
    for character in text:
        if quoted:
            quoted = escaped or character != '"'
            escaped = not escaped and character == "\\"
        elif character == '"':
            quoted = True
        elif character in "[{":
            depth += 1
            if depth > DEEPEST:
                raise ValueError(f"brackets are nested more than {DEEPEST} deep")
        elif character in "]}":
            depth -= 1


def _described(error: ValidationError) -> str:
    errors = error.errors(include_url=False)
    places = [_place(one["loc"]) for one in errors]
    first, place = errors[0], places[0]
    field, value = ".".join(map(_plain, place)), _shown(first["input"])
    if first["type"] == "missing":
        return f"{field} is missing"
    if first["type"] == "extra_forbidden":
        return f"{field} is unknown; a newer version may have written it"
    should = first["msg"].replace("Input should", "it should")
    if places.count(place) > 1:
        should = "it should be a finite number"
    return f"{field} is {value}; {should}" if field else f"{value}; {should}"


def _place(loc: tuple[int | str, ...]) -> tuple[int | str, ...]:
    return loc[:-1] if loc and loc[-1] in UNION else loc


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _plain(name: int | str) -> str:
    text = str(name).encode("unicode_escape").decode()
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
