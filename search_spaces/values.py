"""What a hyperparameter's value can be, and when two values are one.

A study is resumed from JSON, which has no tuples, and knows `1`, `1.0` and `true` apart where
Python does not. So a value is known by its JSON, and a space gives its own value back for it.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Sequence
from enum import Enum
from reprlib import Repr
from typing import Any, TypeAlias

import numpy as np

Value: TypeAlias = "float | int | str | tuple[Value, ...] | list[Value] | None"
"""Of any depth; a bool is an int."""

DEEPEST = 16
"""Lists in lists."""

SHORT = Repr()
SHORT.maxother = SHORT.maxstring = SHORT.maxlong = 60

INSTEAD = "give a name for it, a string, and look that up in the trainable"


def as_plain(value: Any, what: str) -> Value:
    """`value` with NumPy's numbers as Python's own; a ValueError, about `what`, if JSON would not
    give it back."""
    try:
        return _plain(value, 0)
    except ValueError as error:
        raise ValueError(f"{what} {_shown(value)}: {error}") from None


def as_values(given: Any, what: str) -> tuple[Value, ...]:
    """The values of a tuple, a list, a range or an array of NumPy's.

    Raises:
        ValueError: it is none of these, or has a value that JSON would not give back, or two that
            JSON could not tell apart.
    """
    if isinstance(given, np.ndarray):
        given = np.atleast_1d(given).tolist()
    if not isinstance(given, (tuple, list, range)):
        # A set has another order in every process.
        raise ValueError(f"{what}: give a tuple, got {_kind(given)}, {_shown(given)}")
    values = tuple(as_plain(value, what) for value in given)
    keys = [key_of(value) for value in values]
    twice = [value for at, value in enumerate(values) if keys[at] in keys[:at]]
    if twice:
        raise ValueError(f"{what}: {_shown(twice[0])} is given twice (JSON has no tuples)")
    return values


def as_number(given: Any, what: str) -> float | int:
    """A finite number; a ValueError, about `what`, if it is none."""
    number = as_plain(given, what)
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise ValueError(f"{what} must be a number, got {_shown(given)}")
    return number


def as_seed(given: Any) -> int:
    """A seed, a whole number from 0; a ValueError if it is none."""
    seed = as_plain(given, "seed")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed must be a whole number from 0, got {_shown(given)}")
    return seed


def key_of(value: object) -> str:
    """By which a value is known: `True` and `1`, equal in Python, have two."""
    return json.dumps(value)


def as_json(value: Any) -> Any:
    """A value as JSON gives it back: tuples are lists, at any depth."""
    return json.loads(json.dumps(value))


def as_tuples(value: Any) -> Any:
    """A value that a person has typed: lists are tuples, at any depth."""
    return tuple(map(as_tuples, value)) if isinstance(value, (list, tuple)) else value


class ValueIndex:
    """Finds a value among several that differ in JSON, as they are or as JSON gave them back; if
    none is the same, the first that is equal: 64.0 may be typed for 64."""

    def __init__(self, values: Sequence[Value]) -> None:
        self._keys = {key_of(value): at for at, value in enumerate(values)}
        self._parsed = [json.loads(key) for key in self._keys]
        # In a dictionary 0.0 and -0.0 are one.
        self._exact: dict[Any, int] = {
            (type(value), value): at
            for at, value in enumerate(values)
            if not (isinstance(value, (tuple, list)) or (type(value) is float and value == 0))
        }

    def of(self, value: object) -> int | None:
        """The place of `value`; None if it is none of them."""
        if value is None or type(value) in (str, int, float, bool):
            at = self._exact.get((type(value), value))
            # Nothing else is equal to these two.
            if at is not None or value is None or type(value) is str:
                return at
        try:
            key = key_of(as_plain(value, "value"))
        except ValueError:
            return None
        if key in self._keys:
            return self._keys[key]
        parsed = json.loads(key)
        return self._parsed.index(parsed) if parsed in self._parsed else None


def same(value: object, other: Value) -> bool:
    """Whether two values are one, or as good as one."""
    return ValueIndex([other]).of(value) is not None


def _plain(value: Any, depth: int) -> Value:
    numpys = isinstance(value, (np.bool_, np.integer, np.floating, np.str_))
    if numpys and not isinstance(value, np.timedelta64):
        value = value.item()
    if type(value) in (tuple, list):
        if depth == DEEPEST:
            raise ValueError(f"more than {DEEPEST} lists in each other")
        return type(value)(_plain(one, depth + 1) for one in value)  # type: ignore[no-any-return]
    if type(value) is float and not math.isfinite(value):
        raise ValueError(f"{value} is not finite; give a number that is, or None")
    if type(value) is int and not -(2**63) <= value < 2**64:
        raise ValueError("a whole number of more than 64 bits")
    if type(value) is str and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("text that UTF-8 cannot hold") from None
    if value is None or type(value) in (bool, int, float, str):
        return value  # type: ignore[no-any-return]
    raise ValueError(
        f"{_kind(value)} cannot be written down and found again by a resume; {INSTEAD}"
    )


def _kind(value: object) -> str:
    if inspect.isclass(value):
        return "a class"
    if callable(value):
        return "a function"
    if isinstance(value, Enum):
        return "a member of an enum"
    kind = type(value)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return f"a {module}{kind.__name__}"


def _shown(value: object) -> str:
    try:
        return " ".join(SHORT.repr(value).split())
    except ValueError:
        # Python shows no number of more than 4,300 digits.
        return "(too long to be shown)"


def short(value: object) -> str:
    """A value as a person reads it."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
