"""Grid search: every combination of the values that are named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from search_spaces.hyperparameter import Hyperparameter
from search_spaces.searchers.base import StudySearcher
from search_spaces.space import Space
from search_spaces.values import Value

LIMIT = 10_000
"""More points than anybody means; a fifth hyperparameter of ten values is what does it."""


class GridSearch(StudySearcher):
    """Tries all combinations, the last hyperparameter's values first.

    A branch is multiplied only by the hyperparameters that it has.

    Args:
        space: where to look.
        grid_points: values of each range, evenly on its scale, its ends included; None takes the
            catalogue's `grid`. A list is taken whole.
        limit: the most points that are not a mistake.
        start_points: what to try first, whole or in part; what is missing has its default. The
            grid follows, without those of its points that were among them.

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
                "--grid-points, fix a hyperparameter, or say --yes"
            )
        self._size += sum(not self._has(point) for point in self.start_points)
        self._walk = (
            point for point in self._points(dict(space.fixed), 0) if point not in self.start_points
        )
        self._drawn: list[dict[str, Value]] = []

    @property
    def size(self) -> int:
        """The start points, and the other points of the grid."""
        return self._size

    def suggest(self, index: int) -> dict[str, Value]:
        """Configuration number `index`, which comes after the start points."""
        at = index - len(self.start_points)
        self._drawn.extend(islice(self._walk, max(0, at + 1 - len(self._drawn))))
        return dict(self._drawn[at])

    def _has(self, config: Mapping[str, Value]) -> bool:
        """Whether a configuration of the space is a point of the grid."""
        return all(
            config[parameter.name] in values
            for parameter, values in zip(self.space.parameters, self._values, strict=True)
            if parameter.exists_under(config)
        )

    def _count(self, config: dict[str, Value], start: int) -> int:
        """The points below `config`; walks through those values alone that open a branch."""
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
    """What a grid tries of one hyperparameter, in its order.

    Raises:
        ValueError: a range without a grid, and no number of points.
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
        # An integer's value at u = 1 would be beyond its share.
        ends = [parameter.unit(int(parameter.low)), parameter.unit(int(parameter.high))]
    else:
        ends = [0.0, 1.0]
    steps = [ends[0] + (ends[1] - ends[0]) * i / (grid_points - 1) for i in range(grid_points)]
    # Few integers have fewer values than points.
    return list(dict.fromkeys(parameter.at(u) for u in steps))
