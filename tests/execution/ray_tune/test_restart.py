"""A trial that needs a fresh process, on a real Ray whose GPU is only declared."""

import errno
import json
import os
import signal
import time
from pathlib import Path

import pytest
import ray
from ray import tune
from ray.tune.experiment import Trial

from search_spaces.schedulers.base import StudyScheduler
from search_spaces.searchers.grid_search import GridSearch
from tests.in_process import SPACE, study_in
from tests.journals import read_events
from tune_cluster.execution.ray_tune import study as study_module
from tune_cluster.storage.retry import StorageLostError
from tune_cluster.study.journal import JOURNAL
from tune_cluster.trial.failures import ERROR_RETRIES

pytestmark = pytest.mark.long

EPOCHS = 6

FOUR_ON_ONE = {"cpus_per_trial": 0.5, "gpus_per_trial": 0.25, "max_concurrent": 4}


class OutOfMemoryError(RuntimeError):
    """Raise as torch does."""


def trainable(step, reset=lambda config: True):
    """Return a trainable, made in a function so that it is sent to the workers by value.

    Args:
        step: called with configuration, epoch and GPUs before an epoch; may raise.
        reset: called with the configuration; returns the result of `reset_config`.
    """

    class Toy(tune.Trainable):
        reuse_actors = True

        def setup(self, config):
            self.config, self.epoch = config, 0

        def reset_config(self, new_config):
            self.setup(new_config)
            return reset(new_config)

        def step(self):
            gpus = ray.get_runtime_context().get_assigned_resources().get("GPU", 0)
            step(self.config, self.epoch + 1, gpus)
            self.epoch += 1
            result = {
                "score": self.epoch,
                "epoch": self.epoch,
                "gpus": gpus,
                "process": os.getpid(),
            }
            return {**result, "done": self.epoch == EPOCHS}

        def save_checkpoint(self, checkpoint_dir):
            Path(checkpoint_dir, "epoch").write_text(str(self.epoch))

        def load_checkpoint(self, checkpoint_dir):
            self.epoch = int(Path(checkpoint_dir, "epoch").read_text())

    return Toy


@pytest.fixture
def run_grid(run_study, monkeypatch):
    """Runs trials of quality 0 to 1, none of which may lose its process; `(trials, events)`."""
    monkeypatch.setattr(study_module, "LOST_PROCESS_RETRIES", 0)

    def run(toy, *, trials=4, **options):
        options.setdefault("scheduler", StudyScheduler())
        searcher = GridSearch(SPACE, grid_points=trials)
        code, found, study = run_study(
            toy, trials=trials, max_epochs=EPOCHS, searcher=searcher, **options
        )
        assert code == 0
        assert len(found) == trials
        return found, read_events(study.directory / JOURNAL)

    return run


def of_trial(events, index, *kinds):
    return [e for e in events if e.get("trial") == index and e["event"] in kinds]


def test_a_trial_out_of_gpu_memory_continues_with_twice_its_share_up_to_a_whole_gpu(
    run_grid, tmp_path
):
    stepped = tmp_path / "stepped"

    def step(config, epoch, gpus):
        with stepped.open("a") as file:
            print(config["quality"], epoch, file=file)
        needed = {0.0: 2.0, 1.0: {3: 0.5, 4: 0.5}.get(epoch, 1.0 if epoch > 4 else 0.25)}
        if gpus < needed.get(config["quality"], 0.25):
            raise OutOfMemoryError("CUDA out of memory")

    trials, events = run_grid(trainable(step), **FOUR_ON_ONE)
    wide = {trial.config["quality"]: trial.index for trial in trials.values()}
    shares = [(e["epoch"], e["gpus"]) for e in of_trial(events, wide[1.0], "share")]
    assert shares == [(2, [0.25, 0.5]), (4, [0.5, 1.0])]
    assert trials[wide[1.0]].status == "finished"
    had = [trials[wide[1.0]].results[epoch]["gpus"] for epoch in range(1, EPOCHS + 1)]
    assert had == [0.25, 0.25, 0.5, 0.5, 1.0, 1.0]
    restored = of_trial(events, wide[1.0], "restored")
    assert [(e["epoch"], e["unreadable"]) for e in restored] == [(2, []), (4, [])]

    failed = trials[wide[0.0]]
    assert (failed.status, failed.reason) == ("failed", "OutOfMemoryError: CUDA out of memory")
    assert [e["gpus"] for e in of_trial(events, wide[0.0], "share")] == [[0.25, 0.5], [0.5, 1.0]]
    assert not failed.infrastructure_failure, "it has had a whole GPU"

    neighbours = [trial for trial in trials.values() if 0 < trial.config["quality"] < 1]
    assert [trial.status for trial in neighbours] == ["finished", "finished"]
    for trial in neighbours:
        assert len(of_trial(events, trial.index, "started")) == 1
        assert {metrics["gpus"] for metrics in trial.results.values()} == {0.25}
    # Each epoch once, but for the two that were not enough, and the one that never was: on a whole
    # GPU that is an error as any other.
    steps = [tuple(map(float, line.split())) for line in stepped.read_text().splitlines()]
    again = {(1.0, 3): 2, (1.0, 5): 2, (0.0, 1): 3 + ERROR_RETRIES}
    assert {step: steps.count(step) for step in steps} == {
        step: again.get(step, 1)
        for step in {(t.config["quality"], e) for t in trials.values() for e in t.results}
        | {(0.0, 1)}
    }
    printed = (tmp_path / "output").read_text()
    assert "is out of the memory of 0.25 GPU after epoch 2: continues with 0.5" in printed


def test_a_trial_that_needs_a_whole_gpu_gets_it_before_new_trials_begin(run_grid, tmp_path):
    asked_for_it = tmp_path / "asked"

    def step(config, epoch, gpus):
        if config["quality"] == 0 and gpus < 1:
            asked_for_it.touch()
            raise OutOfMemoryError("CUDA out of memory")
        while not asked_for_it.exists():
            time.sleep(0.05)

    trials, events = run_grid(trainable(step), trials=12, **FOUR_ON_ONE)
    assert {trial.status for trial in trials.values()} == {"finished"}
    (wide,) = (trial.index for trial in trials.values() if trial.config["quality"] == 0)
    asked = [number for number, e in enumerate(events) if e["event"] == "share"]
    begun = [n for n, e in enumerate(events) if e == {**e, "event": "started", "trial": wide}][1:]
    assert len(asked) == len(begun) == 2
    for first, last in zip(asked, begun, strict=True):
        assert not [e for e in events[first:last] if e["event"] == "suggested"]
    assert [e for e in events[begun[-1] :] if e["event"] == "suggested"], "there were more to come"


def test_processes_are_not_kept_for_a_next_round_while_a_trial_waits_for_a_larger_share(tmp_path):
    class Rounds(GridSearch):
        upcoming = 3

    study = study_in(tmp_path / "study", [], searcher=Rounds(SPACE, grid_points=4))
    scheduler, trial = study.tune_scheduler, Trial("train", stub=True)
    assert scheduler.upcoming() == 3
    scheduler._wide.add(trial)
    assert scheduler.upcoming() == 0
    trial.set_status(Trial.RUNNING)
    assert scheduler.upcoming() == 3


def test_a_resumed_study_gives_a_trial_its_last_share_of_a_gpu(run_grid, tmp_path):
    (tmp_path / "study").mkdir()
    before = [
        {"event": "suggested", "trial": 0, "config": {"quality": 0.0, "seed": 1}},
        {"event": "started", "trial": 0},
        {"event": "share", "trial": 0, "epoch": 0, "gpus": [0.25, 0.5]},
    ]
    lines = "".join(json.dumps(event) + "\n" for event in before)
    (tmp_path / "study" / JOURNAL).write_text(lines)
    trials, _ = run_grid(trainable(lambda *_: None), trials=2, **FOUR_ON_ONE)
    given = {i: {m["gpus"] for m in trial.results.values()} for i, trial in trials.items()}
    assert given == {0: {0.5}, 1: {0.25}}


def refuse(config):
    return False


def fail(config):
    raise RuntimeError("this process is of no use")


def without_chance(events):
    """Return a journal without times, nodes and processes."""
    told = [{k: v for k, v in e.items() if k not in ("time", "node")} for e in events]
    for event in told:
        event["metrics"] = {k: v for k, v in event.get("metrics", {}).items() if k != "process"}
    return told


def test_a_failed_reset_starts_a_new_process_and_is_reported(run_grid, tmp_path):
    processes, journals = [], []
    reasons = {
        "fine": (lambda config: True, None),
        "refused": (refuse, "ValueError: reset_config() has returned False"),
        "failed": (fail, "RuntimeError: this process is of no use"),
    }
    for name, (reset, reason) in reasons.items():
        toy = trainable(lambda *_: None, reset)
        trials, events = run_grid(toy, trials=3, max_concurrent=1, name=name)
        assert {trial.status for trial in trials.values()} == {"finished"}
        processes.append(len({m["process"] for t in trials.values() for m in t.results.values()}))
        told = [(e["trial"], e["reason"]) for e in events if e["event"] == "reset_failed"]
        assert told == [(trial, reason) for trial in (1, 2) if reason]
        printed = (tmp_path / "output").read_text()
        assert printed.count(f"{reason}; it starts in a new one") == bool(reason)
        journals.append(without_chance(e for e in events if e["event"] != "reset_failed"))
    assert processes == [1, 3, 3]
    assert journals[1] == journals[0]
    assert journals[2] == journals[0]


def test_a_process_that_dies_in_a_reset_counts_as_a_lost_process(run_grid, monkeypatch, tmp_path):
    monkeypatch.setattr(study_module, "LOST_PROCESS_RETRIES", 1)
    marker = tmp_path / "died"

    def die(config):
        if not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return True

    trials, _ = run_grid(trainable(lambda *_: None, die), trials=3, max_concurrent=1)
    assert marker.exists()
    assert {(trial.status, trial.epochs) for trial in trials.values()} == {("finished", EPOCHS)}


def test_lost_storage_during_a_reset_is_no_failed_reset(run_grid, monkeypatch, tmp_path):
    monkeypatch.setattr(study_module, "LOST_PROCESS_RETRIES", 1)
    marker = tmp_path / "lost"

    def lose_storage(config):
        if not marker.exists():
            marker.touch()
            raise StorageLostError(errno.EIO, "input/output error", "/shared")
        return True

    toy = trainable(lambda *_: None, lose_storage)
    trials, events = run_grid(toy, trials=3, max_concurrent=1)
    assert {(trial.status, trial.epochs) for trial in trials.values()} == {("finished", EPOCHS)}
    assert not [e for e in events if e["event"] == "reset_failed"]
    (lost,) = (e for e in events if e["event"] == "retried")
    said = "StorageLostError: [Errno 5] input/output error: '/shared'"
    assert (lost["trial"], lost["reason"]) == (1, f"its process was lost ({said})")
