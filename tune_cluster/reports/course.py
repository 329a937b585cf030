"""The course of a study: the best value so far against what was spent, and by chance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search_spaces.trial_events import Epoch, Result
from tune_cluster.study.stored import StoredStudy

BOOTSTRAPS = 200
"""Number of drawn orders of the trials."""

POINTS = 200
"""Number of points of the band."""


@dataclass(frozen=True, kw_only=True)
class Course:
    """The best value so far, after each new best and at the end."""

    epochs: list[int]
    """Epochs spent by all trials together."""
    trials: list[int]
    """Trials begun."""
    values: list[float]
    best_trials: list[int]
    """Trial with that value."""
    best_epochs: list[Epoch]
    """Its epoch with that value."""


def course_of(study: StoredStudy) -> Course:
    """Return the best value so far of a study."""
    objective = study.state.objective
    spent = 0
    begun: set[int] = set()
    best: float | None = None
    course = Course(epochs=[], trials=[], values=[], best_trials=[], best_epochs=[])

    def note(value: float, trial: int, epoch: Epoch) -> None:
        course.epochs.append(spent)
        course.trials.append(len(begun))
        course.values.append(value)
        course.best_trials.append(trial)
        course.best_epochs.append(epoch)

    for event in study.events:
        if not isinstance(event, Result):
            continue
        spent += 1
        begun.add(event.trial)
        value = event.metrics.get(objective.metric)
        if value is None or not np.isfinite(float(value)):
            continue
        if best is None or objective.better(float(value), best):
            best = float(value)
            note(best, event.trial, event.epoch)
    if best is not None and course.epochs[-1] != spent:
        note(best, course.best_trials[-1], course.best_epochs[-1])
    return course


@dataclass(frozen=True, kw_only=True)
class Band:
    """Best values so far of the same trials in other orders."""

    epochs: NDArray[np.float64]
    """Epochs spent, `[points]`."""
    low: NDArray[np.float64]
    """Fifth percentile of the best value so far, `[points]`."""
    middle: NDArray[np.float64]
    high: NDArray[np.float64]
    """Ninety-fifth percentile."""


def band_of(study: StoredStudy, seed: int = 0) -> Band | None:
    """Return the best value so far over trials drawn with replacement, in random order: how much of
    the course is luck. None without two trials with a value."""
    objective = study.state.objective
    trials = [
        (len(trial.results), objective.key(trial.best.value))
        for trial in study.state.trials.values()
        if trial.best is not None and math.isfinite(trial.best.value)
    ]
    if len(trials) < 2:
        return None
    lengths, keys = (np.array(column, dtype=np.float64) for column in zip(*trials, strict=True))
    total = lengths.sum()
    grid = np.linspace(0, total, POINTS + 1)[1:]
    generator = np.random.default_rng(seed)
    curves = np.empty((BOOTSTRAPS, POINTS))
    for number in range(BOOTSTRAPS):
        drawn = generator.integers(len(trials), size=len(trials))
        ends = lengths[drawn].cumsum()
        best = np.minimum.accumulate(keys[drawn])
        at = np.searchsorted(ends, grid, side="right") - 1
        curves[number] = np.where(at < 0, np.nan, best[np.maximum(at, 0)])
    known = ~np.isnan(curves).all(axis=0)
    low, middle, high = np.nanquantile(curves[:, known], (0.05, 0.5, 0.95), axis=0)
    # A key is the value or its negative.
    ends_of_band = sorted(
        (np.array([objective.key(key) for key in edge]) for edge in (low, high)),
        key=lambda edge: float(edge[-1]),
    )
    middle = np.array([objective.key(key) for key in middle])
    return Band(epochs=grid[known], low=ends_of_band[0], middle=middle, high=ends_of_band[1])
