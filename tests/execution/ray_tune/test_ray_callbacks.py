"""Callbacks of Ray Tune's, its own and of other libraries, on the events of a study."""

import csv
import json
import time
from pathlib import Path

import pytest
from ray import tune
from ray.tune import Callback

import tune_cluster
from tests.conftest import PATIENCE, journal_of
from tests.execution.ray_tune import logged
from tests.journals import Happens, event_of, state_of
from tune_cluster.execution.ray_tune.ray_callbacks import (
    FOLDER,
    RayCallbacks,
    is_rays,
    methods_never_called,
)
from tune_cluster.study.events import Closed, Session

CONFIG = {"outer/rate": 0.5, "constant": "c"}


class Told(Callback):
    """Stores its calls, as `(method, trial, …)`."""

    def __init__(self):
        self.calls = []

    def setup(self, stop=None, num_samples=None, total_num_samples=None, **info):
        self.calls.append(("setup", total_num_samples))

    def on_trial_start(self, iteration, trials, trial, **info):
        assert trial in trials
        self.calls.append(("start", trial.index, trial.config))

    def on_trial_result(self, iteration, trials, trial, result, **info):
        self.calls.append(("result", trial.index, result["training_iteration"], result["score"]))
        assert result["config"] == trial.config
        assert result["trial_id"] == trial.trial_id

    def on_checkpoint(self, iteration, trials, trial, checkpoint, **info):
        self.calls.append(("checkpoint", trial.index, checkpoint.path))

    def on_trial_complete(self, iteration, trials, trial, **info):
        self.calls.append(("complete", trial.index))

    def on_trial_error(self, iteration, trials, trial, **info):
        self.calls.append(("error", trial.index))

    def on_experiment_end(self, trials, **info):
        self.calls.append(("end", len(trials)))


def adapter(callback, study):
    return RayCallbacks(
        [callback],
        study,
        checkpoints=f"{study}/trials",
        trainable="train",
        fixed={"constant"},
        total=2,
    )


def result(epoch, score, trial=0):
    return event_of("result", trial, epoch=epoch, metrics={"score": score})


@pytest.fixture
def told(tmp_path):
    """A callback, and a study whose events it gets."""
    callback = Told()
    study = Happens(adapter(callback, tmp_path), config=CONFIG)
    study.tell(Session(command=[], time=1.0))
    return callback, study


def test_a_callback_of_ray_tune_is_called_with_its_methods_and_arguments(told, tmp_path):
    callback, study = told
    saved = event_of("checkpoint", epoch=1, path="trials/0000/checkpoint_000001")
    ended = event_of("ended", epoch=1, status="finished")
    for event in (event_of("started"), result(1, 0.5), saved, ended):
        study.tell(event)
    study.tell(event_of("started", 1))
    study.tell(event_of("ended", 1, epoch=1, status="failed"))
    study.tell(Closed(why="all trials"))
    config = {"outer": {"rate": 0.5}, "constant": "c"}
    assert callback.calls == [
        ("setup", 2),
        ("start", 0, config),
        ("result", 0, 1, 0.5),
        ("checkpoint", 0, f"{tmp_path}/trials/0000/checkpoint_000001"),
        ("complete", 0),
        ("start", 1, config),
        ("error", 1),
        ("end", 2),
    ]


def test_an_epoch_that_is_trained_again_is_not_reported_to_callbacks_again(told):
    callback, study = told
    for event in (event_of("started"), result(1, 0.5), result(2, 0.6)):
        study.tell(event)
    study.tell(event_of("epochs_lost", first=2, last=2))
    for event in (result(2, 0.6), result(3, 0.7)):
        study.tell(event)
    assert [call[2] for call in callback.calls if call[0] == "result"] == [1, 2, 3]


def test_a_resume_calls_callbacks_for_new_events_only_and_keeps_the_names_of_trials(tmp_path):
    session = Session(command=[], time=1.0)
    earlier = [event_of("suggested", config=CONFIG), event_of("started"), result(1, 0.5)]
    names = []
    for time_of_session, replayed in ((1.0, []), (2.0, [session, *earlier])):
        callback = Told()
        rays = adapter(callback, tmp_path)
        state = state_of(earlier)
        for event in replayed:
            rays.on_event(event, state, replay=True)
        rays.on_event(Session(command=[], time=time_of_session), state, replay=False)
        state.apply(result(2, 0.6))
        rays.on_event(result(2, 0.6), state, replay=False)
        starts = [call[0] for call in callback.calls]
        assert starts == ["setup", "start", "result"]
        names.append([str(trial) for trial in rays._trials.values()])
    assert names[0] == names[1]


def test_callbacks_see_a_promoted_trial_start_again(told):
    callback, study = told
    for event in (event_of("started"), result(1, 0.5)):
        study.tell(event)
    study.tell(event_of("ended", epoch=1, status="stopped", rung=1))
    study.tell(event_of("promoted", rung=1, value=0.5, rank=1, of=2))
    study.tell(result(2, 0.6))
    methods = [call[0] for call in callback.calls]
    assert methods == ["setup", "start", "result", "complete", "start", "result"]


def test_a_study_callback_with_ray_methods_is_called_as_a_ray_callback(tmp_path):
    class Renamed(tune_cluster.Callback):
        results = 0

        def on_trial_result(self, iteration, trials, trial, result, **info):
            self.results += 1

    callback = Renamed()
    assert is_rays(callback)
    assert not is_rays(tune_cluster.Callback())
    study = Happens(adapter(callback, tmp_path), config=CONFIG)
    for event in (Session(command=[], time=1.0), event_of("started"), result(1, 0.5)):
        study.tell(event)
    assert callback.results == 1


def test_methods_without_a_counterpart_are_named():
    class Stepping(Callback):
        def on_step_begin(self, iteration, trials, **info):
            pass

    assert methods_never_called(Stepping()) == ["on_step_begin"]
    assert methods_never_called(Told()) == []


@pytest.mark.slow
def test_the_mlflow_callback_of_ray_logs_a_run_for_each_trial(tmp_path):
    mlflow = pytest.importorskip("mlflow")
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    callback = MLflowLoggerCallback(tracking_uri=uri, experiment_name="toy")
    study = Happens(adapter(callback, tmp_path), config=CONFIG)
    study.tell(Session(command=[], time=1.0))
    for event in (event_of("started"), result(1, 0.5), result(2, 0.75)):
        study.tell(event)
    study.tell(event_of("ended", epoch=2, status="finished"))
    study.tell(Closed(why="all trials"))
    client = mlflow.MlflowClient(uri)
    (run,) = client.search_runs([client.get_experiment_by_name("toy").experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["outer/rate"] == "0.5"
    history = client.get_metric_history(run.info.run_id, "score")
    assert [(at.step, at.value) for at in history] == [(1, 0.5), (2, 0.75)]


@pytest.mark.long
def test_the_wandb_callback_of_ray_writes_a_run_for_each_trial(
    cluster_address, tmp_path, monkeypatch
):
    pytest.importorskip("wandb")
    from ray.air.integrations.wandb import WandbLoggerCallback

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    callback = WandbLoggerCallback(project="toy", dir=str(tmp_path), mode="offline")
    study = Happens(adapter(callback, tmp_path), config=CONFIG)
    study.tell(Session(command=[], time=1.0))
    for event in (event_of("started"), result(1, 0.5)):
        study.tell(event)
    study.tell(event_of("ended", epoch=1, status="finished"))
    study.tell(Closed(why="all trials"))
    assert len([*tmp_path.rglob("*.wandb")]) == 1


def rows_of(trial):
    with (trial / FOLDER / "progress.csv").open() as file:
        return [row["training_iteration"] for row in csv.DictReader(file)]


@pytest.mark.long
def test_a_resume_after_a_killed_driver_repeats_no_epoch_and_stoppers_continue_to_count(
    start_job, tmp_path
):
    script = Path(logged.__file__)
    study = tmp_path / "logged"

    def epochs():
        if not (study / "journal.jsonl").exists():
            return []
        return [event for event in journal_of(study) if event["event"] == "result"]

    def start(*arguments):
        return start_job(*arguments, script=script)

    driver = start(str(tmp_path))
    deadline = time.monotonic() + PATIENCE
    while len(epochs()) < 2:
        assert driver.poll() is None, driver.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    driver.kill()
    driver.wait()
    resumed = start(str(tmp_path), str(study))
    output, _ = resumed.communicate(timeout=PATIENCE)
    assert resumed.returncode == 0, output
    ends = [event for event in journal_of(study) if event["event"] == "ended"]
    assert [end["epoch"] for end in ends] == [logged.EPOCHS, logged.EPOCHS]
    assert {end["reason"] for end in ends} == {"stop condition: CombinedStopper"}
    for trial in sorted((study / "trials").iterdir()):
        told = rows_of(trial)
        assert told == sorted({*told}), "an epoch was told twice"
        # Killed between the journal and the callbacks, an epoch is told to none.
        assert logged.EPOCHS - 1 <= len(told) <= logged.EPOCHS
        lines = (trial / FOLDER / "result.json").read_text().splitlines()
        assert [str(json.loads(line)["training_iteration"]) for line in lines] == told
        params = json.loads((trial / FOLDER / "params.json").read_text())
        assert params["constant"] == "c"
        assert [*(trial / FOLDER).glob("events.out.tfevents.*")]
    last = tune.Checkpoint.from_directory(study / "best")
    with last.as_directory() as folder:
        assert json.loads(Path(folder, "state.json").read_text()) == logged.EPOCHS
