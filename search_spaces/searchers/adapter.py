"""Any searcher of Ray Tune's as one of a study, and what Ray draws without one."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from ray.tune.search import Searcher

from search_spaces.objective import Objective, StudySpec
from search_spaces.searchers.base import StudySearcher
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.space import Space, flattened
from search_spaces.trial_events import Ended, Event, Result
from search_spaces.values import Value


class VariantSearch(RandomSearch):
    """Every combination of some hyperparameters, each with random values of the others, so often.

    Args:
        space: where to look.
        grid: names of those that are lists, all of whose values are tried.
        samples: how often each combination is tried.
        seed: of what is random.
    """

    def __init__(self, space: Space, grid: Sequence[str], *, samples: int, seed: int) -> None:
        super().__init__(space, seed=seed)
        lists = {p.name: p.values for p in space.parameters if p.name in grid}
        self._combinations = [
            dict(zip(lists, at, strict=True)) for at in itertools.product(*lists.values())
        ]
        self._samples = samples

    @property
    def size(self) -> int:
        """The points that there are."""
        return self._samples * len(self._combinations)

    def suggest(self, index: int) -> dict[str, Value]:
        """Configuration number `index`, from 0, by seed and index alone."""
        return {**super().suggest(index), **self._combinations[index % len(self._combinations)]}


WORST = 1e9
"""Told, with the sign that makes it bad, of a trial that failed before any trial had a value."""


class AdaptedSearcher(StudySearcher):
    """Lets a searcher of Ray Tune's suggest, which is told results and, once a trial, its end.

    A trial that diverged or failed is told with the worst value that any trial had, which is
    finite; one that its configuration is not to blame for without a value. Of a trial that is
    promoted after its end nothing more is told: Tune's searchers have forgotten it by then.

    Args:
        searcher: without a space of its own.
        space: where to look.
        param_space: the same as Ray's dictionary.
    """

    not_resumable = (
        "a searcher of Ray Tune's keeps to itself what it has learned, so that the study can be "
        "neither resumed nor extended"
    )
    learns = True

    def __init__(self, searcher: Searcher, space: Space, param_space: Mapping[str, Any]) -> None:
        super().__init__(space)
        self._searcher = searcher
        self._param_space = dict(param_space)
        self._objective: Objective | None = None
        self._size: int | None = None
        self._worst: float | None = None
        self._last: dict[int, dict[str, Any]] = {}
        """By trial that runs, its last result as Tune tells it."""
        self._ended: set[int] = set()

    def check(self, spec: StudySpec) -> None:
        """Tell the searcher metric, mode and space.

        Raises:
            ValueError: it has a space of its own.
        """
        super().check(spec)
        self._objective = spec.objective
        metric: str | None = spec.objective.metric
        mode: str | None = spec.objective.mode
        if (self._searcher.metric, self._searcher.mode) == (metric, mode):
            metric = mode = None  # Given twice, a searcher refuses both.
        if not self._searcher.set_search_properties(metric, mode, dict(self._param_space)):
            raise ValueError(
                f"{type(self._searcher).__name__} has a space, a metric or a mode of its own: give "
                "the space as param_space, and the others to TuneConfig"
            )

    @property
    def size(self) -> int | None:
        """The points that there are; None as long as the searcher has not said that it is done."""
        return self._size

    def suggest(self, index: int) -> dict[str, Value] | None:
        """The next configuration; None while the searcher has none, and from `size` on."""
        suggested: Any = self._searcher.suggest(str(index))
        if suggested == Searcher.FINISHED:
            self._size = index
            return None
        return None if suggested is None else flattened(suggested)

    def on_event(self, event: Event, replay: bool) -> None:
        """Tell the searcher a result or an end."""
        super().on_event(event, replay)
        assert self._objective is not None, "a study checks its searcher before it begins"
        if isinstance(event, Result):
            value = float(event.metrics[self._objective.metric] or 0.0)
            if self._worst is None or self._objective.better(self._worst, value):
                self._worst = value
            if event.trial not in self._ended:
                result = {**event.metrics, "epoch": event.epoch, "training_iteration": event.epoch}
                self._last[event.trial] = result
                self._searcher.on_trial_result(str(event.trial), result)
        elif isinstance(event, Ended) and event.trial not in self._ended:
            self._ended.add(event.trial)
            self._end(event, self._objective)

    def _end(self, event: Ended, objective: Objective) -> None:
        name, last = str(event.trial), self._last.pop(event.trial, None)
        if event.blamed:
            worst = objective.key(WORST) if self._worst is None else self._worst
            last = {**(last or {"epoch": 1, "training_iteration": 1}), objective.metric: worst}
            self._searcher.on_trial_complete(name, last)
        elif event.failed:
            self._searcher.on_trial_complete(name, error=True)
        else:
            self._searcher.on_trial_complete(name, last)

    def describe(self) -> dict[str, object]:
        """Its class, for `study.json`."""
        return {"searcher": type(self._searcher).__name__}
