"""Checkpoints of one trial: whole, and no more than its best and its latest."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune_jobs.runtime.checkpoints import TrialCheckpoints
from tune_jobs.runtime.places import Folder


def write(checkpoints, epoch, value):
    return checkpoints.write(
        epoch, value, {"epoch": epoch}, lambda folder: Path(folder, "state").write_text(str(epoch))
    )


def names(directory):
    return sorted(path.name for path in directory.iterdir())


@given(st.lists(st.integers(0, 5), min_size=1, max_size=12), st.sampled_from(["max", "min"]))
def test_a_running_trial_keeps_best_and_latest_and_an_ended_one_its_best(
    tmp_path_factory, values, mode
):
    directory = tmp_path_factory.mktemp("trial")
    checkpoints = TrialCheckpoints(Folder(directory), mode)
    best = max if mode == "max" else min
    for epoch, value in enumerate(values, start=1):
        write(checkpoints, epoch, value)
        best_epoch = values.index(best(values[:epoch])) + 1
        kept = {f"checkpoint_{best_epoch:06d}", f"checkpoint_{epoch:06d}"}
        assert set(names(directory)) == kept
    checkpoints.keep_best()
    assert names(directory) == [f"checkpoint_{best_epoch:06d}"]


def test_what_a_killed_write_left_is_no_checkpoint(tmp_path):
    checkpoints = TrialCheckpoints(Folder(tmp_path), "max")
    write(checkpoints, 1, 0.5)

    def killed(folder):
        Path(folder, "state").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        checkpoints.write(2, 0.6, {}, killed)
    assert checkpoints.names() == ["checkpoint_000001"]
    write(checkpoints, 2, 0.6)
    assert names(tmp_path) == ["checkpoint_000002"]


def test_a_damaged_record_is_passed_over_and_can_be_written_again(tmp_path):
    checkpoints = TrialCheckpoints(Folder(tmp_path), "max")
    write(checkpoints, 1, 0.9)
    damaged = write(checkpoints, 2, 0.5)
    (tmp_path / damaged / "result.json").write_text('{"epoch": 2')
    assert [checkpoint.epoch for checkpoint in checkpoints.newest_first()] == [1]
    assert checkpoints.names()[0] == "checkpoint_000002"
    write(checkpoints, 2, 0.5)
    assert [checkpoint.epoch for checkpoint in checkpoints.newest_first()] == [2, 1]


def test_what_a_donor_gave_is_the_latest_and_never_the_best(tmp_path):
    donor = TrialCheckpoints(Folder(tmp_path / "donor"), "max")
    donor.write(2, 0.9, {"epoch": 2}, lambda folder: Path(folder, "state").write_text("donor"))
    checkpoints = TrialCheckpoints(Folder(tmp_path / "own"), "max")
    write(checkpoints, 1, 0.1)
    write(checkpoints, 2, 0.2)
    adopted = checkpoints.adopt(donor.of_epoch(2), 3)
    assert adopted == "checkpoint_000002_from_0003"
    assert checkpoints.names()[0] == adopted
    found = checkpoints.read(adopted)
    assert (found.epoch, found.value, found.donor) == (2, 0.9, 3)
    assert (tmp_path / "own" / adopted / "state").read_text() == "donor"
    assert checkpoints.best().value == checkpoints.of_epoch(2).value == 0.2
    # With the next one of the trial's own it has served.
    write(checkpoints, 3, 0.15)
    assert names(tmp_path / "own") == ["checkpoint_000002", "checkpoint_000003"]
    assert names(tmp_path / "donor") == ["checkpoint_000002"]


def test_without_a_checkpoint_there_is_no_best(tmp_path):
    checkpoints = TrialCheckpoints(Folder(tmp_path / "never"), "max")
    assert checkpoints.best() is None
    checkpoints.keep_best()
