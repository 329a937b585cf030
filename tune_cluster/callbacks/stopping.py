"""Reasons that end a study before its trials: a limit, a signal, or equal failures of all
trials."""

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
"""Ends by Ctrl-C, and by a termination signal: see `tune_cluster/execution/signals.py`."""

STORAGE, NODES, FAILED = "storage", "nodes", "failed"
"""The storage was lost; no node is left for trials; the first trials failed with the same error."""

CONDITION, CONDITION_FAILED = "stop condition", "stop condition failed"
"""`RunConfig(stop=...)` has ended the study, or has failed."""

LEAST_FAILURES_ALIKE = 5
"""Number of first trials that must fail with the same exception to end the study: then the
configurations are not the cause. Fewer might be a corner of the space."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of a study, each None for no limit."""

    time_budget: float | None = None
    """Seconds from the beginning of a session."""
    epoch_budget: int | None = None
    """Total epochs of all trials, including earlier sessions."""
    target: float | None = None
    """Value of the metric at which the study ends."""
    study_patience: int | None = None
    """Number of ended trials without a new best."""


class StudyStopper(Callback):
    """Ends a study at its limits, or by a signal; trials keep their reported results.

    Args:
        limits: limits of the study.
        state: state of the study.
    """

    def __init__(self, limits: Limits, state: StudyState) -> None:
        self.why = ""
        """Cause of the end: `interrupted`, `terminated`, `failed`, `storage`, `nodes` or the name
        of a limit; empty while the study runs."""
        self.reason = ""
        """Details for the user."""
        self.limits = limits
        self._state = state
        self._deadline: float | None = None

    def stops(self) -> bool:
        """Whether the study is to end now."""
        if not self.why:
            self._check_limits()
        return bool(self.why)

    def interrupt(self, reason: str = "") -> None:
        """End the study in an orderly way; it can be resumed."""
        self.why, self.reason = INTERRUPTED, reason

    def terminate(self) -> None:
        """End the study in an orderly way after a termination signal; it can be resumed."""
        self.why, self.reason = TERMINATED, ""

    def on_event(self, event: Event, state: StudyState, replay: bool) -> None:
        """Record the start of a session; end a study whose first trials have failed alike."""
        if isinstance(event, Session) and not replay and self.limits.time_budget is not None:
            self._deadline = time.monotonic() + self.limits.time_budget
        if replay or self.why or not isinstance(event, Ended):
            return
        alike = state.failed_alike
        if alike is not None and state.trials_ever_ended >= LEAST_FAILURES_ALIKE:
            self.why, self.reason = FAILED, alike

    def gives_up_storage(self) -> bool:
        """Whether to stop waiting for lost storage at once."""
        return self.why in (INTERRUPTED, TERMINATED, STORAGE)

    def no_node_left(self, reason: str) -> None:
        """End a study that would wait forever for a node."""
        if not self.why:
            self.why, self.reason = NODES, reason

    def stop_condition_met(self, reason: str) -> None:
        """End a study whose `RunConfig(stop=...)` is met."""
        self.why, self.reason = self.why or CONDITION, self.reason or reason

    def stop_condition_failed(self, reason: str) -> None:
        """End a study whose `RunConfig(stop=...)` fails."""
        if not self.why:
            self.why, self.reason = CONDITION_FAILED, f"RunConfig(stop=...): {reason}"

    def storage_lost(self, error: StorageLostError) -> None:
        """End a study whose storage is lost, unless the user has ended it before."""
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
            self.reason = f"{metric} {shown_value(best.value)}, target {limits.target:g}"
        elif limits.study_patience is not None and state.trials_since_best >= limits.study_patience:
            self.why = "study patience"
            self.reason = f"the last {state.trials_since_best} trials brought no new best"
