"""The searcher that Tune sees, which numbers the trials and takes up a study; and how the study's
searcher and scheduler are told its events.

The study's searcher never knows of Tune, and names a trial by its index. On resume, trials that
have not ended are handed to Tune again, with their own index and configuration, before any new one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.search import Searcher

from search_spaces.schedulers.base import StudyScheduler
from search_spaces.searchers.base import StudySearcher
from search_spaces.space import nested
from search_spaces.trial_events import Event, Promoted, Suggested
from tune_cluster.callbacks.base import Callback
from tune_cluster.storage.checkpoints import dirname_of
from tune_cluster.study.state import StudyState, TrialState


class TrialSource(Searcher):
    """Suggests until the study has `trials`.

    Args:
        searcher, scheduler: of the study.
        state: of the study, kept up to date by what `emit` and `promote` are told.
        trials: how many the study shall have in all.
        emit: told each suggestion, before its trial is run.
        promote: told each promotion, before its trial goes on.
        seed: of a trial by its index, where the trainable has it in its configuration; else None.
        later: whether to suggest nothing for now, such as for want of room; asked every time.
    """

    def __init__(
        self,
        searcher: StudySearcher,
        scheduler: StudyScheduler,
        state: StudyState,
        *,
        trials: int,
        emit: Callable[[Event], None],
        promote: Callable[[Promoted], None],
        seed: Callable[[int], int | None],
        later: Callable[[], bool],
    ) -> None:
        super().__init__(metric=state.objective.metric, mode=state.objective.mode)
        self.indices: dict[str, int] = {}
        """By Tune's trial id, which is random, the index that everything else goes by."""
        self._searcher = searcher
        self._scheduler = scheduler
        self._state = state
        self._trials = trials
        self._emit = emit
        self._promote = promote
        self._seed = seed
        self._later = later
        self._running: set[str] = set()
        self._unfinished = [trial for trial in state.trials.values() if not trial.ended]
        self._next_index = len(state.trials)

    # Ray annotates no FINISHED, which is a text.
    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        """An unfinished trial of an earlier session, else one that is promoted, else the next of
        the searcher; nothing for now while there may be one yet."""
        return None if self._later() else self._next(trial_id)

    def _next(self, trial_id: str) -> dict[str, Any] | str | None:
        if self._unfinished:
            return self._go_on(trial_id, self._unfinished.pop(0))
        promoted = self._scheduler.next_promotion()
        if promoted is not None:
            self._promote(promoted)
            return self._go_on(trial_id, self._state.trials[promoted.trial])
        if self._done:
            return self._end()
        point = self._searcher.point(self._next_index)
        if point is None:
            return self._end() if self._done else None
        index, self._next_index = self._next_index, self._next_index + 1
        self.indices[trial_id] = index
        self._running.add(trial_id)
        seed = self._seed(index)
        config = point if seed is None else {"seed": seed, **point}
        origin = self._searcher.origins.get(index)
        suggested = Suggested(trial=index, config=config)
        if origin is not None:
            suggested = replace(suggested, origin=origin.trial, start_epoch=origin.epoch)
        self._emit(suggested)
        return nested(config)

    @property
    def _done(self) -> bool:
        """Whether no new trial is to come."""
        size = self._searcher.size
        most = self._trials if size is None else min(self._trials, size)
        return self._next_index >= most

    def _go_on(self, trial_id: str, trial: TrialState) -> dict[str, Any]:
        self.indices[trial_id] = trial.index
        self._running.add(trial_id)
        return nested(self._searcher.space.restored(trial.config))

    def _end(self) -> str | None:
        if self._running and (self._scheduler.promotes or self._scheduler.synchronous):
            # Who still runs may bring another one among the best; and once all is suggested, Tune
            # ends every process that comes free.
            return None
        return str(Searcher.FINISHED)

    def dirname(self, trial_id: str) -> str:
        """The name of the directory of a trial of Tune."""
        return dirname_of(self.indices[trial_id])

    def dirname_creator(self) -> Callable[[Trial], str]:
        """Names the directory of a trial of Tune."""
        # Tune copies what it is given deeply: a function keeps its cell, a method would lose self.
        # It also pickles it with every trial: a searcher pickles as nothing, its indices would not.
        return lambda trial: self.dirname(trial.trial_id)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """A trial has ended, which the study's searcher is told as an event."""
        self._running.discard(trial_id)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its searcher, and the journal is where our state is."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing, for the same reason."""


class Strategies(Callback):
    """Tells searcher and scheduler, which know nothing yet, every event: first those of earlier
    sessions, which `state` has."""

    def __init__(
        self,
        searcher: StudySearcher,
        scheduler: StudyScheduler,
        state: StudyState,
        events: Iterable[Event],
    ) -> None:
        self._searcher = searcher
        self._scheduler = scheduler
        for event in events:
            self._tell(event, replay=True)
        self.missing = [*scheduler.take_events(), *searcher.take_events()]
        """What followed from `events`, and the journal lacks: the machine may have lost power. The
        state has it from here on."""
        for event in self.missing:
            state.apply(event)
            self._tell(event, replay=True)

    def on_event(self, event: Event, state: StudyState, replay: bool) -> None:
        """Tell an event; those of earlier sessions were told first of all."""
        if not replay:
            self._tell(event, replay=False)

    def _tell(self, event: Event, *, replay: bool) -> None:
        self._scheduler.on_event(event, replay)
        self._searcher.on_event(event, replay)
