"""Adapter that makes any searcher of Ray Tune a searcher of a study, and Ray's default variants."""

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
    """Combines every value of some hyperparameters with random values of the others, repeatedly.

    Args:
        space: space to search.
        grid: names of hyperparameters with lists, all of whose values are tried.
        samples: number of random samples of each combination.
        seed: seed of the random values.
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
        """Number of points."""
        return self._samples * len(self._combinations)

    def suggest(self, index: int) -> dict[str, Value]:
        """Return configuration number `index`, from 0; it depends on seed and index alone."""
        return {**super().suggest(index), **self._combinations[index % len(self._combinations)]}


WORST = 1e9
"""Value, with the sign that makes it bad, reported for a trial that failed before any trial had a
value."""


class AdaptedSearcher(StudySearcher):
    """A searcher of a study that passes results and ends to a searcher of Ray Tune.

    For a trial that diverged or failed it reports the worst value of any trial, which is finite,
    and no value if the configuration is not to blame. After the end of a trial that is promoted
    later it reports nothing more: Tune's searchers have dropped the trial by then.

    Args:
        searcher: a searcher without a space of its own.
        space: space to search.
        param_space: the same space as Ray's dictionary.
    """

    not_resumable = (
        "a searcher of Ray Tune keeps what it has learned to itself, so that the study can be "
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
        """Last result of each running trial, as Tune reports it, by trial."""
        self._ended: set[int] = set()

    def check(self, spec: StudySpec) -> None:
        """Pass metric, mode and space to the searcher.

        Raises:
            ValueError: the searcher has a space, a metric or a mode of its own.
        """
        super().check(spec)
        self._objective = spec.objective
        metric: str | None = spec.objective.metric
        mode: str | None = spec.objective.mode
        if (self._searcher.metric, self._searcher.mode) == (metric, mode):
            metric = mode = None  # A searcher raises if it gets them twice.
        if not self._searcher.set_search_properties(metric, mode, dict(self._param_space)):
            raise ValueError(
                f"{type(self._searcher).__name__} has a space, a metric or a mode of its own: give "
                "the space as param_space, and the others to TuneConfig"
            )

    @property
    def size(self) -> int | None:
        """Number of points; None until the searcher reports that it is finished."""
        return self._size

    def suggest(self, index: int) -> dict[str, Value] | None:
        """Return the next configuration; None while the searcher has none, and after the last."""
        suggested: Any = self._searcher.suggest(str(index))
        if suggested == Searcher.FINISHED:
            self._size = index
            return None
        return None if suggested is None else flattened(suggested)

    def on_event(self, event: Event, replay: bool) -> None:
        """Pass a result or an end to the searcher."""
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
        """Return the searcher's class, for `study.json`."""
        return {"searcher": type(self._searcher).__name__}
