"""An experiment of plain Ray Tune as a study: what its files tell of each trial."""

import json

import pytest

from tune_cluster.reports.answer import answer_of
from tune_cluster.reports.doctor.checks import examined
from tune_cluster.reports.ray_experiment import read_ray_experiment
from tune_cluster.reports.readable import readable

ERROR = """Failure # 1 (occurred at 2026-11-28_08-24-57)
Traceback (most recent call last):
  File "train.py", line 3, in train
    raise RuntimeError("the disk is full")
RuntimeError: the disk is full
"""


@pytest.fixture
def experiment(tmp_path):
    """An experiment whose driver was killed: of its five trials one waits, one runs, two failed."""
    statuses = ["TERMINATED", "ERROR", "RUNNING", "PENDING", "ERROR"]
    for index, status in enumerate(statuses):
        folder = tmp_path / f"train_2a215_0000{index}_{index}_lr=0.1_2026-11-28_08-24-47"
        folder.mkdir()
        (folder / "params.json").write_text(json.dumps({"lr": 0.1 * (1 + index)}))
        epochs = () if index > 2 else (1, 2)
        reports = [
            {"loss": 1 / (epoch + index), "training_iteration": epoch, "timestamp": 1000 + epoch}
            for epoch in epochs
        ]
        (folder / "result.json").write_text("".join(json.dumps(one) + "\n" for one in reports))
        if status == "ERROR":
            (folder / "error.txt").write_text(ERROR)
    for second, found in ((47, ["PENDING"] * 5), (58, statuses)):
        trials = [
            [json.dumps({"trial_id": f"2a215_0000{index}", "status": status}), "{}"]
            for index, status in enumerate(found)
        ]
        state = tmp_path / f"experiment_state-2026-11-28_08-24-{second}.json"
        state.write_text(json.dumps({"trial_data": trials}))
    return tmp_path


def test_each_trial_has_the_status_that_ray_tune_gave_it(experiment):
    state = read_ray_experiment(experiment, "loss", "min").state
    statuses = [trial.status for trial in state.trials.values()]
    assert statuses == ["finished", "failed", "running", "pending", "failed"]
    assert state.trials[4].reason == "RuntimeError: the disk is full"
    assert "line 3, in train" in state.trials[4].log
    assert state.counts["failed"] == 2


def test_without_a_snapshot_a_trial_that_has_reported_is_finished(experiment):
    for state in experiment.glob("experiment_state-*"):
        state.unlink()
    trials = read_ray_experiment(experiment, "loss", "min").state.trials
    statuses = [trial.status for trial in trials.values()]
    assert statuses == ["finished", "failed", "finished", "pending", "failed"]


@pytest.mark.parametrize(
    ("conditions", "done", "expected"),
    [
        ({"training_iteration": 9}, True, "stopped"),
        ({}, True, "stopped"),
        ({"training_iteration": 2}, True, "finished"),
        ({"loss": 0.2}, True, "finished"),
        # A function that has returned is not done.
        ({"training_iteration": 9}, False, "finished"),
    ],
)
def test_a_trial_that_ray_ended_before_its_conditions_and_before_others_was_stopped(
    experiment, conditions, done, expected
):
    (folder,) = experiment.glob("*_00000_*")
    lines = [json.loads(line) for line in (folder / "result.json").read_text().splitlines()]
    lines[-1]["done"] = done
    (folder / "result.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (longer,) = experiment.glob("*_00002_*")
    with (longer / "result.json").open("a") as file:
        file.write(json.dumps({"loss": 0.1, "training_iteration": 3, "timestamp": 1003}) + "\n")
    state = {"trial_id": "2a215_00000", "status": "TERMINATED", "stopping_criterion": conditions}
    newest = experiment / "experiment_state-2026-11-28_08-24-59.json"
    newest.write_text(json.dumps({"trial_data": [[json.dumps(state), "{}"]]}))
    trials = read_ray_experiment(experiment, "loss", "min").state.trials
    assert trials[0].status == expected


def test_the_answer_does_not_say_how_an_experiment_has_ended(experiment):
    found = readable(str(experiment), "loss", "min")
    assert "ended by" not in answer_of(found.study, found.state, examined(found.study)).cost


def test_a_reader_without_a_metric_names_the_command_that_takes_one(experiment):
    with pytest.raises(ValueError, match=r"tune-cluster report .* --metric, one of loss"):
        readable(str(experiment))
