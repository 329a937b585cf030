"""The trials that the checks of the doctor compare: each at its best epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tune_cluster.study.state import TrialState
from tune_cluster.study.stored import StoredStudy

TOP_SHARE = 0.1
"""Share of the trials that counts as the top."""


def ranked(study: StoredStudy) -> list[TrialState]:
    """Return the trials that have a finite value, the best first."""
    key = study.state.objective.key
    there = [t for t in study.state.trials.values() if t.best and math.isfinite(t.best.value)]
    return sorted(there, key=lambda trial: (key(trial.best.value), trial.index))  # type: ignore[union-attr]


def top(trials: Sequence[TrialState]) -> list[TrialState]:
    """Return the best tenth of ranked trials, at least one."""
    return list(trials[: max(1, math.ceil(TOP_SHARE * len(trials)))])


def blamed(study: StoredStudy) -> list[TrialState]:
    """Return the trials that have diverged or failed by their configuration."""
    return [
        trial
        for trial in study.state.trials.values()
        if trial.status in ("diverged", "failed") and not trial.infrastructure_failure
    ]
