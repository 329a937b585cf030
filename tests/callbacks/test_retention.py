"""Retention of checkpoints: decisions from a journal, and studies on a real Ray."""

import os
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from search_spaces.schedulers.asha import ASHA
from search_spaces.schedulers.base import StudyScheduler
from tests.execution.test_audit import toy
from tests.in_process import names
from tests.journals import Happens, event_of
from tests.journals import trial_of as made_up_trial
from tests.search_spaces.conftest import study_of
from tune_cluster.callbacks.retention import Retention, drop_ahead
from tune_cluster.storage.checkpoints import TrialCheckpoints
from tune_cluster.storage.inside import bytes_in
from tune_cluster.storage.retry import StorageRetry
from tune_cluster.storage.store import LocalStore
from tune_cluster.study.events import Closed, Session

SIZE = 1000


def save(folder):
    Path(folder, "state").write_bytes(bytes(SIZE))


class Told:
    """A study by its journal, with its checkpoints; `begin` starts a session."""

    def __init__(self, folder, *, rule=None, keep_best=2, quota=None, total=6, audit=0.0):
        self.store = LocalStore(folder)
        self.study = Happens()
        self.trials = self.study.trials
        self.scheduler = StudyScheduler()
        if rule is not None:
            self.scheduler = ASHA(max_epochs=9, grace_period=1, rung_rule=rule, audit=audit)
            study_of(scheduler=self.scheduler).check()
        self.options = {"keep_best": keep_best, "total": total, "quota": quota}
        self.begin()

    def begin(self):
        self.emitted = []
        self.retention = Retention(
            self.study.state,
            self.store,
            scheduler=self.scheduler,
            in_bucket=False,
            retry=StorageRetry(self.store),
            emit=self.emitted.append,
            **self.options,
        )
        self.study.listeners[:] = [self.retention]
        self.study.tell(Session())

    def tell(self, index, kind, **rest):
        event = event_of(kind, index, **rest)
        self.scheduler.on_event(event, replay=True)
        self.study.tell(event)

    def run(self, index, values, status=None, **rest):
        """A trial's epochs with these values, each with a checkpoint, and its end."""
        if index not in self.trials:
            self.study.suggest(index)
        first = self.trials[index].epochs + 1
        for epoch, value in enumerate(values, start=first):
            self.checkpoints(index).write(epoch, value, {}, save)
            self.tell(index, "result", epoch=epoch, metrics={"score": value})
        if status is not None:
            self.tell(index, "ended", status=status, epoch=self.trials[index].epochs, **rest)

    def checkpoints(self, index):
        return TrialCheckpoints(self.store / f"{index:04d}", "max")

    def left(self):
        """Return the epochs of the stored checkpoints, by trial."""
        self.retention._wait()
        found = {
            i: sorted(c.epoch for c in self.checkpoints(i).newest_first()) for i in self.trials
        }
        return {index: epochs for index, epochs in found.items() if epochs}


def test_the_best_trials_keep_their_best_and_the_others_nothing(tmp_path):
    study = Told(tmp_path)
    study.run(0, [0.1, 0.5, 0.3], "finished")
    assert study.left() == {0: [2]}
    study.run(1, [0.4, 0.2], "diverged")
    assert study.left() == {0: [2], 1: [1]}
    study.run(2, [0.3, 0.1], "finished")
    assert study.left() == {0: [2], 1: [1]}
    # A running trial counts among the best at once, and keeps its best and its latest.
    study.run(3, [0.45, 0.2])
    assert study.left() == {0: [2], 3: [1, 2]}
    study.tell(3, "ended", status="failed", epoch=3)
    assert study.left() == {0: [2], 3: [1]}


def test_of_equals_the_first_is_among_the_best(tmp_path):
    study = Told(tmp_path, keep_best=1)
    study.run(1, [0.5], "finished")
    study.run(0, [0.5], "finished")
    assert study.left() == {0: [1]}


def test_without_a_number_all_keep_their_best(tmp_path):
    study = Told(tmp_path, keep_best=None)
    for index in range(4):
        study.run(index, [index, 0.0], "finished")
    assert study.left() == {index: [1] for index in range(4)}


def test_a_trial_that_may_be_promoted_keeps_its_latest_checkpoint(tmp_path):
    study = Told(tmp_path, rule="promotion", keep_best=1, total=3)
    study.run(0, [0.5], "stopped", rung=1)
    study.run(1, [0.6], "stopped", rung=1)
    study.run(2, [0.9], "stopped", rung=1)
    assert study.left() == {0: [1], 1: [1], 2: [1]}
    study.tell(2, "promoted", rung=1, value=0.9, rank=1, of=3)
    study.run(2, [0.2, 0.1])
    assert study.left()[2] == [1, 3]
    study.tell(2, "ended", status="stopped", epoch=3, rung=3)
    assert study.left() == {0: [1], 1: [1], 2: [1, 3]}


def test_by_a_rule_that_stops_for_good_nobody_keeps_its_latest(tmp_path):
    study = Told(tmp_path, rule="top", keep_best=1)
    study.run(0, [0.5], "stopped", rung=1)
    study.run(1, [0.6, 0.1, 0.2], "stopped", rung=3)
    assert study.left() == {1: [1]}


def test_a_stopped_trial_that_the_scheduler_keeps_has_its_latest_for_another_study(tmp_path):
    study = Told(tmp_path, rule="top", keep_best=1, audit=1.0)
    study.run(0, [0.9, 0.8], "finished")
    study.run(1, [0.5, 0.4, 0.3], "stopped", rung=3)
    study.run(2, [0.5, 0.4, 0.3], "failed")
    assert study.left() == {0: [1], 1: [3]}
    study.begin()
    assert study.left() == {0: [1], 1: [3]}


@pytest.mark.parametrize(("room", "left"), [(1, {0: [1]}), (2, {0: [1], 2: [3]})])
def test_a_quota_is_spent_on_those_before_other_leaders(tmp_path, room, left):
    study = Told(tmp_path, rule="top", audit=1.0, quota=quota_of(room))
    study.run(0, [0.9], "finished")
    study.run(1, [0.8], "finished")
    study.run(2, [0.5, 0.4, 0.3], "stopped", rung=3)
    assert study.left() == left


def test_checkpoints_that_a_killed_session_left_are_deleted_by_the_next_one(tmp_path):
    study = Told(tmp_path, keep_best=1)
    study.run(0, [0.9, 0.1], "finished")
    study.run(1, [0.5, 0.6, 0.3])
    study.left()
    # Killed after the journal's line and before anything was deleted, or within a write.
    study.study.listeners.clear()
    study.tell(1, "ended", status="finished", epoch=3)
    study.checkpoints(0).write(2, 0.1, {}, save)
    (tmp_path / "0001" / ".unfinished-7").mkdir()
    study.begin()
    assert study.left() == {0: [1]}
    assert list((tmp_path / "0001").iterdir()) == []


def test_an_unreadable_checkpoint_stays_while_its_trial_may_need_it(tmp_path):
    study = Told(tmp_path, rule="promotion", keep_best=1)
    study.run(0, [0.9, 0.1])
    study.run(1, [0.8, 0.1])
    for index in (0, 1):
        (tmp_path / f"000{index}" / "checkpoint_000002" / "result.json").write_text("{")
    study.tell(0, "ended", status="stopped", epoch=2, rung=1)
    study.tell(1, "ended", status="failed", epoch=2)
    study.study.tell(Closed(why="all trials"))
    assert study.checkpoints(0).names() == ["checkpoint_000002", "checkpoint_000001"]
    assert study.checkpoints(1).names() == []


def quota_of(checkpoints):
    """Return a quota with room for `count` checkpoints of ended trials."""
    one = SIZE + 150
    return SimpleNamespace(ended=checkpoints * one, per_trial=3 * one)


@pytest.mark.parametrize(
    ("room", "left"),
    [
        # Of ten trials at most three are promoted from the first rung. Three have come in front of
        # trial 2, which only a study that grows will promote.
        (7, {0: [1], 1: [1], 2: [1], 3: [1], 4: [1], 5: [1, 3]}),
        (5, {0: [1], 1: [1], 2: [1], 5: [1, 3]}),
        (4, {0: [1], 1: [1], 5: [1, 3]}),
        (3, {0: [1], 5: [1, 3]}),
        (2, {5: [1, 3]}),
        (1, {5: [1]}),
    ],
)
def test_a_quota_is_spent_on_what_would_be_the_greatest_loss(tmp_path, room, left):
    quota = quota_of(room)
    study = Told(tmp_path, rule="promotion", keep_best=2, total=10, quota=quota)
    for index in range(5):
        study.run(index, [0.1 * (5 - index)], "stopped", rung=1)
    study.run(5, [0.95, 0.3, 0.2], "stopped", rung=3)
    assert study.left() == left
    assert sum(bytes_in(path) for path in tmp_path.iterdir()) <= quota.ended


def test_a_winner_that_no_quota_has_room_for_is_told(tmp_path):
    study = Told(tmp_path, quota=SimpleNamespace(ended=SIZE, per_trial=3 * SIZE))
    study.run(0, [0.5], "finished")
    (event,) = study.emitted
    assert (event.name, event.trial, event.allowed) == ("unkept", 0, SIZE)
    assert event.needed > SIZE
    assert "1.0 kB that --checkpoint-budget leaves" in event.line("score")
    assert study.left() == {}
    # The next one is no better, and the line is printed only once.
    study.run(1, [0.4], "finished")
    assert len(study.emitted) == 1


def test_a_slow_storage_holds_nobody_up(tmp_path):
    begun, go_on = threading.Event(), threading.Event()

    class Slow(LocalStore):
        def __truediv__(self, name):
            return Slow(self.path / name)

        def drop(self, name):
            begun.set()
            assert go_on.wait(30)
            super().drop(name)

    study = Told(tmp_path, keep_best=1)
    study.retention._checkpoints = Slow(tmp_path)
    study.run(0, [0.9], "finished")
    study.run(1, [0.5], "finished")
    # The event has been taken in, and its checkpoint is still there.
    assert begun.wait(30)
    assert study.checkpoints(1).names() == ["checkpoint_000001"]
    go_on.set()
    assert study.left() == {0: [1]}


def checkpoint_bytes(trials):
    """Return the bytes of all checkpoints at this moment, including those being written or deleted;
    0 if one appeared or vanished during the count."""

    def folders():
        prefixes = ("checkpoint_", ".unfinished-")
        return {folder for folder in trials.glob("*/*") if folder.name.startswith(prefixes)}

    before = folders()
    total = sum(map(bytes_in, before))
    return total if folders() == before else 0


@pytest.mark.slow
@pytest.mark.parametrize("max_concurrent", [pytest.param(1, marks=pytest.mark.long), 2])
def test_a_tight_quota_is_held_at_every_moment_of_a_study(run_study, tmp_path, max_concurrent):
    # Large enough to be seen while it is written.
    size = 200_000

    class Heavy(toy()):  # type: ignore[misc]
        def save_checkpoint(self, checkpoint_dir):
            super().save_checkpoint(checkpoint_dir)
            Path(checkpoint_dir, "ballast").write_bytes(os.urandom(size))

    total = (3 * max_concurrent + 2) * (size + 1000)
    trials_dir, samples, over = tmp_path / "study" / "trials", [0], threading.Event()

    def sample():
        while not over.wait(0.001):
            samples.append(checkpoint_bytes(trials_dir))

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        code, trials, study = run_study(
            Heavy, trials=14, max_concurrent=max_concurrent, checkpoint_budget=f"{total}B"
        )
    finally:
        over.set()
        sampler.join()
    assert code == 0
    assert 2 * size < max(samples) <= total
    assert sum(map(bool, samples)) > 100
    assert all(trial.ended for trial in trials.values())
    best = max(trials.values(), key=lambda trial: trial.best.value)
    assert (study.directory / "best" / "epoch").read_text() == str(best.best.epoch)
    if max_concurrent == 1:
        _, unlimited, _ = run_study(Heavy, trials=14, max_concurrent=1, name="unlimited")
        assert {i: t.results for i, t in trials.items()} == {
            i: t.results for i, t in unlimited.items()
        }


def left_of(folder, trial, saved):
    """The checkpoints that are left of those saved, pairs of an epoch and its number."""
    store = LocalStore(folder)
    checkpoints = TrialCheckpoints(store / "0000", "max")
    for epoch, number in saved:
        checkpoints.write(epoch, float(-epoch), {}, save, iteration=number)
    drop_ahead(store, {} if trial is None else {0: trial}, "max", StorageRetry(store))
    return names(folder / "0000")


def trial_of(epochs, status="running"):
    return made_up_trial(results={epoch: {"m": 0.5} for epoch in epochs}, status=status)


def test_checkpoints_of_reported_epochs_and_of_the_next_one_stay(tmp_path):
    saved = [(1, 1), (2, 2)]
    whole = ["checkpoint_000001", "checkpoint_000002"]
    assert left_of(tmp_path, trial_of([1, 2], "finished"), saved) == whole
    assert left_of(tmp_path, trial_of([1]), saved) == whole


def test_the_next_report_may_be_ten_epochs_on(tmp_path):
    assert left_of(tmp_path, trial_of([10]), [(20, 2)]) == ["checkpoint_000020"]


def test_a_checkpoint_beyond_the_next_report_is_dropped_with_a_line(tmp_path, capsys):
    assert left_of(tmp_path, trial_of([1]), [(1, 1), (4, 4)]) == ["checkpoint_000001"]
    assert "trial 0 has a checkpoint of epoch 4" in capsys.readouterr().err


def test_a_trial_that_has_ended_has_no_later_ones(tmp_path):
    stopped = trial_of([1], "stopped")
    assert left_of(tmp_path, stopped, [(1, 1), (2, 2)]) == ["checkpoint_000001"]


def test_of_a_trial_that_the_journal_does_not_know_there_are_none(tmp_path):
    assert left_of(tmp_path, None, [(1, 1)]) == []
