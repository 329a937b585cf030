"""The objective of a study, and the facts that its searcher and scheduler need."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

if TYPE_CHECKING:
    from search_spaces.schedulers.base import StudyScheduler
    from search_spaces.searchers.base import StudySearcher


Mode: TypeAlias = Literal["max", "min"]

SMALLEST_IN_DECIMALS = 0.001
"""Smallest value that four decimals show well."""

SMALLEST_IN_TWO_DECIMALS = 1000.0
"""Smallest value that is shown with two decimals."""


def shown_value(value: float, like: float | None = None) -> str:
    """Return a metric's value as text: with four decimals, of values from 1,000 on with two, or
    with four significant digits if decimals would hide the value.

    Args:
        value: value of the metric.
        like: value that determines the notation; by default `value` itself.

    >>> shown_value(0.902), shown_value(1.25e-6), shown_value(0.0005, like=0.9)
    ('0.9020', '1.250e-06', '0.0005')
    >>> shown_value(54391.50942), shown_value(12.3, like=54391.5)
    ('54391.51', '12.30')
    """
    size = abs(value if like is None else like)
    if size >= SMALLEST_IN_TWO_DECIMALS:
        return f"{value:.2f}"
    return f"{value:.4f}" if size == 0 or size >= SMALLEST_IN_DECIMALS else f"{value:.3e}"


@dataclass(frozen=True)
class Objective:
    """A metric and its mode. No other code compares values of a metric by mode.

    Raises:
        ValueError: the mode is neither "max" nor "min".
    """

    metric: str
    """Name of the metric, as the trainable reports it."""
    mode: Mode

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            allowed = " or ".join(get_args(Mode))
            raise ValueError(f"mode={self.mode!r}: it must be {allowed}")

    def key(self, value: float) -> float:
        """Return a sort key, smaller is better. Applied twice it returns the value."""
        return -value if self.mode == "max" else value

    def better(self, a: float, b: float) -> bool:
        """Return whether `a` is better than `b`; False if they are equal."""
        return self.key(a) < self.key(b)

    def best(self, values: Iterable[float]) -> float | None:
        """Return the best of the values; None if there are none."""
        return min(values, key=self.key, default=None)

    @property
    def worst(self) -> float:
        """Infinite value that is worse than every finite one."""
        return self.key(math.inf)


@dataclass(frozen=True, kw_only=True)
class Origin:
    """A trial of another study that a trial of this study continues from its checkpoint."""

    trial: int
    """Index of the trial in the other study."""
    checkpoints: str
    """Address of the checkpoints of that trial."""
    epoch: float
    """Epoch of the newest of these checkpoints; 0 without one, so that training starts anew."""


@dataclass(frozen=True, kw_only=True)
class EarlierCost:
    """Cost of a configuration, as a trial of another study has shown it."""

    config: Mapping[str, Any]
    epochs: float | None
    """Epochs after which the trial has ended by itself; None if it was stopped."""
    epoch_seconds: float
    checkpoint_bytes: int
    """Bytes of its largest checkpoint; 0 if none is left."""


@dataclass(frozen=True, kw_only=True)
class StudySpec:
    """Facts about a study before it begins."""

    objective: Objective
    trials: int
    """Number of trials."""
    searcher: StudySearcher
    scheduler: StudyScheduler
    trainable: str = "the trainable"
    """Name of the trainable, for error messages."""
    continues: bool
    """Whether the trainable resumes from its checkpoints."""

    def check(self) -> None:
        """Check that searcher, scheduler and study are compatible, and prepare both.

        Raises:
            ValueError: they are not compatible.
        """
        self.scheduler.check(self)
        self.searcher.check(self)


@dataclass(frozen=True)
class Expectation:
    """Expected cost of a study."""

    reaching: dict[int, float]
    """Expected number of trials that reach each rung, and the last epoch, by epochs."""
    epochs: float
    """Total number of epochs of all trials."""
    makespan: float
    """Epochs on the critical path, from the first epoch of the first trial to the last epoch of the
    last trial."""
