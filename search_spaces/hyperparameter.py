"""One hyperparameter as data: a range or a list of values, mapped from [0, 1)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Real
from typing import Any, Literal, TypeAlias, get_args

from search_spaces.values import Value, ValueIndex, as_number, as_plain, as_values

Kind: TypeAlias = Literal["network", "optimization", "regularization", "data"]
Role: TypeAlias = Literal["scientific", "nuisance", "fixed"]
Scale: TypeAlias = Literal["linear", "log"]


_MIDDLE: Any = object()
"""Marker for a missing default, since None is a valid default."""


@dataclass(frozen=True, kw_only=True)
class Hyperparameter:
    """One hyperparameter: a range (`low`, `high`, `scale`) or a list (`values`).

    >>> Hyperparameter(name="lr", low=1e-4, high=1e-2, scale="log").default
    0.001

    `role` follows Godbole et al., *Deep Learning Tuning Playbook* (2023): scientific (the question
    of the study), nuisance (tuned so that the answer is fair) or fixed.

    Raises:
        ValueError: neither or both of range and list, or a range that is invalid for its scale.
    """

    name: str
    meaning: str = ""
    default: Value = _MIDDLE
    """Default value; if not given, the middle of the range on its scale, or the first value."""
    kind: Kind = "optimization"
    role: Role = "nuisance"
    advice: str = ""
    """Reason for the range, with its source."""
    low: float | None = None
    high: float | None = None
    """Upper end of the range; included for integers."""
    scale: Scale = "linear"
    integer: bool = False
    """Whether the range has whole numbers only."""
    step: float | None = None
    """Step of the range: all values and both ends are multiples of it; None for a continuous
    one."""
    values: tuple[Value, ...] = ()
    """List of values."""
    ordered: bool = False
    """Whether neighbours in `values` are similar, which a model can use."""
    grid: tuple[Value, ...] = ()
    """Values of a range that a grid search tries; of a list it tries all."""
    condition: tuple[str, tuple[Value, ...]] | None = None
    """Name of another hyperparameter, and its values under which this one exists."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"a hyperparameter needs a name, got {self.name!r}")
        self._set("values", as_values(self.values, f"{self.name}: values"))
        self._set("grid", as_values(self.grid, f"{self.name}: grid"))
        if (self.low is None) != (self.high is None) or (self.low is None) == (not self.values):
            raise ValueError(f"{self.name}: give either low and high, or values")
        if self.low is not None and self.high is not None:
            self._check_range(self.low, self.high)
        if self.step is not None:
            self._check_step(self.step)
        default = self._middle() if self.default is _MIDDLE else self.default
        self._set("default", as_plain(default, f"{self.name}: default"))
        if self.condition is not None:
            self._set("condition", _checked_condition(self.name, self.condition))
        for value in self.grid:
            self.unit(value)

    def _middle(self) -> Value:
        if self.values:
            return self.values[0]
        assert self.low is not None
        assert self.high is not None
        middle = (self.low + self.high) / 2
        if self.scale == "log":
            middle = math.sqrt(self.low) * math.sqrt(self.high)
        return self.nearest(float(f"{middle:.12g}"))

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _check_range(self, given_low: float, given_high: float) -> None:
        low = as_number(given_low, f"{self.name}: low")
        high = as_number(given_high, f"{self.name}: high")
        if not self.integer:
            # Convert integers, so that the ends of the range give floats too.
            low, high = float(low), float(high)
        self._set("low", low)
        self._set("high", high)
        if self.scale not in get_args(Scale):
            raise ValueError(f"{self.name}: scale must be linear or log, got {self.scale!r}")
        if not low < high:
            raise ValueError(f"{self.name}: low {low} must be below high {high}")
        if self.scale == "log" and low <= 0:
            raise ValueError(f"{self.name}: a log scale must start above 0, got {low}")
        if self.integer and (low % 1 or high % 1):
            raise ValueError(f"{self.name}: an integer range has whole ends, got {low} and {high}")
        if self.integer and max(abs(low), abs(high)) >= 2**53:
            raise ValueError(f"{self.name}: an integer range ends below 2^53, got {low} and {high}")
        if not math.isfinite(high / low if self.scale == "log" else high - low):
            raise ValueError(f"{self.name}: a range from {low} to {high} is too wide for a float")

    def _check_step(self, step: float) -> None:
        ends = (self.low, self.high)
        if step <= 0 or any(end is None or self._stepped(end) != end for end in ends):
            raise ValueError(
                f"{self.name}: step {step} must be above 0, and both ends of the range multiples "
                f"of it, got {self.low} and {self.high}"
            )

    def _stepped(self, value: float) -> float:
        """Return the multiple of `step` that is nearest to `value`."""
        if self.step is None:
            return value
        # 0.1 has no exact float: 3 * 0.1 is not 0.3.
        return float(f"{round(value / self.step) * self.step:.12g}")

    @cached_property
    def _places(self) -> ValueIndex:
        return ValueIndex(self.values)

    @cached_property
    def _condition_places(self) -> ValueIndex:
        return ValueIndex(self.condition[1] if self.condition else ())

    @property
    def categorical(self) -> bool:
        """Whether its values have no order."""
        return bool(self.values) and not self.ordered

    @property
    def nearest_default(self) -> Value:
        """Default, or the value of the range that is nearest to it."""
        if self.values or not isinstance(self.default, (int, float)):
            return self.default
        return self.nearest(self.default)

    def nearest(self, number: float) -> float | int:
        """Return the value of the range that is nearest to `number`."""
        assert self.low is not None
        assert self.high is not None
        found = self._stepped(min(max(number, self.low), self.high))
        return round(found) if self.integer else found

    @property
    def branch(self) -> str:
        """Name with the condition, such as `momentum (optimizer sgd)`."""
        if self.condition is None:
            return self.name
        return f"{self.name} ({self.condition[0]} {', '.join(map(str, self.condition[1]))})"

    def at(self, u: float) -> Value:
        """Return the value at `u` in [0, 1): uniform on the scale of the range, or on the list."""
        if self.low is None or self.high is None:
            return self.values[min(int(u * len(self.values)), len(self.values) - 1)]
        if self.integer:
            return int(self._stepped(min(int(self._along(u, self.high + 1)), self.high)))
        # Rounding may lead out of the range.
        return self._stepped(min(self._along(u, self.high), self.high))

    def unit(self, value: object) -> float:
        """Return the position of `value` in [0, 1].

        For a list or an integer range it is the middle of the value's share of [0, 1).

        Raises:
            ValueError: the value is not in the range or the list.
        """
        if self.low is None or self.high is None:
            place = self._places.of(value)
            if place is None:
                allowed = f"one of {', '.join(map(str, self.values))}"
                raise ValueError(f"{self.name} must be {allowed}, got {value!r}")
            return (place + 0.5) / len(self.values)
        number = float(value) if isinstance(value, Real) else math.nan
        if not self.low <= number <= self.high or (self.integer and number % 1):
            allowed = f"{'a whole' if self.integer else 'a'} number"
            allowed += f" from {self.low:g} to {self.high:g}"
            raise ValueError(f"{self.name} must be {allowed}, got {value!r}")
        if self.integer:
            top = self.high + 1
            return (self._place(number, top) + self._place(number + 1, top)) / 2
        return self._place(number, self.high)

    def has(self, value: object) -> bool:
        """Return whether `value` is in the range or the list."""
        try:
            self.unit(value)
        except ValueError:
            return False
        return True

    def restored(self, value: object) -> Value:
        """Return the value that JSON turned into `value`; raise a ValueError if it has none."""
        at = self.unit(value)
        return self.at(at) if self.values else as_plain(value, self.name)

    def only(self, value: Value) -> Hyperparameter:
        """Return the hyperparameter with `value` as its only value, under the same condition."""
        return replace(
            self,
            default=value,
            low=None,
            high=None,
            integer=False,
            step=None,
            values=(value,),
            ordered=False,
            grid=(),
        )

    def exists_under(self, config: Mapping[str, object]) -> bool:
        """Return whether the condition holds in `config`, which has all hyperparameters before this
        one."""
        if self.condition is None:
            return True
        parent, _ = self.condition
        return parent in config and self._condition_places.of(config[parent]) is not None

    def may_depend_on(self, parent: Hyperparameter) -> bool:
        """Return whether `parent` has a value under which this one exists."""
        condition = self.condition
        return bool(
            condition and condition[0] == parent.name and any(map(parent.has, condition[1]))
        )

    def excludes(self, other: Hyperparameter) -> bool:
        """Return whether the two can never exist in one configuration."""
        if self.condition is None or other.condition is None:
            return False
        (parent, values), (others, _) = self.condition, other.condition
        return parent == others and all(other._condition_places.of(v) is None for v in values)

    def describe(self) -> dict[str, object]:
        """Return the hyperparameter as plain JSON, for `study.json`."""
        described: dict[str, object] = {"name": self.name, "role": self.role}
        if self.values:
            described.update(values=list(self.values), ordered=self.ordered)
        else:
            described.update(low=self.low, high=self.high, scale=self.scale, integer=self.integer)
            described.update({} if self.step is None else {"step": self.step})
        if self.condition is not None:
            described["condition"] = {self.condition[0]: list(self.condition[1])}
        return described

    def _along(self, u: float, top: float) -> float:
        assert self.low is not None
        if self.scale == "log":
            return self.low * math.pow(top / self.low, u)
        return self.low + u * (top - self.low)

    def _place(self, number: float, top: float) -> float:
        assert self.low is not None
        if self.scale == "log":
            return math.log(number / self.low) / math.log(top / self.low)
        return (number - self.low) / (top - self.low)


def _checked_condition(name: str, given: object) -> tuple[str, tuple[Value, ...]]:
    if not isinstance(given, (tuple, list)) or len(given) != 2 or not isinstance(given[0], str):
        raise ValueError(
            f"{name}: condition must be a name and a tuple of its values, such as "
            f'("optimizer", ("sgd",)), got {given!r}'
        )
    parent, values = given
    return parent, as_values(values, f"{name}: condition on {parent}")
