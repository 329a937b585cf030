"""Random search (Bergstra and Bengio 2012): independent points."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from search_spaces.searchers.base import StudySearcher
from search_spaces.space import Space
from search_spaces.values import Value, as_seed


class RandomSearch(StudySearcher):
    """Draws every point by itself: right for any number of trials and for every space.

    Args:
        space: where to look.
        seed: of all points.
        start_points: what to try first, whole or in part; what is missing has its default.

    Raises:
        ValueError: a start point is not in the space.
    """

    def __init__(
        self, space: Space, *, seed: int, start_points: Iterable[Mapping[str, object]] = ()
    ) -> None:
        super().__init__(space, start_points=start_points)
        self.seed = as_seed(seed)

    def suggest(self, index: int) -> dict[str, Value]:
        """Configuration number `index`, from 0, by seed and index alone."""
        # A seed sequence of two words gives independent streams; seed + index would not.
        uniforms = np.random.default_rng([self.seed, index]).random(len(self.space.parameters))
        return self.space.point(uniforms.tolist())
