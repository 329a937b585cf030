"""Why a whole study ends before its trials do: a limit, a signal, or trials that all fail alike."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ray.tune import Stopper

from search_spaces.mode import sign_of
from tune_cluster.storage.retry import StorageLostError
from tune_cluster.study.journal import Epoch, Event, TrialRecord

INTERRUPTED, TERMINATED = "interrupted", "terminated"
"""By Ctrl-C, and by an order from outside: see `tune_cluster/execution/signals.py`."""

STORAGE, NODES = "storage", "nodes"
"""It did not come back; none is left that trials could run on."""

ALIKE = 5
"""So many first trials that all fail with the same exception end the study: it is not their
configurations. Fewer could be a corner of the space."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Where a study ends, each None without a limit."""

    time_budget: float | None = None
    """Seconds from the beginning of a session."""
    epoch_budget: int | None = None
    """Epochs of all trials together, those of earlier sessions and of controls included."""
    target: float | None = None
    """Value of the metric that is good enough."""
    study_patience: int | None = None
    """Trials that end without a new best."""


class StudyStopper(Stopper):
    """Tells Tune to stop everything once `why` is set; trials keep what they have reported.

    Args:
        limits: of the study.
        events: of earlier sessions.
        metric, mode: of the study.
    """

    def __init__(
        self, limits: Limits, events: Iterable[Event] = (), *, metric: str, mode: str
    ) -> None:
        self.why = ""
        """`interrupted`, `terminated`, `failed`, `storage`, `nodes`, the name of a limit or, while
        it runs, nothing."""
        self.reason = ""
        """More of it, for a person."""
        self.limits = limits
        self.max_epochs: int | None = None
        """After which a trial ends that does not by itself; known from `tune_config` on."""
        self._metric = metric
        self._sign = sign_of(mode)
        self._deadline: float | None = None
        self._epochs = 0
        self._values: dict[int, dict[Epoch, float]] = {}
        """By trial and epoch, the larger the better."""
        self._best: float | None = None
        self._since_best = 0
        self._failed_alike: set[str] | None = set()
        """The reasons of the first trials, all of which failed; None as soon as one has not."""
        self._ended: set[int] = set()
        for event in events:
            self._note(event)

    def begin(self) -> None:
        """The time budget counts from here."""
        if self.limits.time_budget is not None:
            self._deadline = time.monotonic() + self.limits.time_budget

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        """Ends a trial that has had its epochs; before that it is the scheduler who stops one."""
        return self.max_epochs is not None and result["epoch"] >= self.max_epochs

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles it beside its own state, which nobody reads."""
        return {}

    def stop_all(self) -> bool:
        """Asked by Tune after every step."""
        if not self.why:
            self._check_limits()
        return bool(self.why)

    def interrupt(self, reason: str) -> None:
        """Ends the study in order; it can be resumed."""
        self.why, self.reason = INTERRUPTED, reason

    def on_event(self, event: Event, trial: TrialRecord) -> None:
        """Takes a result or an end into account."""
        self._note(event)
        alike = self._failed_alike or set()
        if (
            event["event"] == "ended"
            and not self.why
            and len(self._ended) >= ALIKE
            and len(alike) == 1
        ):
            self.why, self.reason = "failed", next(iter(alike))

    def waits_no_more(self) -> bool:
        """Whether storage that is away is given up at once."""
        return self.why in (INTERRUPTED, TERMINATED, STORAGE)

    def no_node_left(self, reason: str) -> None:
        """Ends a study that would wait for ever."""
        if not self.why:
            self.why, self.reason = NODES, reason

    def storage_lost(self, error: StorageLostError) -> None:
        """Ends a study whose storage did not come back; the person may have ended it before."""
        self.why = self.why or STORAGE
        self.reason = str(error)

    def _note(self, event: Event) -> None:
        if event["event"] == "result":
            self._epochs += 1
            value = self._sign * event["metrics"][self._metric]
            self._values.setdefault(event["trial"], {})[event["epoch"]] = value
            if self._best is None or value > self._best:
                self._best, self._since_best = value, 0
        elif event["event"] == "epochs_lost":
            # They were run, and their values are nobody's any more.
            of_trial = self._values.get(event["trial"], {})
            kept = {epoch: value for epoch, value in of_trial.items() if epoch < event["first"]}
            self._values[event["trial"]] = kept
            every = (value for values in self._values.values() for value in values.values())
            self._best = max(every, default=None)
        elif event["event"] == "control":
            self._epochs += 1
        elif event["event"] == "ended":
            if event["trial"] not in self._ended:
                self._since_best += 1
            self._ended.add(event["trial"])
            if event["status"] != "failed":
                self._failed_alike = None
            elif self._failed_alike is not None:
                self._failed_alike.add(event.get("reason", ""))

    def _check_limits(self) -> None:
        limits, best = self.limits, None if self._best is None else self._sign * self._best
        if self._deadline is not None and time.monotonic() > self._deadline:
            self.why, self.reason = "time budget", f"{limits.time_budget:g} s are over"
        elif limits.epoch_budget is not None and self._epochs >= limits.epoch_budget:
            self.why, self.reason = "epoch budget", f"{self._epochs} epochs were run"
        elif (
            limits.target is not None
            and best is not None
            and self._sign * best >= self._sign * limits.target
        ):
            self.why = "target"
            self.reason = f"{self._metric} {best:.4f}, asked for {limits.target:g}"
        elif limits.study_patience is not None and self._since_best >= limits.study_patience:
            self.why = "study patience"
            self.reason = f"the last {self._since_best} trials brought no new best"

    def close(self) -> None:
        """Nothing is held."""
