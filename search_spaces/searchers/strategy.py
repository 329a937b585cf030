"""What every searcher here is: configuration 0, 1, 2, … of a space, in the words of Tune."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from ray.tune.search import Searcher

from search_spaces.space import Space, checked_space
from search_spaces.values import Value


class Strategy(Searcher):
    """A searcher of Tune whose i-th suggestion is `point(i)`.

    A point depends on the seed, on i, and, where a strategy learns, on what it has been told until
    then; on nothing else. So a study is taken up again by telling: no state is ever stored.

    Args:
        space: where to look.

    Raises:
        ValueError: it is no `Space`.
    """

    rungs: Sequence[int] = ()
    """Epochs at which a scheduler compares trials, ascending; a model compares them there too."""

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.space = checked_space(space, type(self).__name__)
        self._suggested = 0

    @property
    def size(self) -> int | None:
        """The points that there are; None without an end."""
        return None

    @abstractmethod
    def point(self, index: int) -> dict[str, Value]:
        """Configuration number `index`, from 0."""

    def suggest(self, trial_id: str) -> dict[str, Value] | str:
        """The next point, which `trial_id` is from now on."""
        index = self._suggested
        if self.size is not None and index >= self.size:
            return str(Searcher.FINISHED)
        config = self.point(index)
        self.recorded(trial_id, config)
        return config

    def recorded(self, trial_id: str, config: Mapping[str, Any]) -> None:
        """Tells the next point's configuration: it has been suggested, now or in an earlier
        session."""
        self._suggested += 1

    def promoted(self, trial_id: str) -> None:
        """Tells that a trial that was stopped goes on; nothing, where a strategy does not learn."""

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """Takes metric and mode from `tune.TuneConfig`."""
        self._metric, self._mode = metric, mode
        return True

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Nothing, where a strategy does not learn."""

    def describe(self) -> dict[str, object]:
        """The strategy as plain JSON, for `study.json`."""
        return {"searcher": type(self).__name__}
