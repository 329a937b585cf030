"""MLflow: one run per trial, in one experiment per study."""

from __future__ import annotations

import time

from search_spaces import needs_extra
from search_spaces.trial_events import Ended, Event, Result
from tune_cluster.callbacks.base import Callback
from tune_cluster.study.events import Closed, Session
from tune_cluster.study.state import StudyState, TrialState

TRIAL_TAG = "tune_cluster.trial"


class MLflow(Callback):
    """Logs the configuration, the metrics of each epoch, and the end of each trial.

    A trial that resumes in a later session continues its run. MLflow shows the last value of a
    step, so an epoch that was lost and trained again has its final values.

    Args:
        study: name of the experiment; use a different one for each study.
        tracking_uri: address of the server or database, such as `http://…` or
            `sqlite:///mlflow.db`; None for MLflow's own setting.

    Raises:
        ValueError: mlflow is not installed.
    """

    def __init__(self, study: str, tracking_uri: str | None = None) -> None:
        with needs_extra("mlflow"):
            from mlflow import entities
            from mlflow.tracking import MlflowClient
        self._metric_type, self._param_type = entities.Metric, entities.Param
        self._client = MlflowClient(tracking_uri)
        self._study = study
        self._experiment = ""
        self._runs: dict[int, str] = {}
        """Ids of the runs, by trial."""
        self._open: set[int] = set()

    def on_event(self, event: Event, state: StudyState, replay: bool) -> None:
        """Log the results and ends of this session."""
        if replay:
            return
        if isinstance(event, Session):
            self._find_runs()
        elif isinstance(event, Result):
            trial, now = state.trials[event.trial], int(time.time() * 1000)
            step = trial.step(event.epoch)
            self._client.log_batch(
                self._run_of(trial),
                metrics=[
                    self._metric_type(name, value, now, step)
                    for name, value in event.metrics.items()
                    if value is not None
                ],
            )
        elif isinstance(event, Ended):
            run = self._run_of(state.trials[event.trial])
            self._client.set_tag(run, "tune_cluster.status", event.status)
            if event.reason:
                self._client.set_tag(run, "tune_cluster.reason", event.reason[:5000])
            self._client.set_terminated(run, "FAILED" if event.failed else "FINISHED")
            self._open.discard(event.trial)
        elif isinstance(event, Closed):
            for index in self._open:
                self._client.set_terminated(self._runs[index], "KILLED")

    def _find_runs(self) -> None:
        known = self._client.get_experiment_by_name(self._study)
        if known is None:
            self._experiment = self._client.create_experiment(self._study)
            return
        self._experiment = known.experiment_id
        token = None
        while token != "":
            page = self._client.search_runs([self._experiment], page_token=token)
            for run in page:
                if TRIAL_TAG in run.data.tags:
                    self._runs[int(run.data.tags[TRIAL_TAG])] = run.info.run_id
            token = page.token or ""

    def _run_of(self, trial: TrialState) -> str:
        if trial.index not in self._runs:
            name = f"{trial.index:04d}"
            tags = {TRIAL_TAG: name}
            run = self._client.create_run(self._experiment, tags=tags, run_name=name)
            self._runs[trial.index] = run.info.run_id
            config = [self._param_type(key, str(value)) for key, value in trial.config.items()]
            self._client.log_batch(run.info.run_id, params=config)
        if trial.index not in self._open:
            self._client.update_run(self._runs[trial.index], "RUNNING")
            self._open.add(trial.index)
        return self._runs[trial.index]
