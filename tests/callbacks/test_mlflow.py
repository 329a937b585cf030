"""Runs of MLflow, written by the real library into a folder."""

import sys

import pytest

from tests.journals import Happens, event_of
from tune_cluster.callbacks.mlflow import MLflow
from tune_cluster.study.events import Closed, Session


def runs_of(uri):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("study")
    runs = client.search_runs([experiment.experiment_id])
    return client, {int(run.data.tags["tune_cluster.trial"]): run for run in runs}


@pytest.mark.slow
def test_each_trial_is_one_run_over_two_sessions(tmp_path, monkeypatch):
    # A database would need more packages.
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri = (tmp_path / "mlruns").as_uri()
    study = Happens(config={"learning_rate": 0.1, "layers": [64, 8]})
    for session in (1, 2):
        study.listeners[:] = [MLflow("study", uri)]
        study.tell(Session())
        for trial in (0, 1):
            metrics = {"score": session + trial / 10, "loss": None}
            study.tell(event_of("result", trial, epoch=session, metrics=metrics))
        if session == 2:
            study.tell(event_of("ended", 0, status="finished", epoch=2))
        study.tell(Closed(why="interrupted"))
    client, runs = runs_of(uri)
    assert {trial: run.info.status for trial, run in runs.items()} == {0: "FINISHED", 1: "KILLED"}
    assert runs[1].data.params == {"learning_rate": "0.1", "layers": "[64, 8]"}
    history = client.get_metric_history(runs[1].info.run_id, "score")
    assert [(point.step, point.value) for point in history] == [(1, 1.1), (2, 2.1)]
    assert set(runs[1].data.metrics) == {"score"}
    assert runs[0].data.tags["tune_cluster.status"] == "finished"


def test_a_library_that_is_missing_says_which_extra_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "mlflow"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ValueError, match=r"pip install 'tune-cluster\[mlflow\]'"):
        MLflow("study")
