"""A place in the unit cube of a space as the columns that a Gaussian process measures distances in.

A range and an ordered list are one column from 0 to 1. A list without order is one column for each
value, so that two values are a distance of 1 apart, whichever they are; of two values, one column.
A hyperparameter that a configuration does not have is in the middle: which branch it is in, the
columns of the parent say.
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
"""Whole numbers of a range up to which they are told apart; of more a place stays what it is."""


class Encoding:
    """The columns of a space.

    Args:
        space: with p hyperparameters.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._middles = [_middles(parameter) for parameter in space.parameters]
        self._edges = [None if m is None else _edges(m) for m in self._middles]
        self.categorical = np.array([_one_hot(p) > 0 for p in space.parameters], dtype=bool)
        """Of each hyperparameter, whether a small change of its number means nothing."""
        self.steps = np.array([0.0 if m is None else 1 / len(m) for m in self._middles])
        """Of each, the share of [0, 1) that one value has; 0 of what is continuous."""

    @property
    def columns(self) -> int:
        """How many there are."""
        return sum(_one_hot(p) or len(p.values) != 1 for p in self._space.parameters)

    def placed(self, numbers: Floats) -> Floats:
        """As `Space.unit` of `Space.point`, for many at once.

        Args:
            numbers: in [0, 1], [n, p].

        Returns:
            The same, in the middle of the value's share for a list or an integer range, and NaN
            where the hyperparameter is not there, [n, p].
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
        """The columns of places as `placed` gives them, [n, p] to [n, columns]."""
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
                # The first value at 0, the last one at 1.
                found.append(((place * count - 0.5) / (count - 1))[:, None])
            elif count == 0:
                found.append(place[:, None])
        return np.hstack(found) if found else np.empty((len(units), 0))

    def _exists(self, at: int, units: Floats, there: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Where hyperparameter `at` is there, by those before it."""
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
    """The columns of a list without order; 0 of anything else."""
    count = len(parameter.values)
    return count if parameter.categorical and count > 2 else 0


def _middles(parameter: Hyperparameter) -> Floats | None:
    """The middle of each value's share of [0, 1); None where it has no few values."""
    if parameter.values:
        return np.array([parameter.unit(value) for value in parameter.values])
    assert parameter.low is not None
    assert parameter.high is not None
    if not parameter.integer or parameter.step or parameter.high - parameter.low >= FEW:
        return None
    return np.array([parameter.unit(n) for n in range(int(parameter.low), int(parameter.high) + 1)])


def _edges(middles: Floats) -> Floats:
    """Where the share of the second value begins, of the third, and so on."""
    edges = [0.0]
    for middle in middles[:-1].tolist():
        edges.append(2 * middle - edges[-1])
    return np.array(edges[1:])
