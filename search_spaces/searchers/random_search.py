"""Random search (Bergstra and Bengio 2012): independent points."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from search_spaces.searchers.base import StudySearcher
from search_spaces.space import Space
from search_spaces.values import Value, as_seed

FREE = 2
"""Least number of hyperparameters that a point around the defaults draws: with fewer, points would
repeat; in a space of two no default is kept."""

HALF_AFTER = 100
"""Number of trials after which half of the points are around the defaults; at first all are."""


class RandomSearch(StudySearcher):
    """Draws every point independently, for any number of trials and every space.

    With `around_defaults` some points keep each hyperparameter at its default with probability 1/2:
    all points at the beginning, and fewer as trials come in. Most defaults are good, and a trial
    that changes few of them shows which. It is a prior that fades, as in PriorBand (Mallik et al.
    2023), with its mass on single defaults instead of near all of them at once, which was better on
    LCBench (`benchmarks/lcbench.py`). Start points of earlier studies that proved good in this
    study are kept like the defaults, each with equal probability.

    Args:
        space: space to search.
        seed: seed of all points.
        start_points: configurations to try first, complete or partial; missing values are the
            defaults.
        around_defaults: whether some points keep some defaults.

    Raises:
        ValueError: a start point is not in the space.
    """

    def __init__(
        self,
        space: Space,
        *,
        seed: int,
        start_points: Iterable[Mapping[str, object]] = (),
        around_defaults: bool = False,
    ) -> None:
        super().__init__(space, start_points=start_points)
        self.seed = as_seed(seed)
        self._defaults = space.complete({}) if around_defaults else None

    def suggest(self, index: int) -> dict[str, Value]:
        """Return configuration number `index`, from 0, by seed and index, and by the start points
        of earlier studies."""
        # A seed sequence of two words gives independent streams; seed + index would not.
        rng = np.random.default_rng([self.seed, index])
        uniforms = rng.random(len(self.space.parameters)).tolist()
        if self._defaults is None or rng.random() >= 1 / (1 + index / HALF_AFTER):
            return self.space.point(uniforms)
        centres = [self._defaults, *self.earlier_points.trusted]
        centre = centres[0] if len(centres) == 1 else centres[rng.integers(len(centres))]
        chances = rng.random(len(uniforms))
        # A hyperparameter with a condition may not exist.
        last = np.array([parameter.condition is not None for parameter in self.space.parameters])
        drawn = (chances < 0.5) | ((chances + last).argsort().argsort() < FREE)
        kept_at = self.space.unit(centre)
        config = self.space.point(
            [
                number if free or place is None else place
                for number, free, place in zip(uniforms, drawn, kept_at, strict=True)
            ]
        )
        # Copy the value, since converting it to [0, 1] and back would round it.
        kept = [
            parameter.name
            for parameter, free, place in zip(self.space.parameters, drawn, kept_at, strict=True)
            if not free and place is not None and parameter.exists_under(config)
        ]
        return {**config, **{name: centre[name] for name in kept}}
