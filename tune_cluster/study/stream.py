"""The one stream of a study's events: to the journal, into the state, and to all who listen."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import Protocol

from search_spaces.trial_events import Event
from tune_cluster.storage.retry import StorageLostError
from tune_cluster.study.events import Closed, Session
from tune_cluster.study.journal import Journal
from tune_cluster.study.state import StudyState


class Listener(Protocol):
    """Who is told every event, of earlier sessions too."""

    def on_event(self, event: Event, state: StudyState, replay: bool) -> None:
        """Take in an event; `state` has it already."""


class EventStream:
    """Passes events on, live ones and those of earlier sessions, to the same listeners.

    Args:
        journal: open.
        state: of the study, which has the events of earlier sessions; it takes in every other one
            here, and nowhere else.
        listeners: told in their order.
    """

    def __init__(
        self, journal: Journal, state: StudyState, listeners: Sequence[Listener] = ()
    ) -> None:
        self._state = state
        self._journal = journal
        self._listeners = list(listeners)
        self._pending: deque[Event] = deque()
        self._emitting = False

    def begin(self, earlier: Sequence[Event], session: Session) -> None:
        """Tell each listener the events of earlier sessions, and that this one has begun."""
        for listener in self._listeners:
            for event in earlier:
                listener.on_event(event, self._state, replay=True)
            listener.on_event(session, self._state, replay=False)

    def emit(self, *events: Event) -> None:
        """Write the events in one call, so that a killed driver leaves all of them or none; then
        tell each of them to state and listeners.

        A listener that has lost its storage is completed by the next session. What a listener emits
        is told when everyone knows of the event that it is told of.
        """
        self._pending.extend(self._journal.append(*events))
        if self._emitting:
            return
        self._emitting = True
        try:
            while self._pending:
                event = self._pending.popleft()
                self._state.apply(event)
                for listener in self._listeners:
                    with suppress(StorageLostError):
                        listener.on_event(event, self._state, replay=False)
        finally:
            self._emitting = False

    def close(self, why: str) -> None:
        """End the session: the listeners first, so that their files are whole, then the journal.

        Raises:
            StorageLostError: the journal, or a listener's file, ends before the session does.
        """
        closed = Closed(why=why)
        # Who has lost the storage keeps none of the others open.
        with ExitStack() as closing:
            closing.callback(self._journal.end, why)
            for listener in reversed(self._listeners):
                closing.callback(partial(listener.on_event, closed, self._state, replay=False))
