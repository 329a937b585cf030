"""Trainables written for Tune, on a real Ray."""

import os
import signal
import tempfile
from pathlib import Path

import pytest
from ray import tune

from search_spaces.schedulers.asha import ASHA
from search_spaces.searchers.grid_search import GridSearch
from tests.in_process import SPACE, names
from tests.journals import read_events
from tune_cluster.study.journal import JOURNAL

pytestmark = pytest.mark.long


def test_a_class_written_for_another_scheduler_trains_the_configuration_it_reports(
    run_study, tmp_path
):
    lost, failed = tmp_path / "lost", tmp_path / "failed"

    class OfPBT(tune.Trainable):
        """Its reset sets a rate and keeps the weights, as in Ray's examples; its checkpoint is a
        dictionary, and it asks Tune which step it is in."""

        def setup(self, config):
            self.weights, self.found, self.open = 0, [], True

        def reset_config(self, new_config):
            self.config = new_config
            return True

        def step(self):
            self.weights += 1
            for marker, epoch in ((lost, 2), (failed, 3)):
                if self.weights == epoch and not marker.exists():
                    marker.touch()
                    if marker is lost:
                        os.kill(os.getpid(), signal.SIGKILL)
                    raise OSError("no such luck")
            reported = {"weights": self.weights, "iteration": self.iteration, "open": self.open}
            return {"score": -self.config["quality"], **reported, "should_checkpoint": True}

        def save_checkpoint(self, checkpoint_dir):
            return {"weights": self.weights, "of": self.config["quality"]}

        def load_checkpoint(self, checkpoint):
            assert checkpoint["weights"] == self.iteration
            assert checkpoint["of"] == self.config["quality"]
            self.weights = checkpoint["weights"]

        def cleanup(self):
            self.open = False

    code, trials, study = run_study(
        OfPBT,
        # The first is the best, and is promoted when others have come.
        searcher=GridSearch(SPACE, grid_points=3),
        max_epochs=5,
        max_concurrent=1,
        scheduler=ASHA(max_epochs=5, grace_period=1, reduction_factor=2),
    )
    assert code == 0
    events = read_events(study.directory / JOURNAL)
    assert {"promoted", "restored", "retried"} <= {event["event"] for event in events}
    for trial in trials.values():
        for epoch, metrics in trial.results.items():
            assert (metrics["weights"], metrics["iteration"]) == (epoch, epoch - 1)
            assert metrics["open"]
    assert not any(event.get("unreadable") for event in events)
    assert names(study.directory / "best") == ["best.json", "dict_checkpoint.json", "result.json"]


def test_a_function_with_checkpoints_is_promoted_and_finds_the_files_of_its_job(
    run_study, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Path("scores").write_text("0.5")

    def train(config, sign=0):
        if config["quality"] == 1:
            Path("nowhere").read_text()
        epoch, found = 0, tune.get_checkpoint()
        if found is not None:
            with found.as_directory() as folder:
                epoch = int(Path(folder, "epoch").read_text())
        score = sign * config["quality"] + float(Path("scores").read_text())
        while True:
            epoch += 1
            with tempfile.TemporaryDirectory() as folder:
                Path(folder, "epoch").write_text(str(epoch))
                checkpoint = tune.Checkpoint.from_directory(folder)
                tune.report({"score": score, "trained": epoch}, checkpoint=checkpoint)

    code, trials, study = run_study(
        tune.with_parameters(train, sign=-1),
        searcher=GridSearch(SPACE, grid_points=3),
        max_epochs=4,
        max_concurrent=1,
        scheduler=ASHA(max_epochs=4, grace_period=1, reduction_factor=2),
    )
    assert code == 0
    events = read_events(study.directory / JOURNAL)
    assert [event["trial"] for event in events if event["event"] == "promoted"]
    assert study.scheduler.memory.rule == "promotion"
    for trial in (trials[0], trials[1]):
        assert {epoch: reported["trained"] for epoch, reported in trial.results.items()} == {
            epoch: epoch for epoch in range(1, trial.epochs + 1)
        }
    assert "nowhere" in trials[2].reason
    assert str(tmp_path) in trials[2].reason
