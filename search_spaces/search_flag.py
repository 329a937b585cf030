"""Hyperparameters on the command line: `--search lr=log:1e-4:1e-1`.

| text | searched |
|---|---|
| `lr=log:1e-4:1e-1` | a range on a log scale |
| `dropout=0:0.5` | a range |
| `layers=int:1:6`, `width=logint:16:512` | whole numbers |
| `batch-size=32,64,128` | these values, ordered if they are numbers |
| `optimizer=sgd,adam` | these values |
| `sizes=(512,256),(128,)` | these lists of values |
| `momentum=0.5:0.99 if optimizer=sgd` | only if another one has one of these values |
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from search_spaces.hyperparameter import Hyperparameter
from search_spaces.space import Space
from search_spaces.values import Value, as_tuples

SCALES: dict[str, dict[str, Any]] = {
    "": {},
    "linear": {},
    "log": {"scale": "log"},
    "int": {"integer": True},
    "logint": {"scale": "log", "integer": True},
}
"""Arguments of `Hyperparameter`, by the prefix of a range."""

EXAMPLES = "lr=log:1e-4:1e-1, layers=int:1:6, batch-size=32,64 or optimizer=sgd,adam"

_NAMED = re.compile(r"(?P<name>[A-Za-z_][\w.-]*)=(?P<what>.+)", re.DOTALL)


def space_of(texts: Sequence[str]) -> Space:
    """Return the space that several `--search` texts describe.

    Raises:
        ValueError: a text has none of these forms, or two texts have the same name.

    >>> [parameter.name for parameter in space_of(["lr=log:0.01:10", "act=relu,gelu"]).parameters]
    ['lr', 'act']
    """
    if not texts:
        raise ValueError(f"--search: no hyperparameter is given; give at least one, as {EXAMPLES}")
    parameters = [parameter_of(text) for text in texts]
    names = [parameter.name for parameter in parameters]
    for at, name in enumerate(names):
        if name in names[:at]:
            raise ValueError(f"--search {texts[at]}: {name} is searched twice")
    try:
        return Space("searched", tuple(parameters))
    except ValueError as error:
        raise ValueError(f"--search: {error}") from None


def parameter_of(text: str) -> Hyperparameter:
    """Return the hyperparameter that one `--search` text describes.

    Raises:
        ValueError: the text has none of these forms.

    >>> parameter_of("batch-size=32,64").values
    (32, 64)
    """
    stated, *behind = re.split(r"\sif(?:\s|$)", text, maxsplit=1)
    found = _NAMED.fullmatch(stated.strip())
    if found is None:
        raise ValueError(f"--search {text}: give {EXAMPLES}")
    rest: dict[str, Any] = {}
    if behind:
        other = _NAMED.fullmatch(behind[0].strip())
        if other is None:
            raise ValueError(
                f"--search {text}: after `if` give a name and its values: optimizer=sgd,adam"
            )
        rest["condition"] = (_dest(other["name"]), _values(other["what"]))
    try:
        return Hyperparameter(
            name=_dest(found["name"]), **_range_or_values(found["what"].strip()), **rest
        )
    except ValueError as error:
        raise ValueError(f"--search {text}: {error}") from None


def _dest(name: str) -> str:
    """Return the name as argparse converts it: `batch_size` for `batch-size`."""
    return name.replace("-", "_")


def _range_or_values(text: str) -> dict[str, Any]:
    if ":" in text:
        *before, low, high = text.split(":")
        scale, ends = ":".join(before), (_number(low), _number(high))
        if scale in SCALES and None not in ends:
            return {"low": ends[0], "high": ends[1], **SCALES[scale]}
        if (scale and scale in SCALES) or any(end is not None for end in ends):
            raise ValueError(
                f"a range is [{'|'.join(filter(None, SCALES))}:]LOW:HIGH, such as log:1e-4:1e-1"
            )
    values = _values(text)
    return {"values": values, "ordered": ascending(values)}


def ascending(values: Sequence[Value]) -> bool:
    """Return whether values are numbers in ascending order, so that neighbours are alike.

    >>> ascending([32, 64, 128]), ascending([18, 50, 34]), ascending([False, True])
    (True, False, False)
    """
    numbers = [value for value in values if isinstance(value, (int, float))]
    plain = len(numbers) == len(values) and not any(isinstance(value, bool) for value in values)
    return plain and numbers == sorted(numbers)


def _values(text: str) -> tuple[Value, ...]:
    words, depth = [""], 0
    for character in text:
        depth = max(0, depth + (character in "([") - (character in ")]"))
        if character == "," and depth == 0:
            words.append("")
        else:
            words[-1] += character
    return tuple(_value(word.strip()) for word in words)


def _value(word: str) -> Value:
    if word.lower() in ("true", "false"):
        return word.lower() == "true"
    if word[:1] in ("(", "["):
        with suppress(ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            values: tuple[Value, ...] = as_tuples(ast.literal_eval(word))
            return values
    number = _number(word)
    return word if number is None else number


def _number(word: str) -> int | float | None:
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return None
