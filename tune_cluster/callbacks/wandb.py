"""Weights & Biases: one run per trial, in one group per study."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from search_spaces import needs_extra
from search_spaces.trial_events import Ended, Event, Result
from tune_cluster.callbacks.base import Callback
from tune_cluster.study.events import Closed
from tune_cluster.study.state import StudyState, TrialState

if TYPE_CHECKING:
    import wandb


class WandB(Callback):
    """Logs the metrics of each epoch over `epoch`, and the end of each trial.

    A trial that resumes in a later session continues its run. Lost epochs of a trial stay there
    beside the repeated ones, since a run is append-only.

    Args:
        project: project of the runs.
        study: group of the runs; use a different name for each study.
        settings: further arguments of `wandb.init`, such as `mode="offline"` or `entity="…"`.

    Raises:
        ValueError: wandb is not installed.
    """

    def __init__(self, project: str, study: str, **settings: Any) -> None:
        with needs_extra("wandb"):
            import wandb
        self._wandb = wandb
        self._project = project
        self._study = study
        # Console output is the study's own.
        quiet = wandb.Settings(silent=True, console="off")
        self._settings = {"settings": quiet, **settings}
        self._runs: dict[int, wandb.Run] = {}

    def on_event(self, event: Event, state: StudyState, replay: bool) -> None:
        """Log the results and ends of this session."""
        if replay:
            return
        if isinstance(event, Result):
            metrics = {name: value for name, value in event.metrics.items() if value is not None}
            self._run_of(state.trials[event.trial]).log({**metrics, "epoch": event.epoch})
        elif isinstance(event, Ended):
            trial = state.trials[event.trial]
            run = self._run_of(trial)
            run.summary.update({"status": trial.status, "reason": trial.reason})
            if trial.best is not None:
                name = f"best_{state.objective.metric}"
                run.summary.update({name: trial.best.value, "best_epoch": trial.best.epoch})
            self._runs.pop(event.trial).finish(exit_code=int(event.failed))
        elif isinstance(event, Closed):
            for run in self._runs.values():
                run.finish()
            self._runs.clear()

    def _run_of(self, trial: TrialState) -> wandb.Run:
        if trial.index not in self._runs:
            name = f"{trial.index:04d}"
            run = self._wandb.init(
                project=self._project,
                group=self._study,
                name=name,
                id=f"{self._study}-{name}",
                config=trial.config,
                resume="allow",
                reinit="create_new",
                **self._settings,
            )
            run.define_metric("*", step_metric="epoch")
            self._runs[trial.index] = run
        return self._runs[trial.index]
