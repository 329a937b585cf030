"""`RunConfig(stop=...)` of Ray Tune's kinds: when a trial ends before its last epoch, and when the
whole study does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ray.tune import Stopper
from ray.tune.stopper import CombinedStopper, FunctionStopper, NoopStopper

from search_spaces.objective import shown_value
from search_spaces.space import nested
from search_spaces.trial_events import Ended, Event, Number, Result
from tune_cluster.callbacks.base import Callback
from tune_cluster.callbacks.stopping import StudyStopper
from tune_cluster.storage.checkpoints import dirname_of
from tune_cluster.study.state import StudyState
from tune_cluster.trial.messages import TrialReport

EPOCH_NAMES = ("training_iteration", "epoch")
"""Names under which a dictionary gives the epochs of a trial."""

ENDS_ITSELF = "done"
"""A report that has it ends its trial, whether a dictionary asks for that or not."""

ALLOWED = (
    "allowed are a dictionary such as {'training_iteration': 20, 'accuracy': 0.95}, a function of "
    "(trial_id, result), a tune.Stopper, or a list of these Stoppers"
)


class Thresholds(Stopper):
    """Stops a trial as soon as one of its metrics is at least as large as a limit.

    Args:
        limits: least values by metric.
    """

    def __init__(self, limits: Mapping[str, Number]) -> None:
        self.limits = dict(limits)
        self.reported: set[str] = set()
        """The metrics that any trial has reported."""

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        """Return whether a metric has reached its limit."""
        self.reported.update(name for name in result if name not in self.reported)
        return bool(self.reason(result))

    def reason(self, result: Mapping[str, Any]) -> str:
        """Return which metric has reached its limit; empty if none has."""
        for name, limit in self.limits.items():
            value = result.get(name)
            if value is not None and value >= limit:
                return f"{name} {shown_value(value)} >= {shown_value(limit)}"
        return ""

    def stop_all(self) -> bool:
        """Return False: a dictionary ends trials."""
        return False


def epochs_in(stop: object) -> int | None:
    """Return the epochs of a trial that `stop` gives; None if it gives none."""
    if not isinstance(stop, Mapping):
        return None
    given = [int(stop[name]) for name in EPOCH_NAMES if name in stop]
    return min(given, default=None)


def stopper_of(stop: Any) -> Stopper:
    """Return `RunConfig(stop=...)` as one Stopper, without the epochs of a trial.

    Raises:
        ValueError: it is of another kind.
    """
    if stop is None:
        return NoopStopper()
    if isinstance(stop, Stopper):
        return stop
    if isinstance(stop, Mapping):
        for name, limit in stop.items():
            if not isinstance(name, str) or not isinstance(limit, (int, float)):
                raise ValueError(f"RunConfig(stop=...): {name!r}: {limit!r:.40}; {ALLOWED}")
            if name in EPOCH_NAMES and limit < 1:
                raise ValueError(f"RunConfig(stop=...): {name} {limit} must be 1 or more")
        own = {*EPOCH_NAMES, ENDS_ITSELF}
        limits = {name: limit for name, limit in stop.items() if name not in own}
        return Thresholds(limits) if limits else NoopStopper()
    if isinstance(stop, (list, tuple)) and stop and all(isinstance(at, Stopper) for at in stop):
        return CombinedStopper(*stop)
    if callable(stop) and not isinstance(stop, type) and not hasattr(stop, "stop_all"):
        return FunctionStopper(stop)
    raise ValueError(f"RunConfig(stop={stop!r:.80}): {ALLOWED}")


class StopConditions(Callback):
    """Asks a Stopper of each result of a study, those of earlier sessions first.

    A Stopper that counts is so, after a resume, where it was. What it says of earlier results is
    in the journal already, and not asked for.

    Args:
        stop: `RunConfig(stop=...)`.
        study: ended if the Stopper ends the study, or fails.
        state: state of the study.
    """

    def __init__(self, stop: Any, study: StudyStopper, state: StudyState) -> None:
        self._stopper = stopper_of(stop)
        self._name = getattr(stop, "__name__", type(self._stopper).__name__)
        self._study = study
        self._state = state
        self._reasons: dict[int, str] = {}
        """Reasons for the ends of trials, until they are taken."""

    def stops(self, index: int, result: Mapping[str, Any]) -> bool:
        """Return whether a trial ends with a result of Tune's, which is not in the journal yet."""
        report, trial = TrialReport.from_result(result), self._state.trials[index]
        if not report.metrics or not (report.first or report.epoch > trial.epochs):
            return False
        seconds = float(result.get("time_total_s", trial.seconds))
        if not self._asked(index, report.epoch, report.metrics, seconds):
            return False
        self._reasons[index] = self._reason(report.metrics)
        return True

    def stops_all(self) -> bool:
        """Return whether the whole study ends."""
        try:
            return bool(self._stopper.stop_all())
        except Exception as error:
            self._study.stop_condition_failed(f"{self._name}.stop_all(): {error!r}")
            return True

    def end_study(self) -> bool:
        """End the study if the Stopper says so; return whether it has."""
        if not self._study.why and self.stops_all():
            self._study.stop_condition_met(f"{self._name} has ended the study")
        return bool(self._study.why)

    def take_reason(self, index: int) -> str:
        """Return, once, why a trial was stopped; empty if it was not."""
        return self._reasons.pop(index, "")

    def on_event(self, event: Event, state: StudyState, replay: bool) -> None:
        """Tell the Stopper of a result of an earlier session; end a study whose trials report none
        of the metrics of its dictionary."""
        if replay and isinstance(event, Result):
            seconds = state.trials[event.trial].seconds
            self._asked(event.trial, event.epoch, event.metrics, seconds)
        elif isinstance(event, Ended) and not replay and event.status == "finished":
            self._check_reported(event, state)

    def _asked(self, index: int, epoch: float, metrics: Mapping[str, Any], seconds: float) -> bool:
        result = {
            **metrics,
            "training_iteration": epoch,
            "time_total_s": seconds,
            "trial_id": dirname_of(index),
            "config": nested(self._state.trials[index].config_at(epoch)),
            "done": False,
        }
        try:
            return bool(self._stopper(dirname_of(index), result))
        except Exception as error:
            self._study.stop_condition_failed(
                f"{self._name} of trial {index} after epoch {epoch}: {error!r}; the result has "
                f"{', '.join(result)}"
            )
            return False

    def _reason(self, metrics: Mapping[str, Any]) -> str:
        if isinstance(self._stopper, Thresholds):
            return f"stop condition: {self._stopper.reason(metrics)}"
        return f"stop condition: {self._name}"

    def _check_reported(self, event: Ended, state: StudyState) -> None:
        if event.reason or not isinstance(self._stopper, Thresholds):
            return
        missing = self._stopper.limits.keys() - self._stopper.reported
        if missing:
            has = ", ".join(name for name in state.trials[event.trial].results[event.epoch])
            self._study.stop_condition_failed(
                f"no trial has reported {', '.join(sorted(missing))}; trial {event.trial} reports "
                f"{has}"
            )
