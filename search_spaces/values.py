"""Possible values of a hyperparameter, and their equality.

A study is resumed from JSON, which has no tuples, and which distinguishes `1`, `1.0` and `true`
where Python does not. So a value is identified by its JSON, and a space returns its own value for
it.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Sequence
from enum import Enum
from reprlib import Repr
from typing import Any, TypeAlias

Value: TypeAlias = "float | int | str | tuple[Value, ...] | list[Value] | None"
"""Value of a hyperparameter, nested to any depth; a bool is an int."""

DEEPEST = 16
"""Largest depth of nested lists."""

JSON_TYPES = (bool, int, float, str, tuple, list, type(None))

SHORT = Repr()
SHORT.maxother = SHORT.maxstring = SHORT.maxlong = 60

INSTEAD = "give a name for it, a string, and look that up in the trainable"


def as_plain(value: Any, what: str) -> Value:
    """Return `value` with NumPy numbers converted to Python's; raise a ValueError that names `what`
    if JSON would not restore it."""
    try:
        return _plain(value, 0)
    except ValueError as error:
        raise ValueError(f"{what} {_shown(value)}: {error}") from None


def as_values(given: Any, what: str) -> tuple[Value, ...]:
    """Return the values of a tuple, a list, a range or a NumPy array.

    Raises:
        ValueError: it is none of these, has a value that JSON would not restore, or two values that
            JSON could not distinguish.
    """
    if not isinstance(given, (tuple, list, range)):
        given = _from_array(given)
    if not isinstance(given, (tuple, list, range)):
        # A set has a different order in every process.
        raise ValueError(f"{what}: give a tuple, got {_kind(given)}, {_shown(given)}")
    values = tuple(as_plain(value, what) for value in given)
    keys = [key_of(value) for value in values]
    twice = [value for at, value in enumerate(values) if keys[at] in keys[:at]]
    if twice:
        raise ValueError(f"{what}: {_shown(twice[0])} is given twice (JSON has no tuples)")
    return values


def as_number(given: Any, what: str) -> float | int:
    """Return a finite number; raise a ValueError that names `what` if it is none."""
    number = as_plain(given, what)
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise ValueError(f"{what} must be a number, got {_shown(given)}")
    return number


def as_seed(given: Any) -> int:
    """Return a seed, a whole number from 0; raise a ValueError if it is none."""
    seed = as_plain(given, "seed")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed must be a whole number from 0, got {_shown(given)}")
    return seed


def key_of(value: object) -> str:
    """Return the identity of a value: `True` and `1`, equal in Python, have different ones."""
    return json.dumps(value)


def as_json(value: Any) -> Any:
    """Return a value as JSON restores it: tuples become lists, at any depth."""
    return json.loads(json.dumps(value))


def as_tuples(value: Any) -> Any:
    """Return a parsed value with lists converted to tuples, at any depth."""
    return tuple(map(as_tuples, value)) if isinstance(value, (list, tuple)) else value


class ValueIndex:
    """Finds a value in a sequence of values that differ in JSON.

    It accepts the values themselves and as JSON restores them. Without an identical value it finds
    the first equal one: 64.0 for 64.
    """

    def __init__(self, values: Sequence[Value]) -> None:
        self._keys = {key_of(value): at for at, value in enumerate(values)}
        self._parsed = [json.loads(key) for key in self._keys]
        # As keys of a dictionary 0.0 and -0.0 are equal.
        self._exact: dict[Any, int] = {
            (type(value), value): at
            for at, value in enumerate(values)
            if not (isinstance(value, (tuple, list)) or (type(value) is float and value == 0))
        }

    def of(self, value: object) -> int | None:
        """Return the position of `value`; None if it is absent."""
        if value is None or type(value) in (str, int, float, bool):
            at = self._exact.get((type(value), value))
            # No other value is equal to None or a string.
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
    """Return whether two values are identical, or equal without an identical one."""
    return ValueIndex([other]).of(value) is not None


def _plain(value: Any, depth: int) -> Value:
    if type(value) not in JSON_TYPES:
        value = _from_scalar(value)
    if type(value) in (tuple, list):
        if depth == DEEPEST:
            raise ValueError(f"lists are nested deeper than {DEEPEST} levels")
        return type(value)(_plain(one, depth + 1) for one in value)  # type: ignore[no-any-return]
    if type(value) is float and not math.isfinite(value):
        raise ValueError(f"{value} is not finite; give a finite number, or None")
    if type(value) is int and not -(2**63) <= value < 2**64:
        raise ValueError("a whole number has more than 64 bits")
    if type(value) is str and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("text is not valid UTF-8") from None
    if type(value) in JSON_TYPES:
        return value  # type: ignore[no-any-return]
    raise ValueError(
        f"{_kind(value)} cannot be written to JSON and restored by a resume; {INSTEAD}"
    )


# NumPy is imported for values that may be its own: its import is a tenth of the second in which
# `tune-cluster list` prints.
def _from_array(value: Any) -> Any:
    """Return the list of an array; anything else as it is."""
    import numpy as np

    return np.atleast_1d(value).tolist() if isinstance(value, np.ndarray) else value


def _from_scalar(value: Any) -> Any:
    """Return the Python value of a scalar of NumPy; anything else as it is."""
    import numpy as np

    numpys = isinstance(value, (np.bool_, np.integer, np.floating, np.str_))
    return value.item() if numpys and not isinstance(value, np.timedelta64) else value


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
        # Python converts no number of more than 4,300 digits to text.
        return "(too long to be shown)"


def short(value: object) -> str:
    """Return a value as short text for the user."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
