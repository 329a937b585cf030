"""Encoding of points of a space as columns, whose distances a Gaussian process uses.

A range or an ordered list is one column from 0 to 1. A list without order has one column for each
value, so that any two values have a distance of 1; a list of two values has one column. A
hyperparameter that does not exist in a configuration is set to the middle: the columns of its
parent tell the branches apart.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from search_spaces.hyperparameter import Hyperparameter
from search_spaces.space import Space

Floats: TypeAlias = NDArray[np.float64]

MIDDLE = 0.5

FEW = 1_000
"""Largest number of whole numbers of a range that are encoded separately; a wider range is treated
as continuous."""


class Encoding:
    """Encodes points of a space as columns.

    Args:
        space: space with p hyperparameters.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._middles = [_middles(parameter) for parameter in space.parameters]
        self._edges = [None if m is None else _edges(m) for m in self._middles]
        self.categorical = np.array([_one_hot(p) > 0 for p in space.parameters], dtype=bool)
        """Whether the values of each hyperparameter have no order, [p]."""
        self.steps = np.array([0.0 if m is None else 1 / len(m) for m in self._middles])
        """Share of [0, 1) that one value of each hyperparameter has; 0 if continuous, [p]."""

    @property
    def columns(self) -> int:
        """Number of columns."""
        return sum(_one_hot(p) or len(p.values) != 1 for p in self._space.parameters)

    def placed(self, numbers: Floats) -> Floats:
        """Return `Space.unit` of `Space.point` for many points at once.

        Args:
            numbers: numbers in [0, 1], [n, p].

        Returns:
            The middle of the value's share for a list or an integer range, the same number for a
            continuous range, and NaN where the hyperparameter does not exist, [n, p].
        """
        found = numbers.copy()
        there = np.ones(numbers.shape, dtype=bool)
        for at, (middles, edges) in enumerate(zip(self._middles, self._edges, strict=True)):
            if middles is not None and edges is not None:
                found[:, at] = middles[np.searchsorted(edges, numbers[:, at], side="right")]
            there[:, at] = self._exists(at, found, there)
        found[~there] = np.nan
        return found

    def rows(self, units: Floats) -> Floats:
        """Return the columns of points as returned by `placed`, [n, p] to [n, columns]."""
        found = []
        for at, parameter in enumerate(self._space.parameters):
            unit, count = units[:, at], len(parameter.values)
            absent = np.isnan(unit)
            place = np.where(absent, MIDDLE, unit)
            if _one_hot(parameter):
                hot = np.eye(count)[np.minimum((place * count).astype(int), count - 1)]
                hot[absent] = 1 / count
                found.append(hot / math.sqrt(2))
            elif count > 1:
                # Scale so that the first value is at 0 and the last one at 1.
                found.append(((place * count - 0.5) / (count - 1))[:, None])
            elif count == 0:
                found.append(place[:, None])
        return np.hstack(found) if found else np.empty((len(units), 0))

    def _exists(self, at: int, units: Floats, there: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return in which rows hyperparameter `at` exists, by those before it, [n]."""
        child = self._space.parameters[at]
        if child.condition is None:
            return np.ones(len(units), dtype=bool)
        exists = np.full(len(units), child.exists_under(dict(self._space.fixed)))
        for above, parent in enumerate(self._space.parameters[:at]):
            if parent.name != child.condition[0]:
                continue
            if parent.values:
                allows = np.array([child.exists_under({parent.name: v}) for v in parent.values])
                allowed = allows[(units[:, above] * len(allows)).astype(int)]
            else:
                values = map(parent.at, units[:, above].tolist())
                allowed = np.array([child.exists_under({parent.name: v}) for v in values])
            exists |= there[:, above] & allowed
        return exists


def _one_hot(parameter: Hyperparameter) -> int:
    """Return the number of columns of a list without order; 0 for any other hyperparameter."""
    count = len(parameter.values)
    return count if parameter.categorical and count > 2 else 0


def _middles(parameter: Hyperparameter) -> Floats | None:
    """Return the middle of each value's share of [0, 1); None if there are too many values."""
    if parameter.values:
        return np.array([parameter.unit(value) for value in parameter.values])
    assert parameter.low is not None
    assert parameter.high is not None
    if not parameter.integer or parameter.step or parameter.high - parameter.low >= FEW:
        return None
    return np.array([parameter.unit(n) for n in range(int(parameter.low), int(parameter.high) + 1)])


def _edges(middles: Floats) -> Floats:
    """Return where the share of the second value begins, of the third, and so on."""
    edges = [0.0]
    for middle in middles[:-1].tolist():
        edges.append(2 * middle - edges[-1])
    return np.array(edges[1:])
