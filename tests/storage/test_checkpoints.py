"""Checkpoints of one trial: whole, and no more than its best and its latest."""

import errno
import json
import math
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.mounts import mounted
from tune_cluster.storage.checkpoints import TRIAL_FILES, NoRoomError, TrialCheckpoints, read_record
from tune_cluster.storage.retry import RetryPolicy, StorageLostError, StorageRetry
from tune_cluster.storage.store import LocalStore


def write(checkpoints, epoch, value):
    return checkpoints.write(
        epoch, value, {"epoch": epoch}, lambda folder: Path(folder, "state").write_text(str(epoch))
    )


def names(directory):
    return sorted(path.name for path in directory.iterdir())


@given(st.lists(st.integers(0, 5), min_size=1, max_size=12), st.sampled_from(["max", "min"]))
def test_a_running_trial_keeps_best_and_latest(tmp_path_factory, values, mode):
    directory = tmp_path_factory.mktemp("trial")
    checkpoints = TrialCheckpoints(LocalStore(directory), mode)
    best = max if mode == "max" else min
    for epoch, value in enumerate(values, start=1):
        write(checkpoints, epoch, value)
        best_epoch = values.index(best(values[:epoch])) + 1
        kept = {f"checkpoint_{best_epoch:06d}", f"checkpoint_{epoch:06d}"}
        assert set(names(directory)) == kept


@pytest.mark.parametrize("name", ["epoch", "value", "iteration", "time_total"])
def test_a_record_without_a_finite_number_is_damaged(name):
    record = {
        "epoch": 1,
        "value": 0.5,
        "result": {"other": math.nan},
        "past": [{"other": math.inf}],
    }
    assert read_record(json.dumps(record).encode())["epoch"] == 1
    with pytest.raises(ValueError, match=f"{name} is nan"):
        read_record(json.dumps({**record, name: math.nan}).encode())


def test_the_remains_of_a_killed_write_are_not_a_checkpoint(tmp_path):
    checkpoints = TrialCheckpoints(LocalStore(tmp_path), "max")
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
    checkpoints = TrialCheckpoints(LocalStore(tmp_path), "max")
    write(checkpoints, 1, 0.9)
    damaged = write(checkpoints, 2, 0.5)
    (tmp_path / damaged / "result.json").write_text('{"epoch": 2')
    assert [checkpoint.epoch for checkpoint in checkpoints.newest_first()] == [1]
    assert checkpoints.names()[0] == "checkpoint_000002"
    write(checkpoints, 2, 0.5)
    assert [checkpoint.epoch for checkpoint in checkpoints.newest_first()] == [2, 1]


def test_an_adopted_checkpoint_is_the_latest_and_never_the_best(tmp_path):
    donor = TrialCheckpoints(LocalStore(tmp_path / "donor"), "max")
    donor.write(2, 0.9, {"epoch": 2}, lambda folder: Path(folder, "state").write_text("donor"))
    checkpoints = TrialCheckpoints(LocalStore(tmp_path / "own"), "max")
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
    checkpoints = TrialCheckpoints(LocalStore(tmp_path / "never"), "max")
    assert checkpoints.best() is None


def write_sized(checkpoints, epoch, value, size=1000):
    return checkpoints.write(
        epoch,
        value,
        {"epoch": epoch},
        lambda folder: Path(folder, "state").write_bytes(bytes(size)),
    )


class Watched(LocalStore):
    """Checkpoints of 1,000 bytes and a record, and the largest total at any time."""

    def __init__(self, path):
        super().__init__(path)
        self.most = 0

    def put(self, source, name):
        # The new one is written beside the existing ones.
        super().put(source, name)
        self.most = max(self.most, sum(self.sizes().values()))


@pytest.fixture
def watched(tmp_path):
    return Watched(tmp_path)


def test_a_trials_own_files_do_not_count_against_the_allowance(tmp_path):
    store = LocalStore(tmp_path / "0000", tmp_path)
    files = tmp_path / "0000" / TRIAL_FILES
    files.mkdir(parents=True)
    (files / "model.pt").write_bytes(bytes(10_000))
    (tmp_path / "0000" / "log.txt").write_bytes(bytes(10_000))
    checkpoints = TrialCheckpoints(store, "max", allowance=5_000)
    for epoch in (1, 2, 3):
        checkpoints.write(epoch, float(epoch), {}, lambda folder: None)
    assert checkpoints.names() == ["checkpoint_000003"]
    assert (files / "model.pt").stat().st_size == 10_000


@pytest.mark.parametrize(
    ("allowed", "kept_after_each"),
    [
        (3.5, [[1], [1, 2], [1, 3], [4], [4, 5]]),
        # The latest goes before the next one is written.
        (2.5, [[1], [1, 2], [1, 3], [4], [4, 5]]),
        # Only a better one is written, in the place of the best.
        (1.5, [[1], [1], [1], [4], [4]]),
        (0.5, [[], [], [], [], []]),
    ],
)
def test_an_allowance_is_held_while_a_checkpoint_is_written(watched, allowed, kept_after_each):
    one = 1150
    checkpoints = TrialCheckpoints(watched, "max", allowance=int(allowed * one))
    for epoch, value in enumerate([0.5, 0.3, 0.4, 0.9, 0.1], start=1):
        with suppress(NoRoomError):
            write_sized(checkpoints, epoch, value)
        kept = sorted(found.epoch for found in checkpoints.newest_first())
        assert kept == kept_after_each[epoch - 1]
    assert watched.most <= int(allowed * one)
    assert all(1000 < size < one for size in watched.sizes().values())


def test_a_checkpoint_above_the_allowance_raises_with_the_bytes_it_needs(watched):
    checkpoints = TrialCheckpoints(watched, "max", allowance=900)
    with pytest.raises(NoRoomError, match="bytes are needed, and 900 allowed") as caught:
        write_sized(checkpoints, 1, 0.5)
    assert 1000 < caught.value.needed < 1150
    assert watched.sizes() == {}


def test_torch_says_of_a_full_disk_only_that_it_failed_and_it_is_known_all_the_same(
    tmp_path, monkeypatch
):
    with mounted(tmp_path / "disk", size="64k") as disk:
        monkeypatch.setattr(tempfile, "tempdir", str(disk))
        lines = []

        def say(line):
            lines.append(line)

        def save(folder):
            try:
                Path(folder, "state").write_bytes(bytes(100_000))
            except OSError:
                raise RuntimeError("[enforce fail at inline_container.cc]") from None

        (tmp_path / "trial").mkdir()
        retry = StorageRetry(LocalStore(tmp_path), say, policy=RetryPolicy(0.01, 0.01, 0.05))
        checkpoints = TrialCheckpoints(LocalStore(tmp_path / "trial"), "max", retry)
        with pytest.raises(StorageLostError, match="no space left") as caught:
            checkpoints.write(1, 0.5, {}, save)
        assert f"no space left on device on {disk};" in lines[0], "the node's own, not the study's"
        assert str(disk) in str(caught.value)
        assert list(disk.rglob("state")) == []


def test_writing_a_checkpoint_waits_while_the_nodes_own_disk_is_full(tmp_path, monkeypatch):
    with mounted(tmp_path / "disk", size="1m") as disk:
        monkeypatch.setattr(tempfile, "tempdir", str(disk))
        filler = disk / "filler"
        lines = []

        def free_some(line):
            lines.append(line)
            filler.unlink(missing_ok=True)

        def save(folder):
            Path(folder, "state").write_text("saved")
            with suppress(OSError), filler.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))

        (tmp_path / "trial").mkdir()
        retry = StorageRetry(LocalStore(tmp_path), free_some, policy=RetryPolicy(0.01, 0.01, 5))
        checkpoints = TrialCheckpoints(LocalStore(tmp_path / "trial"), "max", retry)
        name = checkpoints.write(1, 0.5, {"epoch": 1}, save)
        assert f"no space left on device on {disk};" in lines[0]
        assert f"storage: {disk} is back after" in lines[1]
        with checkpoints.read(name).whole() as folder:
            assert (folder / "state").read_text() == "saved"


@pytest.fixture
def away(tmp_path):
    """Two checkpoints on storage that is away, until that is reported."""
    store = LocalStore(tmp_path / "trials")
    store.path.mkdir()

    def back(line):
        if not store.path.exists():
            store.path.with_name("elsewhere").rename(store.path)

    retry = StorageRetry(store, back, policy=RetryPolicy(0.01, 0.01, 5))
    checkpoints = TrialCheckpoints(Watched(store.path / "0000"), "max", retry, allowance=3_000)
    write_sized(checkpoints, 1, 0.5)
    write_sized(checkpoints, 2, 0.4)
    return checkpoints


def test_a_checkpoint_behind_an_outage_is_not_taken_for_damaged(away):
    read = away.store.read

    def lost(path):
        raise StorageLostError(errno.EIO, "it did not come back", path)

    away.store.read = lost
    with pytest.raises(StorageLostError):
        away.newest_first()
    away.store.read = read
    assert [found.epoch for found in away.newest_first()] == [2, 1]


def test_an_allowance_is_held_where_the_storage_was_away_at_first(away):
    trials = away.store.path.parent
    trials.rename(trials.with_name("elsewhere"))
    write_sized(away, 3, 0.3)
    assert away.store.most <= 3_000
    assert [found.epoch for found in away.newest_first()] == [3, 1]
