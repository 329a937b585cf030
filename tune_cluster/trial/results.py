"""Results of a trainable: its numbers, in a form that the journal can store, and their epoch.

The epoch is reported by the trainable, or one more than in the report before: a number above 0, and
larger than that of the report before. That is 1, 2, 3, but also 10, 20, 30 for a trainable that
reports rarely, or 0.5, 1, 1.5 for one that reports twice an epoch. Epochs counted from 0, as by
`for epoch in range(n)`, are counted from 1 here.

A checkpoint in a bucket stores the earlier reports of its trial, and its configuration: a head that
dies may lose epochs that no flush of the journal has had yet. A trial that resumes from it first
reports the epochs that the journal lacks, one after the other, and trains none of them again. A
trial that the journal has lost completely is suggested again. If that is another configuration, it
does not resume from the old one's checkpoint.
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
STEP_SCORES = "step_scores"

OF_TUNE = (
    *("done", "should_checkpoint", "checkpoint_dir_name", "config", "training_iteration"),
    *("iterations_since_restore", "timesteps_since_restore", "timesteps_total", "episodes_total"),
    *("time_this_iter_s", "time_since_restore", "time_total_s", "timestamp", "date"),
    *("pid", "hostname", "node_ip"),
)
"""Keys that Tune itself adds to a result, or reads from it. They cannot request a checkpoint: that
of a function is in a folder of its node, and is managed here alone."""

OF_STEPS = (STEP_LOSSES, STEP_SCORES)
"""Keys of values of single steps within an epoch."""

NOT_METRICS = {*OF_STEPS, *OF_TUNE}

LARGEST_EXACT = 2**53
"""Largest integer up to which every integer is a floating-point number too."""


class Reported(NamedTuple):
    """The numbers of a report, and its other content."""

    numbers: dict[str, Number]
    """Numbers by name; nested dictionaries give `outer/inner`, as Tune writes them."""
    left_out: dict[str, str]
    """Types of values that are no numbers, by name."""
    step_losses: list[list[Number]]
    """Pairs of a step and its loss."""
    step_scores: dict[str, list[list[Number]]]
    """Pairs of a step and another value, by name."""
    done: bool


def numbers_of(result: Mapping[Any, Any]) -> Reported:
    """Return the report of a trainable without values that must not be sent to the driver: objects
    that JSON cannot store, or whose class is not known there."""
    values = {name: value for name, value in _flat(result) if name not in NOT_METRICS}
    read = {name: as_number(value) for name, value in values.items()}
    numbers = {name: number for name, number in read.items() if number is not None}
    left_out = {n: type(v).__name__ for n, v in values.items() if n not in numbers}
    step_losses = _pairs(result.get(STEP_LOSSES, []))
    if step_losses is None:
        left_out[STEP_LOSSES] = "no pairs of a step and its loss"
    step_scores = _pairs_by_name(result.get(STEP_SCORES, {}))
    if step_scores is None:
        left_out[STEP_SCORES] = "no pairs of a step and a value by name"
    done = bool(result.get("done"))
    return Reported(numbers, left_out, step_losses or [], step_scores or {}, done)


def metrics_of(result: Mapping[str, Any]) -> dict[str, Number | None]:
    """Return the numbers of an epoch, None for a non-finite one: the journal has no NaN. The
    study's metric and the losses are finite here."""
    return {
        name: value if math.isfinite(value) else None
        for name, value in result.items()
        if name not in NOT_METRICS
    }


def unusable(
    result: Mapping[Any, Any], numbers: Mapping[str, Number], metric: str
) -> tuple[Literal["failed", "diverged"], str] | None:
    """Return how and why a trial with these `numbers` ends; None if it continues.

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

    An array or a tensor with one element is a number; so are fractions, decimals and booleans.
    """
    # NumPy, torch, JAX and pandas have this method; it raises for several elements.
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
    """Return the pairs whose loss is finite; None if it is no list of pairs of numbers."""
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


def _pairs_by_name(scores: Any) -> dict[str, list[list[Number]]] | None:
    """Return the pairs of each name that has any, as `_pairs`; None if these are none."""
    if not isinstance(scores, Mapping) or not all(isinstance(name, str) for name in scores):
        return None
    found = {name: _pairs(pairs) for name, pairs in scores.items()}
    if any(pairs is None for pairs in found.values()):
        return None
    return {name: pairs for name, pairs in found.items() if pairs}


EPOCH_DIGITS = 6
"""Digits of the fraction of an epoch; the rest is rounding error of a sum."""

LARGEST_EPOCH = 10**12
"""Largest epoch, since TensorBoard's steps are limited."""


class EpochCount:
    """Counts the epochs of a trial since it began, or resumed from a checkpoint.

    Args:
        after: epoch of that checkpoint, 0 without one.
        from_zero: whether the trial counts from 0, which the checkpoint knows.
    """

    def __init__(self, after: Epochs = 0, *, from_zero: bool = False) -> None:
        self.last = after
        """Last reported epoch, or that of the checkpoint."""
        self.from_zero = from_zero
        self.begun = False
        """Whether it has reported since."""

    def of(self, reported: Any) -> Epochs:
        """Return the epoch of a report with the field `reported`, None if it has none.

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
                "needs a larger epoch than the report before; report once an epoch, or the "
                "fraction that is done, or no epoch at all: each report then counts as one"
            )
        return int(epoch) if math.isfinite(epoch) and epoch == int(epoch) else epoch


@dataclass
class History:
    """Reports of a trial, written to its checkpoints and restored from them."""

    config: Mapping[str, Any]
    results: list[dict[str, Any]] = field(default_factory=list)
    """Results by epoch, including those before its last resume."""

    def to_keep(self) -> dict[str, Any]:
        """Return the arguments for `TrialCheckpoints.write` that store this history."""
        return {"past": list(self.results), "config": as_json(self.config)}

    def add(self, result: Mapping[str, Any]) -> None:
        """Add a result that the trial reports."""
        self.results.append({k: v for k, v in result.items() if k not in (*OF_STEPS, "done")})

    def is_of(self, checkpoint: Checkpoint) -> bool:
        """Return whether the checkpoint was trained with this configuration, if it stores one."""
        return checkpoint.config is None or checkpoint.config == as_json(self.config)

    def restore(self, checkpoint: Checkpoint, known: float) -> list[dict[str, Any]]:
        """Take over the results of a checkpoint; return those to report before training continues,
        of which the checkpoint's own is the last.

        Args:
            checkpoint: checkpoint to resume from.
            known: last epoch that the driver knows; infinite if none can be lost.
        """
        self.results = [*checkpoint.past]
        self.add(checkpoint.result)
        lost = [result for result in checkpoint.past if result["epoch"] > known]
        return [*lost, checkpoint.result]


def as_json(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration as JSON restores it: lists for tuples, Python's numbers for
    NumPy's."""
    read: dict[str, Any] = json.loads(json.dumps(config, default=lambda value: value.item()))
    return read
