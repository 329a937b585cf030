"""Aim: one run per trial, in one experiment per study."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces import needs_extra
from search_spaces.trial_events import Ended, Event, Result
from tune_cluster.callbacks.base import Callback
from tune_cluster.study.events import Closed, Session
from tune_cluster.study.state import StudyState, TrialState

if TYPE_CHECKING:
    import aim


class Aim(Callback):
    """Logs the configuration, the metrics of each epoch, and the end of each trial.

    A trial that resumes in a later session continues its run. Aim keeps one value of a step, so an
    epoch that was lost and trained again has its final values.

    Args:
        study: name of the experiment; use a different one for each study.
        repo: folder of Aim's repository, or `aim://…` of a server; created if it is missing.

    Raises:
        ValueError: aim is not installed.
    """

    def __init__(self, study: str, repo: str | Path = ".") -> None:
        with needs_extra("aim"):
            import aim
        self._aim = aim
        self._study, self._repo = study, str(repo)
        self._known: dict[int, str] = {}
        """Hashes of the runs of earlier sessions, by trial."""
        self._runs: dict[int, aim.Run] = {}
        """Open runs, by trial."""

    def on_event(self, event: Event, state: StudyState, replay: bool) -> None:
        """Log results and ends of this session."""
        if replay:
            return
        if isinstance(event, Session):
            self._find_runs()
        elif isinstance(event, Result):
            trial = state.trials[event.trial]
            metrics = {name: value for name, value in event.metrics.items() if value is not None}
            step = trial.step(event.epoch)
            self._run_of(trial).track(metrics, step=step, epoch=step)
        elif isinstance(event, Ended):
            trial = state.trials[event.trial]
            run = self._run_of(trial)
            run["status"], run["reason"] = trial.status, trial.reason
            if trial.best is not None:
                metric = f"best_{state.objective.metric}"
                run["best"] = {metric: trial.best.value, "epoch": trial.best.epoch}
            self._close(event.trial)
        elif isinstance(event, Closed):
            for index in [*self._runs]:
                self._close(index)

    def _find_runs(self) -> None:
        query = f"run.experiment == {self._study!r}"
        repo = self._aim.Repo.from_path(self._repo, init=True)
        for found in repo.query_runs(query, report_mode=0).iter_runs():
            self._known[int(found.run.name)] = found.run.hash

    def _close(self, index: int) -> None:
        run = self._runs.pop(index)
        self._known[index] = run.hash
        run.close()

    def _run_of(self, trial: TrialState) -> aim.Run:
        if trial.index not in self._runs:
            # Without Aim's own measurements, which describe the driver and not the trial.
            run = self._aim.Run(
                self._known.get(trial.index),
                repo=self._repo,
                experiment=self._study,
                system_tracking_interval=None,
                capture_terminal_logs=False,
            )
            run.name = f"{trial.index:04d}"
            run["config"] = trial.config
            self._runs[trial.index] = run
        return self._runs[trial.index]
