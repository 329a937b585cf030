"""Searcher and scheduler of a study as listeners to its events."""

from __future__ import annotations

from collections.abc import Iterable

from search_spaces.schedulers.base import StudyScheduler
from search_spaces.searchers.base import StudySearcher
from search_spaces.trial_events import Event
from tune_cluster.callbacks.base import Callback
from tune_cluster.study.state import StudyState


class Strategies(Callback):
    """Tells searcher and scheduler every event, those of earlier sessions first.

    Args:
        searcher, scheduler: checked, and told nothing yet.
        state: of the study after `events`.
        events: of earlier sessions, in their order.
    """

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
        self.missing = scheduler.take_events()
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
