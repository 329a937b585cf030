"""Random search: point i depends on the seed and on i alone (Bergstra and Bengio 2012)."""

from __future__ import annotations

import numpy as np
from ray.tune.search import Searcher

from search_spaces.space import Space, Value


class RandomSearch(Searcher):
    """A searcher of Tune that draws point 0, 1, 2, … of a space.

    Whatever the concurrency, and whoever asks first, the i-th suggestion is `point(i)`.
    """

    def __init__(self, space: Space, *, seed: int) -> None:
        super().__init__()
        self.space = space
        self.seed = seed
        self._next_index = 0

    def point(self, index: int) -> dict[str, Value]:
        """Configuration number `index`, from 0."""
        # A seed sequence of two words gives independent streams; seed + index would not.
        uniforms = np.random.default_rng([self.seed, index]).random(len(self.space.parameters))
        return self.space.point(uniforms.tolist())

    def suggest(self, trial_id: str) -> dict[str, Value]:
        """The next point; Tune's `trial_id` plays no part."""
        index, self._next_index = self._next_index, self._next_index + 1
        return self.point(index)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, object] | None = None, error: bool = False
    ) -> None:
        """Nothing: a random search does not learn."""
