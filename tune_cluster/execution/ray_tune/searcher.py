"""The searcher that Tune sees, which numbers the trials and resumes a study; and the listener that
passes events to the study's searcher and scheduler.

The study's searcher does not know Tune, and identifies a trial by its index. On resume, trials that
have not ended are passed to Tune again, with their own index and configuration, before new ones.
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
from tune_cluster.trial.messages import TRIAL_SEED


class TrialSource(Searcher):
    """Suggests trials until the study has `trials`.

    Args:
        searcher: searcher of the study.
        scheduler: scheduler of the study.
        state: state of the study, which `emit` and `promote` keep up to date.
        trials: total number of trials of the study.
        emit: called with each suggestion, before its trial runs.
        promote: called with each promotion, before its trial continues.
        seed: returns the seed of a trial by its index, if its configuration has one; else None.
        later: returns whether to suggest nothing for now, such as for lack of resources.
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
        """Indices by Tune's random trial id."""
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

    # Ray's annotation lacks FINISHED, which is a text.
    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        """Return the configuration of an unfinished trial of an earlier session, else of a promoted
        one, else the next of the searcher; None as long as there may be one later."""
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
        suggested = Suggested(trial=index, config=config, seed=self._searcher.seed_of(index))
        if origin is not None:
            suggested = replace(suggested, origin=origin.trial, start_epoch=origin.epoch)
        self._emit(suggested)
        return self._for_tune(index, config)

    @property
    def _done(self) -> bool:
        """Return whether no new trial is left."""
        if self._searcher.ended:
            return True
        size = self._searcher.size
        most = self._trials if size is None else min(self._trials, size)
        return self._next_index >= most

    def _go_on(self, trial_id: str, trial: TrialState) -> dict[str, Any]:
        self.indices[trial_id] = trial.index
        self._running.add(trial_id)
        return self._for_tune(trial.index, self._searcher.space.restored(trial.config))

    def _for_tune(self, index: int, config: dict[str, Any]) -> dict[str, Any]:
        """Return a configuration with a seed of its own, if the trial has one."""
        seed = self._searcher.seed_of(index)
        return nested(config) | ({} if seed is None else {TRIAL_SEED: seed})

    def _end(self) -> str | None:
        if self._running and (self._scheduler.promotes or self._scheduler.synchronous):
            # A running trial may promote another one; and once all trials are suggested, Tune ends
            # every process that becomes free.
            return None
        return str(Searcher.FINISHED)

    def dirname(self, trial_id: str) -> str:
        """Return the name of the directory of a trial of Tune."""
        return dirname_of(self.indices[trial_id])

    def dirname_creator(self) -> Callable[[Trial], str]:
        """Return a function that names the directory of a trial of Tune."""
        # Tune makes deep copies: a function keeps its closure, a method would lose self. Tune also
        # pickles it with every trial: a searcher pickles as nothing, its indices would not.
        return lambda trial: self.dirname(trial.trial_id)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Do nothing: the study's searcher gets the end of a trial as an event."""
        self._running.discard(trial_id)

    def __getstate__(self) -> dict[str, Any]:
        """Return no state: Tune pickles its searcher, and the journal has our state."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Save nothing, for the same reason."""


class Strategies(Callback):
    """Passes every event to searcher and scheduler: first those of earlier sessions, which `state`
    has already."""

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
        """Events that follow from earlier ones and are missing in the journal: the machine may have
        lost power. The state has them from here on."""
        for event in self.missing:
            state.apply(event)
            self._tell(event, replay=True)

    def on_event(self, event: Event, state: StudyState, replay: bool) -> None:
        """Pass an event on; those of earlier sessions were passed on before."""
        if not replay:
            self._tell(event, replay=False)

    def _tell(self, event: Event, *, replay: bool) -> None:
        self._scheduler.on_event(event, replay)
        self._searcher.on_event(event, replay)
