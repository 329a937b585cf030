"""Any scheduler of Ray Tune's as one of a study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from search_spaces.objective import StudySpec
from search_spaces.schedulers.base import StudyScheduler, index_of
from search_spaces.trial_events import Ended, Event


class AdaptedScheduler(StudyScheduler):
    """Lets a scheduler of Ray Tune's decide, which is told nothing but what Tune tells it.

    Args:
        scheduler: without a metric, or with that of the study.
    """

    not_resumable = (
        "a scheduler of Ray Tune's keeps to itself what it has decided, so that the study can be "
        "neither resumed nor extended"
    )

    def __init__(self, scheduler: TrialScheduler) -> None:
        super().__init__()
        self._scheduler = scheduler
        self._ended: list[Event] = []

    def check(self, spec: StudySpec) -> None:
        """Tell the scheduler the metric and the mode.

        Raises:
            ValueError: it has another metric or mode.
        """
        metric, mode = spec.objective.metric, spec.objective.mode
        if self._scheduler.set_search_properties(metric, mode):
            return
        name = type(self._scheduler).__name__
        own = (self._scheduler.metric, getattr(self._scheduler, "_mode", mode))
        if own != (metric, mode):
            raise ValueError(
                f"{name} has the metric {own[0]} and the mode {own[1]}, the study {metric} and "
                f"{mode}: give them to TuneConfig alone"
            )

    def on_trial_add(self, controller: Any, trial: Trial) -> None:
        """Passed on, as all that follows."""
        self._scheduler.on_trial_add(controller, trial)

    def on_trial_error(self, controller: Any, trial: Trial) -> None:
        """A trial has failed."""
        self._scheduler.on_trial_error(controller, trial)

    def on_trial_result(self, controller: Any, trial: Trial, result: Mapping[str, Any]) -> str:
        """A trial goes on, waits or is stopped."""
        answer = str(self._scheduler.on_trial_result(controller, trial, dict(result)))
        if answer == TrialScheduler.STOP:
            ended = Ended(trial=index_of(trial), epoch=result["epoch"], status="stopped")
            self._ended.append(ended)
        return answer

    def on_trial_complete(self, controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """A trial has ended."""
        self._scheduler.on_trial_complete(controller, trial, result)

    def on_trial_remove(self, controller: Any, trial: Trial) -> None:
        """A trial that does not run is taken away."""
        self._scheduler.on_trial_remove(controller, trial)

    def choose_trial_to_run(self, controller: Any) -> Trial | None:
        """Name who is to start or to go on."""
        return self._scheduler.choose_trial_to_run(controller)

    def take_events(self) -> list[Event]:
        """Return, once, the ends of trials that were stopped."""
        ended, self._ended = self._ended, []
        return ended

    def notes(self, trials: int) -> list[str]:
        """What the study cannot do."""
        return [f"{type(self._scheduler).__name__}: {self.not_resumable}"]

    def describe(self) -> dict[str, object]:
        """Its class, for `study.json`."""
        return {"scheduler": type(self._scheduler).__name__}
