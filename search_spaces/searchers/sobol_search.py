"""Scrambled Sobol sequence: points that cover a space more evenly than random ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from search_spaces.searchers.base import StudySearcher
from search_spaces.space import Space
from search_spaces.values import Value, as_seed

BLOCK = 256
"""Number of points computed at once; a power of two, since these prefixes are balanced."""


class SobolSearch(StudySearcher):
    """Quasi-random search, the recommended first study of a new space.

    The first 2^k points of the sequence (Sobol' 1967; scrambled after Owen 1998, by SciPy) leave no
    gaps as random points do, in every projection on one hyperparameter, which is why the *Deep
    Learning Tuning Playbook* (Godbole et al. 2023) prefers it for exploration.

    Args:
        space: space to search; at most 21,201 hyperparameters.
        seed: seed of the scrambling.
        start_points: configurations to try first, complete or partial; missing values are the
            defaults.

    Raises:
        ValueError: a start point is not in the space.
    """

    def __init__(
        self, space: Space, *, seed: int, start_points: Iterable[Mapping[str, object]] = ()
    ) -> None:
        # The import takes 0.5 s, so not for a study without these points.
        from scipy.stats import qmc

        super().__init__(space, start_points=start_points)
        self.seed = as_seed(seed)
        # SciPy has no sequence with 0 dimensions; if all is fixed, every point is the same.
        dimensions = max(1, len(space.parameters))
        self._sequence = qmc.Sobol(dimensions, rng=np.random.default_rng(seed))
        self._drawn = np.empty((0, dimensions))

    def suggest(self, index: int) -> dict[str, Value]:
        """Return configuration number `index`, from 0; it depends on seed and index alone."""
        while len(self._drawn) <= index:
            self._drawn = np.vstack([self._drawn, self._sequence.random(BLOCK)])
        return self.space.point(self._drawn[index, : len(self.space.parameters)].tolist())
