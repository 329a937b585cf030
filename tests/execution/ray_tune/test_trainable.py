"""The wrapper around a trainable, on a real Ray: one bad trial ends, and nothing else does."""

import errno
import math
import os
import signal
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from ray import tune

from search_spaces.schedulers.asha import ASHA
from search_spaces.schedulers.base import StudyScheduler
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.trial_events import Result
from tests.in_process import SPACE
from tests.journals import read_events
from tests.mounts import mounted
from tune_cluster.storage import retry
from tune_cluster.study.journal import JOURNAL
from tune_cluster.trial.failures import infrastructure_failure

pytestmark = pytest.mark.slow


def trainable_that(act):
    """A trainable whose score is its quality; `act(config, epoch)` may raise, or change the result.

    Made in a function, so that it travels to the workers by value.
    """

    class Toy(tune.Trainable):
        reuse_actors = True

        def setup(self, config):
            self.config, self.epoch = config, 0

        def reset_config(self, new_config):
            self.setup(new_config)
            return True

        def step(self):
            self.epoch += 1
            result = {"score": self.config["quality"] + self.epoch / 100, "epoch": self.epoch}
            act(self.config, self.epoch, result)
            return {**result, "done": self.epoch == 9}

        def save_checkpoint(self, checkpoint_dir):
            Path(checkpoint_dir, "epoch").write_text(str(self.epoch))

        def load_checkpoint(self, checkpoint_dir):
            self.epoch = int(Path(checkpoint_dir, "epoch").read_text())

    return Toy


class Recording(RandomSearch):
    """A random search that stores the events that it gets."""

    def __init__(self):
        super().__init__(SPACE, seed=0)
        self.told = []

    def on_event(self, event, replay):
        if isinstance(event, Result):
            self.told.append(event.metrics["score"])


def test_a_diverged_trial_ends_at_once_and_no_nan_reaches_the_searcher(run_study):
    def act(config, epoch, result):
        if config["quality"] < 0.5:
            result["train_loss"] = math.nan
        if config["quality"] > 0.8 and epoch == 2:
            # As a trainable has it that forgets `.item()`.
            result["score"] = np.array(math.inf)

    searcher = Recording()
    code, trials, study = run_study(trainable_that(act), trials=12, searcher=searcher)
    assert code == 0
    assert all(trial.ended for trial in trials.values())
    diverged = [trial for trial in trials.values() if trial.status == "diverged"]
    assert diverged
    for trial in diverged:
        assert trial.epochs < 2
        assert "is nan" in trial.reason or "is inf" in trial.reason
    assert len(searcher.told) > 12
    assert all(math.isfinite(value) for value in searcher.told)
    # The rung ahead counts the one that failed; JSON has no NaN to begin with.
    assert "NaN" not in (study.directory / JOURNAL).read_text()
    failed = sum(
        math.isinf(v) for at in study.scheduler.memory.values.values() for v in at.values()
    )
    assert failed == len(diverged)


def test_an_exception_and_a_missing_metric_end_their_trials_only(run_study):
    def act(config, epoch, result):
        if config["quality"] < 0.5:
            raise RuntimeError(f"no luck with {config['quality']:.3f}")
        if config["quality"] < 0.7:
            del result["score"]

    code, trials, study = run_study(trainable_that(act), trials=12)
    assert code == 0
    assert {trial.status for trial in trials.values()} >= {"failed", "finished"}
    for trial in trials.values():
        quality = trial.config["quality"]
        if quality < 0.5:
            assert trial.reason == f"RuntimeError: no luck with {quality:.3f}"
        elif quality < 0.7:
            assert trial.reason.startswith("no score in")
        assert (trial.status == "failed") == (quality < 0.7)
    ended = [e for e in read_events(study.directory / JOURNAL) if e["event"] == "ended"]
    assert any("Traceback" in event.get("traceback", "") for event in ended)


class OutOfMemoryError(RuntimeError):
    """Raise as torch does."""


@pytest.mark.parametrize("shared", [True, False])
def test_running_out_of_shared_memory_is_an_infrastructure_failure(run_study, shared):
    def act(config, epoch, result):
        if config["quality"] < 0.5:
            bytearray(2**60)

    concurrent = 2 if shared else 1
    code, trials, study = run_study(trainable_that(act), trials=8, max_concurrent=concurrent)
    assert code == 0
    failed = [trial.index for trial in trials.values() if trial.status == "failed"]
    assert failed
    ended = [e for e in read_events(study.directory / JOURNAL) if e["event"] == "ended"]
    assert {e["trial"] for e in ended if e.get("blameless")} == (set(failed) if shared else set())
    first_rung = study.scheduler.memory.values[1]
    assert (set(failed) & set(first_rung) == set()) is shared


@pytest.mark.parametrize(
    ("error", "gpus", "sequential", "shared"),
    [
        (OutOfMemoryError("of the host"), 0, False, True),
        (OutOfMemoryError("of the host"), 0, True, False),
        (OutOfMemoryError("cuda"), 1, False, False),
        (MemoryError(), 1, False, True),
        (MemoryError(), 0, True, False),
        (RuntimeError("another"), 0, False, False),
        (OSError(errno.ENOSPC, "no space left on device"), 1, True, True),
        (OSError(errno.EACCES, "permission denied"), 0, False, False),
    ],
)
def test_out_of_memory_is_an_infrastructure_failure_if_shared_and_a_full_disk_always_is(
    error, gpus, sequential, shared
):
    assert infrastructure_failure(error, gpus, sequential) is shared


def test_five_first_trials_with_the_same_exception_end_the_study(run_study, capsys):
    def act(config, epoch, result):
        raise RuntimeError("the disk is full")

    code, trials, _ = run_study(trainable_that(act), trials=40)
    assert code == 1
    assert len(trials) < 10
    assert capsys.readouterr().err.count("the disk is full") == 1


def test_a_trial_of_a_lost_process_resumes_from_its_checkpoint(run_study, tmp_path):
    marker = tmp_path / "died"

    def act(config, epoch, result):
        if epoch == 5 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    rungs = ASHA(max_epochs=9, grace_period=1, rung_rule="top")
    code, trials, study = run_study(trainable_that(act), trials=2, scheduler=rungs)
    assert code == 0
    assert marker.exists()
    assert any(trial.epochs == 9 for trial in trials.values())
    events = read_events(study.directory / JOURNAL)
    restored = [event for event in events if event["event"] == "restored"]
    assert [(event["epoch"], event["unreadable"]) for event in restored] == [(4, [])]
    results = [(e["trial"], e["epoch"]) for e in events if e["event"] == "result"]
    assert len(results) == len(set(results))


def test_an_ended_trial_keeps_its_best_checkpoint_alone(run_study):
    def act(config, epoch, result):
        result["score"] -= abs(epoch - 4) / 10

    _, trials, study = run_study(trainable_that(act), trials=3)
    for trial in trials.values():
        best, _ = trial.best
        kept = [
            path.name for path in (study.trials_dir / f"{trial.index:04d}").glob("checkpoint_*")
        ]
        assert kept == [f"checkpoint_{best:06d}"]
    assert not (study.directory / ".tune").exists()


@pytest.mark.parametrize("scheduled", [True, False])
def test_a_trial_that_never_reports_done_ends_after_its_epochs(run_study, scheduled):
    class Endless(tune.Trainable):
        def step(self):
            return {"score": self.iteration / 100}

    scheduler = ASHA(max_epochs=5, rung_rule="ray") if scheduled else StudyScheduler()
    code, trials, _ = run_study(Endless, trials=2, scheduler=scheduler, max_epochs=7)
    assert code == 0
    assert trials[0].status == "finished"
    assert trials[0].epochs == (5 if scheduled else 7)


def function_that_dies(marker):
    """It counts in its checkpoint, and dies once, after epoch 5."""

    def train(config):
        checkpoint, done = tune.get_checkpoint(), 0
        if checkpoint is not None:
            with checkpoint.as_directory() as folder:
                done = int(Path(folder, "epoch").read_text())
        for epoch in range(done + 1, 10):
            with tempfile.TemporaryDirectory() as folder:
                Path(folder, "epoch").write_text(str(epoch))
                reported = tune.Checkpoint.from_directory(folder)
                tune.report({"score": -abs(epoch - 7), "epoch": epoch}, checkpoint=reported)
            if epoch == 5 and not marker.exists():
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)

    return train


def function_that_fills(disk):
    """It counts in its checkpoint, and before its fifth leaves the disk no room for a while."""

    def free(filler):
        time.sleep(0.5)
        filler.unlink()

    def train(config):
        for epoch in range(1, 10):
            if epoch == 5:
                filler = disk / "filler"
                with suppress(OSError), filler.open("wb", buffering=0) as file:
                    while True:
                        file.write(bytes(4096))
                threading.Thread(target=free, args=[filler]).start()
            with tempfile.TemporaryDirectory() as folder:
                Path(folder, "epoch").write_text(str(epoch))
                reported = tune.Checkpoint.from_directory(folder)
                tune.report({"score": epoch, "epoch": epoch}, checkpoint=reported)

    return train


def test_the_checkpoint_of_a_function_waits_while_the_disk_is_full(
    run_study, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        retry,
        "RETRY_POLICY",
        retry.RetryPolicy(first_seconds=0.05, longest_seconds=0.2, total_seconds=60),
    )
    with mounted(tmp_path / "study", size="1m") as disk:
        train = function_that_fills(disk)
        code, trials, study = run_study(
            train, trials=1, scheduler=StudyScheduler(), max_concurrent=1
        )
        assert code == 0
        assert (trials[0].status, trials[0].epochs) == ("finished", 9)
        events = read_events(study.directory / JOURNAL)
        assert not {event["event"] for event in events} & {"retried", "restored"}
        assert (study.directory / "best" / "epoch").read_text() == "9"


def test_a_function_that_reports_checkpoints_resumes_from_them_and_keeps_its_best(
    run_study, tmp_path
):
    train = function_that_dies(tmp_path / "died")
    code, trials, study = run_study(train, trials=1, scheduler=StudyScheduler(), max_concurrent=1)
    assert code == 0
    assert trials[0].epochs == 9
    events = read_events(study.directory / JOURNAL)
    (restored,) = (event for event in events if event["event"] == "restored")
    assert restored["epoch"] in (4, 5)
    results = [e["epoch"] for e in events if e["event"] == "result"]
    assert results == list(range(1, 10))
    kept = [path.name for path in (study.trials_dir / "0000").glob("checkpoint_*")]
    assert kept == ["checkpoint_000007"]
    assert (study.directory / "best" / "epoch").read_text() == "7"
    assert not (study.directory / ".tune").exists()
