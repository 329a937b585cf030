"""What a trainable reports: its numbers, as the journal can hold them, and the epoch they are of.

An epoch is what a trainable says itself, or one more than the report before: a number above 0, and
larger than that of the report before. That is 1, 2, 3, but also 10, 20, 30 of a trainable that
reports now and then, or 0.5, 1, 1.5 of one that reports twice an epoch. One that counts from 0, as
`for epoch in range(n)` does, is counted from 1 here.

A checkpoint in a bucket keeps what its trial reported before it, and its configuration: a head that
dies may take epochs with it that were in no flush of the journal yet. Whoever resumes from it
reports first what the journal lacks, one epoch after the other, and trains none of them again. A
trial that the journal has lost altogether is suggested anew. That may be another configuration,
which does not resume from the old one's checkpoint.
"""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

from search_spaces.trial_events import Epochs
from tune_cluster.storage.checkpoints import Checkpoint

Number: TypeAlias = int | float

STEP_LOSSES = "step_losses"

OF_TUNE = (
    *("done", "should_checkpoint", "checkpoint_dir_name", "config", "training_iteration"),
    *("iterations_since_restore", "timesteps_since_restore", "timesteps_total", "episodes_total"),
    *("time_this_iter_s", "time_since_restore", "time_total_s", "timestamp", "date"),
    *("pid", "hostname", "node_ip"),
)
"""What Tune puts into a result, or reads out of it, by itself. It is not to ask for a checkpoint: a
function's lies in a folder of its node, and is ours alone."""

NOT_METRICS = {STEP_LOSSES, *OF_TUNE}

LARGEST_EXACT = 2**53
"""The integers up to here are floating-point numbers too."""


class Reported(NamedTuple):
    """The numbers of a report, and what it has beside them."""

    numbers: dict[str, Number]
    """By name; what lies in a dictionary of its own is `name/name in it`, as Tune writes it."""
    left_out: dict[str, str]
    """By name, the type of what is no number."""
    step_losses: list[list[Number]]
    """Pairs of a step and its loss."""
    done: bool


def numbers_of(result: Mapping[Any, Any]) -> Reported:
    """Return what a trainable has reported, without what it must not send to the driver: an object
    that JSON cannot hold, or whose class is not known there."""
    values = {name: value for name, value in _flat(result) if name not in NOT_METRICS}
    read = {name: as_number(value) for name, value in values.items()}
    numbers = {name: number for name, number in read.items() if number is not None}
    left_out = {n: type(v).__name__ for n, v in values.items() if n not in numbers}
    step_losses = _pairs(result.get(STEP_LOSSES, []))
    if step_losses is None:
        left_out[STEP_LOSSES] = "no pairs of a step and its loss"
    return Reported(numbers, left_out, step_losses or [], bool(result.get("done")))


def metrics_of(result: Mapping[str, Any]) -> dict[str, Number | None]:
    """Return the numbers of an epoch, None for one that is not finite: the journal has no NaN. The
    study's metric and the losses are finite here."""
    return {
        name: value if math.isfinite(value) else None
        for name, value in result.items()
        if name not in NOT_METRICS
    }


def unusable(
    result: Mapping[Any, Any], numbers: Mapping[str, Number], metric: str
) -> tuple[Literal["failed", "diverged"], str] | None:
    """Return how a trial ends that has reported these `numbers`, and why; None if it goes on.

    The metric must be a number where it is reported; it and the losses must be finite.
    """
    if metric not in numbers and metric in result:
        return "failed", f"{metric} is {reprlib.repr(result[metric])}, which is no number"
    for name, value in numbers.items():
        if (name == metric or name.endswith("loss")) and not math.isfinite(value):
            return "diverged", f"{name} is {value}"
    return None


def as_number(value: Any) -> Number | None:
    """Return a number of Python, NumPy, torch or another library as Python's own, else None.

    An array or a tensor of one element is one; so are a fraction, a decimal and a truth value.
    """
    # NumPy, torch, JAX and pandas have it; it raises where there are several.
    with suppress(Exception):
        value = value.item()
    if isinstance(value, int):
        exact = int(value)
        return exact if abs(exact) <= LARGEST_EXACT else _as_float(exact)
    if not hasattr(type(value), "__float__"):
        return None
    try:
        return _as_float(value)
    except Exception:
        return None


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _flat(result: Mapping[Any, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in result.items():
        if isinstance(value, Mapping) and key not in NOT_METRICS:
            found += _flat(value, f"{prefix}{key}/")
        else:
            found.append((f"{prefix}{key}", value))
    return found


def _pairs(losses: Any) -> list[list[Number]] | None:
    """The pairs whose loss is finite; None if it is no list of pairs of numbers."""
    pairs = []
    try:
        for step, loss in losses:
            pair = as_number(step), as_number(loss)
            if not isinstance(pair[0], int) or pair[1] is None:
                return None
            pairs.append([pair[0], pair[1]])
    except (TypeError, ValueError):
        return None
    return [[step, loss] for step, loss in pairs if math.isfinite(loss)]


EPOCH_DIGITS = 6
"""Of the fraction of an epoch; the rest is rounding errors of a sum."""

LARGEST_EPOCH = 10**12
"""The largest epoch: TensorBoard's steps have an end."""


class EpochCount:
    """Counts the epochs of a trial since it began, or since it resumed from a checkpoint.

    Args:
        after: the epoch of that checkpoint, 0 without one.
        from_zero: whether it says 0 for its first epoch, which the checkpoint knows.
    """

    def __init__(self, after: Epochs = 0, *, from_zero: bool = False) -> None:
        self.last = after
        """The last one that was reported, or the checkpoint's."""
        self.from_zero = from_zero
        self.begun = False
        """Whether it has reported since."""

    def of(self, reported: Any) -> Epochs:
        """Return the epoch of a report that says `reported` of it; None says nothing.

        Raises:
            ValueError: it is no number, or not larger than the one before it.
        """
        self.last = self.last + 1 if reported is None else self._as_said(reported)
        self.begun = True
        return self.last

    def _as_said(self, reported: Any) -> Epochs:
        said = None if isinstance(reported, bool) else as_number(reported)
        if said is None or not 0 <= said <= LARGEST_EPOCH:
            raise ValueError(
                f"reported epoch {reprlib.repr(reported)}: an epoch is a number from 0 on; without "
                "one each report counts as one"
            )
        if not self.begun and said == 0:
            self.from_zero = True
        epoch = round(said + self.from_zero, EPOCH_DIGITS)
        if epoch <= 0 or (self.begun and epoch <= self.last):
            raise ValueError(
                f"reported epoch {said:g} after epoch {self.last - self.from_zero:g}: each report "
                "has a larger one than the report before; report once an epoch, or the fraction "
                "that is done, or no epoch at all: each report then counts as one"
            )
        return int(epoch) if math.isfinite(epoch) and epoch == int(epoch) else epoch


@dataclass
class History:
    """What a trial has reported, for its checkpoints and from them."""

    config: Mapping[str, Any]
    results: list[dict[str, Any]] = field(default_factory=list)
    """By epoch, those before its last resume included."""

    def to_keep(self) -> dict[str, Any]:
        """Return what the next checkpoint keeps, as `TrialCheckpoints.write` takes it."""
        return {"past": list(self.results), "config": as_json(self.config)}

    def add(self, result: Mapping[str, Any]) -> None:
        """Add what the trial reports."""
        self.results.append({k: v for k, v in result.items() if k not in (STEP_LOSSES, "done")})

    def is_of(self, checkpoint: Checkpoint) -> bool:
        """Return whether the checkpoint was trained with this configuration, as far as it says."""
        return checkpoint.config is None or checkpoint.config == as_json(self.config)

    def restore(self, checkpoint: Checkpoint, known: float) -> list[dict[str, Any]]:
        """Take over the results of a checkpoint; return those to report before the trial trains
        on, of which the checkpoint's own is the last.

        Args:
            known: epochs that the driver knows; infinite where none can be lost.
        """
        self.results = [*checkpoint.past]
        self.add(checkpoint.result)
        lost = [result for result in checkpoint.past if result["epoch"] > known]
        return [*lost, checkpoint.result]


def as_json(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration as it is read back: tuples are lists, NumPy's numbers Python's own."""
    read: dict[str, Any] = json.loads(json.dumps(config, default=lambda value: value.item()))
    return read
