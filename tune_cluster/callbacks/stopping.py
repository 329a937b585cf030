"""Why a whole study ends before its trials do: a limit, a signal, or trials that all fail alike."""

from __future__ import annotations

import time
from dataclasses import dataclass

from search_spaces.objective import shown_value
from search_spaces.trial_events import Ended, Event
from tune_cluster.callbacks.base import Callback
from tune_cluster.storage.retry import StorageLostError
from tune_cluster.study.events import Session
from tune_cluster.study.state import StudyState

INTERRUPTED, TERMINATED = "interrupted", "terminated"
"""By Ctrl-C, and by an order from outside: see `tune_cluster/execution/signals.py`."""

STORAGE, NODES, FAILED = "storage", "nodes", "failed"
"""It did not come back; none is left that trials could run on; the first trials failed alike."""

LEAST_FAILURES_ALIKE = 5
"""So many first trials that all fail with the same exception end the study: it is not their
configurations. Fewer could be a corner of the space."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Where a study ends, each None without a limit."""

    time_budget: float | None = None
    """Seconds from the beginning of a session."""
    epoch_budget: int | None = None
    """Epochs of all trials together, those of earlier sessions included."""
    target: float | None = None
    """Value of the metric that is good enough."""
    study_patience: int | None = None
    """Trials that end without a new best."""


class StudyStopper(Callback):
    """Ends a study at its limits, or by a signal; trials keep what they have reported.

    Args:
        limits: of the study.
        state: of the study.
    """

    def __init__(self, limits: Limits, state: StudyState) -> None:
        self.why = ""
        """`interrupted`, `terminated`, `failed`, `storage`, `nodes`, the name of a limit or, while
        it runs, nothing."""
        self.reason = ""
        """More of it, for a person."""
        self.limits = limits
        self._state = state
        self._deadline: float | None = None

    def stops(self) -> bool:
        """Whether the study is to end now."""
        if not self.why:
            self._check_limits()
        return bool(self.why)

    def interrupt(self, reason: str = "") -> None:
        """End the study in order; it can be resumed."""
        self.why, self.reason = INTERRUPTED, reason

    def terminate(self) -> None:
        """End the study in order, by an order from outside; it can be resumed."""
        self.why, self.reason = TERMINATED, ""

    def on_event(self, event: Event, state: StudyState, replay: bool) -> None:
        """Count the time of a session; end a study whose first trials have all failed alike."""
        if isinstance(event, Session) and not replay and self.limits.time_budget is not None:
            self._deadline = time.monotonic() + self.limits.time_budget
        if replay or self.why or not isinstance(event, Ended):
            return
        alike = state.failed_alike
        if alike is not None and state.trials_ever_ended >= LEAST_FAILURES_ALIKE:
            self.why, self.reason = FAILED, alike

    def gives_up_storage(self) -> bool:
        """Whether storage that is away is given up at once."""
        return self.why in (INTERRUPTED, TERMINATED, STORAGE)

    def no_node_left(self, reason: str) -> None:
        """End a study that would wait for ever."""
        if not self.why:
            self.why, self.reason = NODES, reason

    def storage_lost(self, error: StorageLostError) -> None:
        """End a study whose storage did not come back; the person may have ended it before."""
        self.why = self.why or STORAGE
        self.reason = str(error)

    def _check_limits(self) -> None:
        limits, state = self.limits, self._state
        best, metric = state.best, state.objective.metric
        if self._deadline is not None and time.monotonic() > self._deadline:
            self.why, self.reason = "time budget", f"{limits.time_budget:g} s are over"
        elif limits.epoch_budget is not None and state.epochs_run >= limits.epoch_budget:
            self.why, self.reason = "epoch budget", f"{state.epochs_run} epochs were run"
        elif (
            limits.target is not None
            and best is not None
            and not state.objective.better(limits.target, best.value)
        ):
            self.why = "target"
            self.reason = f"{metric} {shown_value(best.value)}, asked for {limits.target:g}"
        elif limits.study_patience is not None and state.trials_since_best >= limits.study_patience:
            self.why = "study patience"
            self.reason = f"the last {state.trials_since_best} trials brought no new best"
