"""Runs of Aim, written and read by the real library in a folder."""

import sys

import pytest

from tests.journals import Happens, event_of
from tune_cluster.callbacks.aim import Aim
from tune_cluster.study.events import Closed, Session


def runs_of(repo):
    """Return the runs by trial; no other session has one open."""
    aim = pytest.importorskip("aim")
    found = {}
    query = "run.experiment == 'study'"
    for one in aim.Repo(str(repo)).query_runs(query, report_mode=0).iter_runs():
        run = aim.Run(
            one.run.hash,
            repo=str(repo),
            system_tracking_interval=None,
            capture_terminal_logs=False,
        )
        assert int(run.name) not in found
        found[int(run.name)] = run
    return found


def history(run, name):
    (metric,) = (metric for metric in run.metrics() if metric.name == name)
    table = metric.dataframe()
    return [*zip(table["step"], table["value"], strict=True)]


@pytest.mark.slow
def test_each_trial_is_one_run_over_two_sessions(tmp_path):
    pytest.importorskip("aim")
    study = Happens(config={"learning_rate": 0.1, "layers": [64, 8]})
    for session in (1, 2):
        study.listeners[:] = [Aim("study", tmp_path)]
        study.tell(Session())
        if session == 2:
            study.tell(event_of("epochs_lost", 1))
            study.tell(event_of("result", 1, epoch=1, metrics={"score": 1.5}))
        for trial in (0, 1):
            metrics = {"score": session + trial / 10, "loss": None}
            study.tell(event_of("result", trial, epoch=session, metrics=metrics))
        if session == 2:
            study.tell(event_of("ended", 0, status="failed", epoch=2, reason="OSError: no"))
        study.tell(Closed(why="interrupted"))
    runs = runs_of(tmp_path)
    assert runs.keys() == {0, 1}
    assert runs[1]["config"] == {"learning_rate": 0.1, "layers": [64, 8]}
    assert [metric.name for metric in runs[1].metrics()] == ["score"]
    assert history(runs[1], "score") == [(1, 1.5), (2, 2.1)]
    assert (runs[0]["status"], runs[0]["reason"]) == ("failed", "OSError: no")
    assert runs[0]["best"] == {"best_score": 2.0, "epoch": 2}
    for run in runs.values():
        run.close()


def test_a_library_that_is_missing_says_which_extra_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "aim", None)
    with pytest.raises(ValueError, match=r"pip install 'tune-cluster\[aim\]'"):
        Aim("study")
