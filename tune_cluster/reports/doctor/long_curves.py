"""The learning curves that the doctor judges: of the best trials that ran to the end."""

from __future__ import annotations

import math

from tune_cluster.reports.doctor.finding import PLAYBOOK
from tune_cluster.reports.doctor.trials import ranked
from tune_cluster.study.state import TrialState
from tune_cluster.study.stored import StoredStudy

LOOKED_AT = 10
"""Number of the best trials whose curves are judged, among those that ran to the end."""

MOST_OF_THEM = 0.5
"""Share of the judged trials from which a finding is one."""

SOURCE = f"{PLAYBOOK}, 'Examining the training curves'"


def long_curves(study: StoredStudy, fewest: int) -> list[TrialState]:
    """Return the best trials that ran to the end, the best first.

    Args:
        study: the study.
        fewest: smallest number of epochs of a curve whose shape says anything.
    """
    longest = max((trial.epochs for trial in study.state.trials.values()), default=0)
    whole = [t for t in ranked(study) if t.epochs >= longest and len(t.results) >= fewest]
    return whole[:LOOKED_AT]


def curve(trial: TrialState, name: str) -> list[float]:
    """Return the finite values of a metric in the order of the epochs."""
    found = (trial.results[epoch].get(name) for epoch in sorted(trial.results))
    return [float(v) for v in found if isinstance(v, (int, float)) and math.isfinite(v)]
