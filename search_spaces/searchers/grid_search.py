"""Grid search: every combination of given values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from search_spaces.hyperparameter import Hyperparameter
from search_spaces.searchers.base import StudySearcher
from search_spaces.space import Space
from search_spaces.values import Value

LIMIT = 10_000
"""Largest number of points that is taken for intended; a fifth hyperparameter of ten values
exceeds it."""


class GridSearch(StudySearcher):
    """Tries all combinations; the values of the last hyperparameter vary fastest.

    A branch is combined only with the hyperparameters that it has.

    Args:
        space: space to search.
        grid_points: number of values of each range, evenly spaced on its scale, with both ends;
            None for the catalogue's `grid`. All values of a list are used.
        limit: largest number of points that is not refused.
        start_points: configurations to try first, complete or partial; missing values are the
            defaults. The grid follows, without points that were start points.

    Raises:
        ValueError: more points than `limit`, a range without a grid, or a start point that is not
            in the space.
    """

    def __init__(
        self,
        space: Space,
        *,
        grid_points: int | None = None,
        limit: float = LIMIT,
        start_points: Iterable[Mapping[str, object]] = (),
    ) -> None:
        super().__init__(space, start_points=start_points)
        if grid_points is not None and not 2 <= grid_points <= LIMIT:
            raise ValueError(f"--grid-points must be from 2 to {LIMIT:,}, got {grid_points:,}")
        self._values = [grid_values(parameter, grid_points) for parameter in space.parameters]
        self._parents = {p.condition[0] for p in space.parameters if p.condition}
        self._size = self._count(dict(space.fixed), 0)
        if self._size > limit:
            sizes = " × ".join(
                f"{label} {len(values)}"
                for label, values in zip(space.labels, self._values, strict=True)
            )
            raise ValueError(
                f"the grid has {self._size:,} points ({sizes}), more than {limit:,}: give fewer "
                "--grid-points, fix a hyperparameter, or give --yes"
            )
        self._size += sum(not self._has(point) for point in self.start_points)
        self._walk = (
            point for point in self._points(dict(space.fixed), 0) if point not in self.start_points
        )
        self._drawn: list[dict[str, Value]] = []

    @property
    def size(self) -> int:
        """Number of start points and other points of the grid."""
        return self._size

    def suggest(self, index: int) -> dict[str, Value]:
        """Return configuration number `index`, which comes after the start points."""
        at = index - len(self.start_points)
        self._drawn.extend(islice(self._walk, max(0, at + 1 - len(self._drawn))))
        return dict(self._drawn[at])

    def _has(self, config: Mapping[str, Value]) -> bool:
        """Return whether a configuration of the space is a point of the grid."""
        return all(
            config[parameter.name] in values
            for parameter, values in zip(self.space.parameters, self._values, strict=True)
            if parameter.exists_under(config)
        )

    def _count(self, config: dict[str, Value], start: int) -> int:
        """Return the number of points below `config`; visits only values that open a branch."""
        factor = 1
        for at in range(start, len(self.space.parameters)):
            parameter, values = self.space.parameters[at], self._values[at]
            if not parameter.exists_under(config):
                continue
            if parameter.name in self._parents:
                return factor * sum(
                    self._count({**config, parameter.name: value}, at + 1) for value in values
                )
            factor *= len(values)
        return factor

    def _points(self, config: dict[str, Value], start: int) -> Iterator[dict[str, Value]]:
        for at in range(start, len(self.space.parameters)):
            parameter = self.space.parameters[at]
            if parameter.exists_under(config):
                for value in self._values[at]:
                    yield from self._points({**config, parameter.name: value}, at + 1)
                return
        yield config


def grid_values(parameter: Hyperparameter, grid_points: int | None) -> list[Value]:
    """Return the values of one hyperparameter that a grid tries, in order.

    Raises:
        ValueError: a range without a grid, and no number of points given.
    """
    if parameter.values:
        return list(parameter.values)
    if grid_points is None:
        if not parameter.grid:
            raise ValueError(f"{parameter.name} is a range without a grid: give --grid-points")
        return list(parameter.grid)
    assert parameter.low is not None
    assert parameter.high is not None
    if parameter.integer:
        # An integer's value at u = 1 would be outside its share.
        ends = [parameter.unit(int(parameter.low)), parameter.unit(int(parameter.high))]
    else:
        ends = [0.0, 1.0]
    steps = [ends[0] + (ends[1] - ends[0]) * i / (grid_points - 1) for i in range(grid_points)]
    # A short integer range has fewer values than points.
    return list(dict.fromkeys(parameter.at(u) for u in steps))
