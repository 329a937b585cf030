"""What a field of a config may be: each check states the field, the value and the rule."""

import math
import numbers
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any


def one_of(name: str, value: Any, allowed: Sequence[str]) -> str:
    """One of a list of names.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
    return value


def flag(name: str, value: Any) -> bool:
    """True or false.

    Raises:
        ValueError: it is neither.
    """
    # Searchers hand out NumPy's.
    if not isinstance(value, bool) and type(value).__name__ not in ("bool_", "bool"):
        raise ValueError(f"{name} must be true or false, got {value!r}")
    return bool(value)


def real(name: str, value: Any, rule: str, holds: Callable[[float], bool]) -> float:
    """A finite number under a rule.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ValueError(f"{name} must be a number {rule}, got {value!r}")
    number = _as_float(value)
    if not math.isfinite(number) or not holds(number):
        raise ValueError(f"{name} must be {rule}, got {value!r}")
    return number


def integer(name: str, value: Any, rule: str, holds: Callable[[int], bool]) -> int:
    """A whole number under a rule.

    Raises:
        ValueError: it is none.
    """
    # Searchers hand out NumPy's integers, which are Integral but no int.
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise ValueError(f"{name} must be an integer, {rule}, got {value!r}")
    # What an int64 cannot hold no tensor can count.
    if not (holds(int(value)) and int(value) < 2**63):
        raise ValueError(f"{name} must be {rule} (and below 2^63), got {value!r}")
    return int(value)


def sizes(name: str, value: Any) -> tuple[int, ...]:
    """One or more integers, each at least 1; JSON's lists too.

    Raises:
        ValueError: they are not.
    """
    if (
        not isinstance(value, (list, tuple))
        or not value
        or any(isinstance(n, bool) or not isinstance(n, numbers.Integral) for n in value)
        or any(n < 1 for n in value)
    ):
        raise ValueError(
            f"{name} must be one or more integers, each at least 1, such as [64, 32], got {value!r}"
        )
    return tuple(int(n) for n in value)


def rates(name: str, value: Any) -> tuple[tuple[int, float], ...]:
    """Pairs of an epoch, ascending from 1, and a number above 0; JSON's lists too.

    Raises:
        ValueError: they are not.
    """
    pairs: Sequence[Any] = value if isinstance(value, (list, tuple)) else [None]
    if not (all(map(_is_rate, pairs)) and all(a[0] < b[0] for a, b in pairwise(pairs))):
        raise ValueError(
            f"{name} must be pairs of an epoch, at least 1 and ascending, and a number above "
            f"0, such as [[1, 0.1], [5, 0.01]], got {value!r}"
        )
    return tuple((int(first), float(rate)) for first, rate in pairs)


def _is_rate(pair: Any) -> bool:
    if not isinstance(pair, (list, tuple)) or len(pair) != 2:
        return False
    if any(isinstance(part, bool) for part in pair):
        return False
    first, rate = pair
    whole, number = isinstance(first, numbers.Integral), isinstance(rate, numbers.Real)
    return whole and number and int(first) >= 1 and 0 < _as_float(rate) < math.inf


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        # An integer of more than 308 digits.
        return math.inf
