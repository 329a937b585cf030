"""The numbers of what a trainable reports, as the journal can hold them."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Number: TypeAlias = int | float

BAD_VALUE = 1e9
"""Stands for a value that is missing or not finite, with the sign that makes it bad. The models of
schedulers and searchers rank values, so that its size does not matter."""

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

EXACT = 2**53
"""The integers up to here are floating-point numbers too."""


@dataclass(frozen=True)
class Reported:
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
    numbers: dict[str, Number] = {}
    left_out: dict[str, str] = {}
    for name, value in _flat(result):
        if name in NOT_METRICS:
            continue
        number = as_number(value)
        if number is None:
            left_out[name] = type(value).__name__
        else:
            numbers[name] = number
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

    The metric must be there; it and the losses must be finite.
    """
    if metric not in numbers:
        if metric in result:
            return "failed", f"{metric} is {reprlib.repr(result[metric])}, which is no number"
        return "failed", f"no {metric} in {', '.join(sorted(numbers)) or 'an empty report'}"
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
        return exact if abs(exact) <= EXACT else _as_float(exact)
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
