"""`Callback`: what a person adds to a study, to get its events and its result."""

from __future__ import annotations

from typing import Any

from search_spaces.trial_events import Event
from tune_cluster.study.state import StudyState


class Callback:
    """Gets the events of a study, in the driver; passed as `RunConfig(callbacks=[…])`.

    It never reaches Ray: it may hold open files and connections, and need not be picklable.
    """

    def on_event(self, event: Event, state: StudyState, replay: bool) -> None:
        """Take in an event.

        A session begins with the events of all sessions before it, then comes a `Session`. Its last
        event is a `Closed`, which is the time to close files: `on_end` is not called in a session
        that ends by an error.

        Args:
            event: what has happened: one of the classes of `tune_cluster.study.events`.
            state: of the study, which has the event already. It costs nothing to look at, and is
                not to be changed.
            replay: whether an earlier session has had the event.

        Raises:
            StorageLostError: the storage failed, and did not come back; the study goes on.
        """

    def on_end(self, result: Any) -> None:
        """Take in what `fit()` is about to return: a `StudyResult`."""
