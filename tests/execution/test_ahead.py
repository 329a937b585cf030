"""A journal that has lost its last lines, beside checkpoints that are whole."""

from pathlib import Path

from tests.in_process import names
from tests.journals import trial_of as made_up_trial
from tune_cluster.execution.ahead import drop_ahead
from tune_cluster.storage.checkpoints import TrialCheckpoints
from tune_cluster.storage.retry import StorageRetry
from tune_cluster.storage.store import LocalStore


def save(folder):
    Path(folder, "state").touch()


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


def test_what_the_journal_knows_and_the_next_report_stay(tmp_path):
    saved = [(1, 1), (2, 2)]
    whole = ["checkpoint_000001", "checkpoint_000002"]
    assert left_of(tmp_path, trial_of([1, 2], "finished"), saved) == whole
    assert left_of(tmp_path, trial_of([1]), saved) == whole


def test_the_next_report_may_be_ten_epochs_on(tmp_path):
    assert left_of(tmp_path, trial_of([10]), [(20, 2)]) == ["checkpoint_000020"]


def test_what_is_further_ahead_is_dropped_and_told(tmp_path, capsys):
    assert left_of(tmp_path, trial_of([1]), [(1, 1), (4, 4)]) == ["checkpoint_000001"]
    assert "trial 0 has a checkpoint of epoch 4" in capsys.readouterr().err


def test_a_trial_that_has_ended_has_no_later_ones(tmp_path):
    stopped = trial_of([1], "stopped")
    assert left_of(tmp_path, stopped, [(1, 1), (2, 2)]) == ["checkpoint_000001"]


def test_of_a_trial_that_the_journal_does_not_know_there_are_none(tmp_path):
    assert left_of(tmp_path, None, [(1, 1)]) == []
