"""What a study looks for, and what its searcher and its scheduler need to know of it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

if TYPE_CHECKING:
    from search_spaces.schedulers.base import StudyScheduler
    from search_spaces.searchers.base import StudySearcher


Mode: TypeAlias = Literal["max", "min"]

SMALLEST_IN_DECIMALS = 0.001
"""Of a value with four decimals."""


def shown_value(value: float, like: float | None = None) -> str:
    """Return a value of a metric for a person: with four decimals, or, where these would hide it,
    with four significant digits.

    Args:
        value: of the metric.
        like: the value whose notation to use; its own if None.

    >>> shown_value(0.902), shown_value(1.25e-6), shown_value(0.0005, like=0.9)
    ('0.9020', '1.250e-06', '0.0005')
    """
    size = abs(value if like is None else like)
    return f"{value:.4f}" if size == 0 or size >= SMALLEST_IN_DECIMALS else f"{value:.3e}"


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


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The trial of another study that a trial continues: its own first checkpoint is that one's."""

    trial: int
    """In the other study."""
    checkpoints: str
    """The address of that trial's checkpoints."""
    epoch: float
    """Of the newest of them, 0 without one: the trial then begins anew."""


@dataclass(frozen=True, kw_only=True)
class StudySpec:
    """A study as it is about to begin."""

    objective: Objective
    trials: int
    """That it shall have."""
    searcher: StudySearcher
    scheduler: StudyScheduler
    trainable: str = "the trainable"
    """Its name, for errors."""
    continues: bool
    """Whether the trainable goes on from its checkpoints."""

    def check(self) -> None:
        """Hold searcher and scheduler against the study and each other, and tell them of it.

        Raises:
            ValueError: they do not go together.
        """
        self.scheduler.check(self)
        self.searcher.check(self)


@dataclass(frozen=True)
class Expectation:
    """What a study is expected to cost."""

    reaching: dict[int, float]
    """By rung in epochs, and by the last epoch: the trials that get there."""
    epochs: float
    """Of all trials together."""
    makespan: float
    """Epochs one after another, from the first trial's first to the last trial's last."""
