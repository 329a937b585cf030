"""Hyperparameters as axes of the figures of a report, and the trials that have no place on that of
the metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from search_spaces.values import short
from tune_cluster.reports.figure_style import is_finite
from tune_cluster.reports.trial_table import Row


def lost_of(rows: Sequence[Row]) -> list[Row]:
    """Return the trials that have diverged or failed without a value."""
    ends = ("diverged", "failed")
    return [row for row in rows if not is_finite(row.value) and row.status in ends]


class Axis(NamedTuple):
    """One hyperparameter as an axis."""

    name: str
    log: bool
    labels: list[str]
    """Text of each position, for values that are no range."""
    values: NDArray[np.float64]
    """Position of each trial, `[n]`."""
    ends: tuple[float, float]

    @property
    def unit(self) -> NDArray[np.float64]:
        """Positions from 0 to 1, on the scale of the axis."""
        low, high = map(float, self._scaled(np.array(self.ends)))
        width = high - low or 1.0
        return (self._scaled(self.values) - low) / width

    def back(self, unit: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the inverse of `unit`."""
        low, high = map(float, self._scaled(np.array(self.ends)))
        placed = low + unit * (high - low)
        return np.power(10.0, placed) if self.log else placed

    def _scaled(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.log10(values) if self.log else values


def axis_of(values: Sequence[Any], name: str, parameters: Sequence[dict[str, Any]]) -> Axis:
    """Return the axis of a hyperparameter for its values, one a trial: a range, on the scale of the
    space, or one position for each value."""
    branches = [one for one in parameters if one["name"] == name]
    if all("low" in one for one in branches) and all(map(is_finite, values)):
        log = min(values) > 0 and any(one.get("scale") == "log" for one in branches)
        return Axis(name, log, [], np.array(values, dtype=float), (min(values), max(values)))
    listed = [short(value) for one in branches for value in one.get("values", ())]
    labels = list(dict.fromkeys([*listed, *map(short, values)]))
    places = np.array([labels.index(short(value)) for value in values], dtype=float)
    return Axis(name, False, labels, places, (0.0, max(1.0, len(labels) - 1.0)))


def position_on(axis: Axis, config: Mapping[str, Any]) -> Any:
    """Return the position of a configuration on an axis; None if its value is not on it."""
    text = short(config[axis.name])
    if not axis.labels:
        return config[axis.name]
    return axis.labels.index(text) if text in axis.labels else None
