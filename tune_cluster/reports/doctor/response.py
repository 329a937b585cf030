"""Does the metric become better towards an end of a range? What all trials say, not the best alone.

A quadratic response surface (Box and Wilson 1951, *On the Experimental Attainment of Optimum
Conditions*) of the ranks of the trials: ranks, so that values of failed regions do not bend it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from tune_cluster.reports.doctor.trials import is_number
from tune_cluster.study.state import TrialState
from tune_cluster.study.stored import StoredStudy

FREE = 6
"""Smallest number of trials above the number of coefficients."""

NEAR = 0.25
"""Place, as a distance from the end, that the end is compared with."""


def place_of(parameter: Mapping[str, Any], value: float) -> float:
    """Return the position of a value in its range, 0 to 1, on its scale."""
    low, high = parameter["low"], parameter["high"]
    if parameter.get("scale") == "log" and value > 0:
        return (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))
    return float((value - low) / (high - low))


def rises_to(
    end: Literal["lower", "upper"],
    parameter: Mapping[str, Any],
    trials: Sequence[TrialState],
    study: StoredStudy,
) -> float | None:
    """Return the probability by which trials that do not become better towards an end of a range
    look as if they did (one-sided t test of the surface at the end against a quarter inside it);
    None if there are too few to say.

    Args:
        end: end of the range.
        parameter: entry of the space with the range.
        trials: trials that have it, the best first.
        study: their study.
    """
    from scipy.stats import norm, rankdata, t

    count, key = len(trials), study.state.objective.key
    # Equal values have equal ranks: their order is that in which they were tried.
    ranks = rankdata([-key(trial.best.value) for trial in trials if trial.best])
    scores = norm.ppf((ranks - 0.375) / (count + 0.25))
    place = np.array([place_of(parameter, _value(trial, parameter["name"])) for trial in trials])
    columns = [np.ones(count), place, place**2]
    for other in study.about["space"]["parameters"]:
        if other["name"] != parameter["name"] and "condition" not in other:
            columns += _columns(other, trials)
    design = np.stack(columns, axis=1)
    if not np.isfinite(design).all():
        return None
    rank = int(np.linalg.matrix_rank(design))
    if count < rank + FREE:
        return None
    inverse = np.linalg.pinv(design.T @ design)
    coefficients = inverse @ design.T @ scores
    at, inside = (0.0, NEAR) if end == "lower" else (1.0, 1 - NEAR)
    contrast = np.zeros(design.shape[1])
    contrast[1:3] = at - inside, at**2 - inside**2
    left = scores - design @ coefficients
    variance = float(left @ left) / (count - rank) * float(contrast @ inverse @ contrast)
    if variance <= 0:
        return None
    return float(t.sf(float(contrast @ coefficients) / math.sqrt(variance), count - rank))


def _columns(other: Mapping[str, Any], trials: Sequence[TrialState]) -> list[np.ndarray[Any, Any]]:
    """Return the columns of another hyperparameter: quadratic in a number and in the place of an
    ordered value, one a value otherwise."""
    values = [_config(trial).get(other["name"]) for trial in trials]
    if "low" in other and other["low"] < other["high"]:
        if not all(map(is_number, values)):
            return []
        places = np.array([place_of(other, float(value)) for value in values])  # type: ignore[arg-type]
        return [places, places**2]
    known = list(other.get("values", ()))
    if other.get("ordered") and len(known) > 2 and all(value in known for value in values):
        places = np.array([known.index(value) / (len(known) - 1) for value in values])
        return [places, places**2]
    return [np.array([value == one for value in values], float) for one in known[1:]]


def _value(trial: TrialState, name: str) -> float:
    return float(_config(trial)[name])


def _config(trial: TrialState) -> dict[str, Any]:
    assert trial.best is not None
    return trial.config_at(trial.best.epoch)
