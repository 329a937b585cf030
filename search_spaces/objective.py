"""What a study looks for: a metric, and whether it is to be high or low."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

Mode: TypeAlias = Literal["max", "min"]


@dataclass(frozen=True)
class Objective:
    """A metric and its mode. The only place that compares values of a metric by their mode.

    Raises:
        ValueError: the mode is neither "max" nor "min".
    """

    metric: str
    """Name, as the trainable reports it."""
    mode: Mode

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            allowed = " or ".join(get_args(Mode))
            raise ValueError(f"mode={self.mode!r}: it must be {allowed}")

    def key(self, value: float) -> float:
        """A sort key: the smaller the better. Applied twice it returns the value."""
        return -value if self.mode == "max" else value

    def better(self, a: float, b: float) -> bool:
        """Whether `a` is better than `b`; False where they are equal."""
        return self.key(a) < self.key(b)

    def best(self, values: Iterable[float]) -> float | None:
        """The best of the values; None if there are none."""
        return min(values, key=self.key, default=None)

    @property
    def worst(self) -> float:
        """An infinite value that is worse than every finite one."""
        return self.key(math.inf)
