"""The runner of a trial, in this process and without Ray."""

import math
import os
import shutil
import sys
import threading
from pathlib import Path

import pytest

from search_spaces.objective import Objective, Origin
from tests.in_process import names
from tune_cluster.storage.quota import Quota
from tune_cluster.trial.failures import ERROR_RETRIES, ProcessExits
from tune_cluster.trial.messages import (
    RETURNED,
    Assignment,
    Restored,
    Retry,
    TrialSettings,
    Unsaved,
)
from tune_cluster.trial.process import Generators, TrialProcess, offered_seed, trial_seed
from tune_cluster.trial.runner import REPORTS_WITHOUT_METRIC, TrialRunner
from tune_cluster.trial.trial_log import TrialLog

CONFIG = {"rate": 0.1}


class Counting:
    """A trainable that counts its epochs; `act(epoch, result)` may raise, or change the result."""

    def __init__(self, act=lambda epoch, result: None, *, epochs=3, saves=True, reads=True):
        self.act, self.epochs, self.saves, self.reads = act, epochs, saves, reads
        self.epoch, self.starts, self.offered = 0, [], False
        self.steps = (0, 0.0)

    def setup(self):
        self.epoch, self.offered = 0, False
        self.starts.append("setup")

    def reset(self):
        self.epoch, self.offered = 0, False
        self.starts.append("reset")

    def discard(self):
        self.starts.append("discard")

    def step(self):
        if self.epoch >= self.epochs:
            return RETURNED
        result = {"score": (self.epoch + 1) / 10}
        changed = self.act(self.epoch + 1, result)
        self.epoch += 1
        return result if changed is None else changed

    def saver(self):
        if not self.saves:
            return None
        return lambda folder: Path(folder, "epoch").write_text(str(self.epoch))

    def discard_checkpoint(self):
        pass

    def load(self, checkpoint, files):
        self.offered, self.steps = True, (checkpoint.iteration, checkpoint.time_total)
        with files as folder:
            if self.reads:
                self.epoch = int((folder / "epoch").read_text())

    def ignores_checkpoint(self):
        return self.offered and not self.reads

    def progress(self):
        return self.steps

    def set_progress(self, steps, seconds):
        self.steps = (steps, seconds)


@pytest.fixture
def process(tmp_path, monkeypatch):
    """This process, whose hooks are put back after the test."""
    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    monkeypatch.setattr(os, "_exit", os._exit)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trials").mkdir()
    exits = ProcessExits()
    with (tmp_path / "log").open("w") as log:

        def made(gpus=0.0):
            return TrialProcess(
                node="0123456789ab",
                gpus=gpus,
                log=TrialLog(log.fileno()),
                exits=exits,
                notify=lambda directory, line: None,
            )

        yield made


@pytest.fixture
def run(process, tmp_path):
    """Runs a trainable as trial 7; a function that makes a runner of it."""

    def runner(trainable, *, gpus=0.0, used=False, own_seed=None, **settings):
        settings = {"seed": 0, "sequential": True, **settings}
        study = TrialSettings(Objective("score", "max"), str(tmp_path / "trials"), **settings)
        assignment = Assignment("0007", CONFIG, used_process=used, seed=own_seed)
        return TrialRunner(assignment, trainable, study, process(gpus))

    return runner


def reports_of(runner):
    """Its reports, up to one with which the trial has ended or needs another process."""
    reports = [runner.report()]
    while reports[-1].status is None and reports[-1].fresh_process is None:
        reports.append(runner.report())
    return reports


def raising(error, *, at=2, times=99):
    """Raise an error in an epoch, `times` times."""
    left = [error] * times

    def act(epoch, result):
        if epoch == at and left:
            raise left.pop()

    return act


class Validating(Counting):
    """Reports the study's metric in every second epoch, or from some epoch on never again."""

    def __init__(self, *args, until=99, **kwargs):
        super().__init__(*args, **kwargs)
        self.until, self.discarded = until, 0

    def step(self):
        result = super().step()
        if result is not RETURNED and (self.epoch % 2 or self.epoch > self.until):
            result["train_loss"] = result.pop("score")
        return result

    def discard_checkpoint(self):
        self.discarded += 1


def test_epochs_without_the_metric_are_reported_with_the_next_that_has_it(run, tmp_path):
    runner = run(Validating(epochs=4))
    first, second = runner.report(), runner.report()
    assert (first.epoch, first.first, first.metrics["score"]) == (2, True, 0.2)
    assert [(report.epoch, report.metrics) for report in first.interim] == [
        (1, {"train_loss": 0.1, "epoch": 1}),
    ]
    assert (second.epoch, second.first) == (4, False)
    assert [report.epoch for report in second.interim] == [3]
    assert names(tmp_path / "trials" / "0007") == ["checkpoint_000004"]


def test_a_metric_that_never_comes_ends_the_trial(run):
    trainable = Validating(until=2, epochs=99)
    *_, last = reports_of(run(trainable))
    assert (last.status, last.epoch) == ("failed", 2 + REPORTS_WITHOUT_METRIC + 1)
    assert "train_loss" in last.reason
    assert trainable.discarded == REPORTS_WITHOUT_METRIC


def test_an_epoch_is_reported_after_its_checkpoint_is_written(run, tmp_path):
    runner = run(Counting())
    first = runner.report()
    assert (first.epoch, first.first, first.metrics["score"]) == (1, True, 0.1)
    assert first.node == "01234567"
    assert names(tmp_path / "trials" / "0007") == [first.checkpoint] == ["checkpoint_000001"]
    rest = reports_of(runner)
    assert [(report.epoch, report.status) for report in rest] == [
        (2, None),
        (3, None),
        (3, "finished"),
    ]
    assert not any(report.first for report in rest)


def test_an_error_is_retried_from_the_checkpoint_in_the_same_process(run):
    trainable = Counting(raising(OSError("busy"), times=2))
    reports = reports_of(run(trainable))
    assert [report.epoch for report in reports] == [1, 1, 1, 2, 3, 3]
    for again in reports[1:3]:
        assert (again.retried, again.restored) == ([Retry(2, "OSError: busy")], Restored(1, []))
    assert trainable.starts == ["setup", *["discard", "setup"] * 2]


def test_an_error_that_persists_fails_the_trial_with_its_traceback(run):
    *before, failed = reports_of(run(Counting(raising(ValueError("no luck")))))
    assert (failed.status, failed.epoch, failed.reason) == ("failed", 2, "ValueError: no luck")
    assert failed.metrics == {}
    assert "raise left.pop()" in failed.traceback
    assert sum(len(report.retried) for report in before) == ERROR_RETRIES


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        (lambda result: result.update(score="high"), "failed", "score is 'high'"),
        (lambda result: result.update(epoch=-1), "failed", "epoch -1"),
        (lambda result: [1], "failed", "no dictionary"),
        (lambda result: result.update(score=math.inf), "diverged", "score is inf"),
        (lambda result: result.update(train_loss=math.nan), "diverged", "train_loss is nan"),
    ],
)
def test_a_report_that_cannot_be_used_ends_the_trial_at_once(run, change, status, reason):
    trainable = Counting(lambda epoch, result: change(result))
    (ended,) = reports_of(run(trainable))
    assert (ended.status, ended.retried) == (status, [])
    assert reason in ended.reason
    assert trainable.starts == ["setup"]


@pytest.mark.parametrize(
    ("leave", "status"),
    [
        (lambda: sys.exit(0), "finished"),
        (lambda: sys.exit("no data"), "failed"),
        (lambda: os._exit(3), "failed"),
        (lambda: next(iter([])), "failed"),
    ],
)
def test_an_exit_ends_the_trial_and_not_the_process(run, leave, status):
    *_, ended = reports_of(run(Counting(lambda epoch, result: (epoch == 3 and leave()) or None)))
    assert (ended.status, ended.retried) == (status, [])
    assert ended.epoch == (2 if status == "finished" else 3)


def test_a_thread_that_dies_fails_the_trial_that_waited_for_it(run):
    def die():
        raise OSError("no disk")

    def act(epoch, result):
        thread = threading.Thread(target=die)
        thread.start()
        thread.join()

    *_, failed = reports_of(run(Counting(act, epochs=1, saves=False)))
    assert (failed.status, failed.reason) == ("failed", "OSError: no disk")


def test_a_resumed_trial_reports_its_checkpoint_first_and_trains_no_epoch_twice(run):
    before = run(Counting(epochs=9))
    for _ in range(4):
        before.report()
    trainable = Counting(epochs=6)
    reports = reports_of(run(trainable))
    assert [report.epoch for report in reports] == [4, 5, 6, 6]
    assert reports[0].restored == Restored(4, [])
    assert reports[0].checkpoint is None
    # Tune counts the report of the checkpoint as a step.
    assert trainable.steps[0] == 0


def test_a_damaged_checkpoint_is_replaced_by_the_one_before(run, tmp_path):
    before = run(Counting())
    for _ in range(3):
        before.report()
    newest = tmp_path / "trials" / "0007" / "checkpoint_000003"
    (newest / "epoch").write_text("99")
    first = run(Counting(epochs=4)).report()
    assert first.restored is None or first.restored.unreadable == ["checkpoint_000003"]
    assert first.epoch < 3


def test_a_function_that_reads_no_checkpoint_starts_over_and_old_ones_are_removed(run, tmp_path):
    before = run(Counting(epochs=9))
    for _ in range(3):
        before.report()
    runner = run(Counting(epochs=2, reads=False))
    known, anew, *_ = reports_of(runner)
    assert (known.epoch, known.restored) == (3, None)
    assert (anew.epoch, anew.first, anew.ignored_checkpoint) == (1, True, 3)
    assert names(tmp_path / "trials" / "0007") == ["checkpoint_000002"]


def test_epochs_missing_from_the_journal_are_reported_again(run):
    lost = {"in_bucket": True, "journaled_epochs": {}}
    before = run(Counting(epochs=9), **lost)
    for _ in range(3):
        before.report()
    resumed = run(Counting(epochs=4), in_bucket=True, journaled_epochs={7: 1})
    reports = reports_of(resumed)
    assert [report.epoch for report in reports] == [2, 3, 4, 4]
    assert [report.metrics["score"] for report in reports] == [0.2, 0.3, 0.4, 0.4]


class OutOfMemoryError(RuntimeError):
    """Raise as torch does."""


def test_out_of_gpu_memory_requests_a_larger_share_and_fails_the_trial_on_a_whole_gpu(run):
    full = Counting(raising(OutOfMemoryError("CUDA out of memory")))
    *_, asks = reports_of(run(full, gpus=0.25))
    assert (asks.epoch, asks.fresh_process.cause, asks.fresh_process.gpus) == (1, "share", 0.25)
    *_, failed = reports_of(run(full, gpus=1.0))
    assert failed.status == "failed"
    assert not failed.infrastructure_failure


def test_exhausted_host_memory_that_trials_share_is_not_blamed_on_the_trial(run):
    for sequential in (True, False):
        full = Counting(raising(MemoryError()))
        *_, failed = reports_of(run(full, sequential=sequential))
        assert failed.infrastructure_failure is not sequential


def test_a_process_that_has_lost_its_gpu_is_abandoned(run):
    error = RuntimeError("CUDA error: device-side assert triggered")
    runner = run(Counting(raising(error)), gpus=1.0)
    runner.report()
    with pytest.raises(RuntimeError, match="device-side"):
        runner.report()


def test_a_failed_reset_requests_a_new_process(run):
    class Refusing(Counting):
        def reset(self):
            raise ValueError("reset_config() has returned False")

    (asks,) = reports_of(run(Refusing(), used=True))
    assert (asks.fresh_process.cause, asks.epoch) == ("reset", 0)
    assert asks.fresh_process.reason == "ValueError: reset_config() has returned False"


def test_a_trial_never_starts_on_a_node_that_is_refused(run):
    trainable = Counting()
    (asks,) = reports_of(run(trainable, admission=lambda: ["sees no storage"]))
    assert (asks.fresh_process.cause, asks.fresh_process.node) == ("node", "0123456789ab")
    assert asks.fresh_process.problems == ["sees no storage"]
    assert trainable.starts == []


def test_a_checkpoint_above_the_quota_is_reported_and_the_trial_continues(run):
    quota = Quota(total=20, per_trial=10)
    reports = reports_of(run(Counting(), quota=quota))
    assert all(isinstance(report.unsaved, Unsaved) for report in reports[:3])
    assert [report.checkpoint for report in reports] == [None] * 4
    assert reports[-1].status == "finished"


def test_a_failed_trial_reports_the_last_lines_of_its_own_log(run, tmp_path):
    (tmp_path / "log").write_text("of another trial\n")

    def act(epoch, result):
        with (tmp_path / "log").open("a") as log:
            log.write("10%\r100%\nhere\n")
        sys.exit("no data")

    (failed,) = reports_of(run(Counting(act)))
    assert failed.log.splitlines() == ["100%", "here"]


def test_a_continuing_trial_starts_from_the_other_checkpoint_and_resumes_from_its_own(
    run, tmp_path
):
    reports_of(run(Counting()))
    shutil.copytree(tmp_path / "trials" / "0007", tmp_path / "other" / "0003")
    shutil.rmtree(tmp_path / "trials" / "0007")
    origin = Origin(trial=3, checkpoints=str(tmp_path / "other" / "0003"), epoch=3)
    first = run(Counting(epochs=5), origins={7: origin})
    # The last epoch of the other one, which the study has.
    again = first.report()
    assert (again.epoch, again.first, again.restored) == (3, False, Restored(3, []))
    assert (first.report().epoch, names(tmp_path / "other" / "0003")) == (4, ["checkpoint_000003"])
    second = run(Counting(epochs=5), origins={7: origin})
    assert second.report().restored == Restored(4, [])
    assert [report.epoch for report in reports_of(second)] == [5, 5]


def test_a_trial_that_continues_another_has_the_seed_of_that_one(run, monkeypatch):
    seeds = []
    monkeypatch.setattr(Generators, "seed", lambda self, seed: seeds.append(seed))
    run(Counting()).report()
    run(Counting(), origins={7: Origin(trial=3, checkpoints="/nowhere", epoch=0)}).report()
    assert seeds == [trial_seed(0, 7), trial_seed(0, 3)]


def test_a_trial_with_a_seed_of_its_own_is_seeded_with_it(run, monkeypatch):
    seeds = []
    monkeypatch.setattr(Generators, "seed", lambda self, seed: seeds.append(seed))
    run(Counting(), own_seed=41).report()
    assert (seeds, offered_seed()) == ([41], 41)
    run(Counting()).report()
    assert offered_seed() is None


class WordlessError(Exception):
    def __str__(self):
        raise LookupError


def test_an_error_whose_message_cannot_be_read_fails_its_trial_like_any_other(run):
    (failed,) = reports_of(run(Counting(raising(WordlessError(), at=1))))
    assert failed.status == "failed"
    assert failed.reason == "WordlessError: its message cannot be read, LookupError"


def test_outputs_that_a_trainable_has_closed_fail_its_trial_like_any_other(run, monkeypatch):
    def act(epoch, result):
        for name in ("stdout", "stderr"):
            with open(os.devnull, "w") as stream:  # noqa: PTH123
                monkeypatch.setattr(sys, name, stream)
        print("closed")

    (failed,) = reports_of(run(Counting(act)))
    assert (failed.status, failed.reason) == ("failed", "ValueError: I/O operation on closed file.")
