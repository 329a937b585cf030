"""`Callback`: a user's extension that gets the events and the result of a study."""

from __future__ import annotations

from typing import Any

from search_spaces.trial_events import Event
from tune_cluster.study.state import StudyState


class Callback:
    """Gets the events of a study, in the driver; passed as `RunConfig(callbacks=[…])`.

    It stays in the driver: it may hold open files and connections, and need not be picklable.
    """

    def on_event(self, event: Event, state: StudyState, replay: bool) -> None:
        """Take in an event.

        A session begins with the events of all earlier sessions, followed by a `Session`, and by
        what it decides about them at once. Its last event is a `Closed`, at which to close files:
        `on_end` is not called in a session that ends with an error.

        Args:
            event: an instance of one of the classes in `tune_cluster.study.events`.
            state: state of the study, including this event. Reading it is cheap; do not change it.
            replay: whether the event is of an earlier session, or follows from those alone.

        Raises:
            StorageLostError: the storage failed permanently; the study continues.
        """

    def on_end(self, result: Any) -> None:
        """Take in the result of `fit()`, a `StudyResult`, before it returns."""
