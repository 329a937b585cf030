"""The trials that the checks of the doctor compare: each at its best epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard, TypeVar

from tune_cluster.study.state import TrialState
from tune_cluster.study.stored import StoredStudy

T = TypeVar("T")

TOP_SHARE = 0.1
"""Share of the trials that counts as the top."""


def ranked(study: StoredStudy) -> list[TrialState]:
    """Return the trials that have a finite value, the best first."""
    key = study.state.objective.key
    there = [t for t in study.state.trials.values() if t.best and math.isfinite(t.best.value)]
    return sorted(there, key=lambda trial: (key(trial.best.value), trial.index))  # type: ignore[union-attr]


def top(best_first: Sequence[T]) -> list[T]:
    """Return the best tenth of ranked trials, or of what belongs to them; at least one."""
    return list(best_first[: max(1, math.ceil(TOP_SHARE * len(best_first)))])


def with_parameter(
    trials: Sequence[TrialState], parameter: Mapping[str, Any]
) -> list[tuple[TrialState, float]]:
    """Return the trials that have a hyperparameter with a number, under its condition if it has
    one, with that number at their best epoch.

    Args:
        trials: trials with a best epoch.
        parameter: an entry of the space, as in `study.json`: a name may have several.
    """
    found = []
    for trial in trials:
        assert trial.best is not None
        config = trial.config_at(trial.best.epoch)
        condition = parameter.get("condition", {}).items()
        value = config.get(parameter["name"])
        if all(config.get(name) in values for name, values in condition) and is_number(value):
            found.append((trial, float(value)))
    return found


def is_number(value: object) -> TypeGuard[float]:
    """Return whether a value of a hyperparameter is a number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def blamed(study: StoredStudy) -> list[TrialState]:
    """Return the trials that have diverged or failed by their configuration."""
    return [
        trial
        for trial in study.state.trials.values()
        if trial.status in ("diverged", "failed") and not trial.infrastructure_failure
    ]
