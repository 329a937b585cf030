"""Requirements of every store, and failures that only a bucket can have."""

import json
import tempfile
import threading
from pathlib import Path

import boto3
import pytest

from tune_cluster.storage.checkpoints import TrialCheckpoints
from tune_cluster.storage.retry import RetryPolicy, StorageRetry
from tune_cluster.storage.s3 import S3Store
from tune_cluster.storage.store import RESULT_FILE, LocalStore, Store


@pytest.fixture(params=["folder", "bucket"])
def store(request, tmp_path):
    """An empty one of each kind."""
    if request.param == "folder":
        (tmp_path / "study" / "trials").mkdir(parents=True)
        return LocalStore(tmp_path / "study" / "trials")
    return S3Store(f"{request.getfixturevalue('bucket')}/study/trials")


def put(store, name, **files):
    with tempfile.TemporaryDirectory() as folder:
        for file, text in files.items():
            path = Path(folder, file.replace("__", "/"))
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        Path(folder, RESULT_FILE).write_text(json.dumps({"files": len(files)}))
        store.put(Path(folder), name)


def files_in(store, name):
    with store.reading(name) as folder:
        paths = [path for path in folder.rglob("*") if path.is_file()]
        return {str(path.relative_to(folder)): path.read_text() for path in paths}


def test_written_files_are_read_back_with_their_folders(store):
    put(store, "one", state="weights", deep__er="more")
    assert files_in(store, "one") == {
        "state": "weights",
        "deep/er": "more",
        RESULT_FILE: '{"files": 2}',
    }
    assert json.loads(store.read(f"one/{RESULT_FILE}")) == {"files": 2}


def test_a_file_is_appended_to_and_made_with_its_folder(store):
    trial = store / "0000"
    trial.append("log.txt", b"one\n")
    trial.append("log.txt", b"two\n")
    assert trial.read("log.txt") == b"one\ntwo\n"
    assert trial.folders() == []
    assert trial.sizes() == {}


def test_a_folder_may_hold_nothing_but_its_result(store):
    put(store, "one")
    assert files_in(store, "one") == {RESULT_FILE: '{"files": 0}'}


def test_folders_are_told_in_order_and_without_those_in_stores_below(store):
    assert store.folders() == []
    for name in ("b", "a"):
        put(store / "0001", name, state=name)
    assert (store / "0001").folders() == ["a", "b"]
    assert (store / "0002").folders() == []


def test_an_address_leads_to_the_place_again(store):
    put(store / "0001", "one", state="weights")
    again = Store.at(str(store / "0001"))
    assert (type(again), again.name) == (type(store), "0001")
    assert again.folders() == ["one"]


def test_a_folder_is_replaced_whole(store):
    put(store, "one", state="old", leftover="old")
    put(store, "one", state="new")
    assert files_in(store, "one") == {"state": "new", RESULT_FILE: '{"files": 1}'}


def test_a_writer_that_fails_leaves_what_was_there_and_nothing_else(tmp_path):
    store = LocalStore(tmp_path)
    put(store, "one", state="old")
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a").write_text("half")
    (tmp_path / "source" / "unreadable").symlink_to("/proc/self/mem")
    with pytest.raises(OSError, match="error"):
        store.put(tmp_path / "source", "one")
    assert store.folders() == ["one", "source"]
    assert files_in(store, "one")["state"] == "old"
    assert not list(tmp_path.glob(".unfinished-*"))


def test_the_sizes_of_its_folders_are_those_of_their_files(store):
    assert store.sizes() == {}
    put(store, "one", state="12345", deep__er="123")
    put(store, "two")
    assert store.sizes() == {"one": 5 + 3 + len('{"files": 2}'), "two": len('{"files": 0}')}


def test_a_dropped_folder_is_gone_and_can_be_dropped_again(store):
    put(store, "one", state="weights", deep__er="more")
    put(store, "two", state="weights")
    for _ in range(2):
        store.drop("one")
        assert store.folders() == ["two"]
    store.drop("two")
    assert store.folders() == []


def test_reading_an_absent_file_raises_an_os_error(store):
    with pytest.raises(OSError, match="none"):
        store.read("none/file")
    with pytest.raises(OSError, match="none"), store.reading("none") as folder:
        (folder / "state").read_bytes()


def test_the_remains_of_killed_writers_are_swept_and_the_rest_stays(store, tmp_path):
    put(store, "whole", state="weights")
    if isinstance(store, LocalStore):
        (store.path / ".unfinished-1").mkdir()
    else:
        store.write("half/state", b"half")
    store.drop_unfinished()
    if isinstance(store, LocalStore):
        assert [path.name for path in store.path.iterdir()] == ["whole"]
    else:
        assert set(store.files()) == {"whole/state", f"whole/{RESULT_FILE}"}
    assert files_in(store, "whole")["state"] == "weights"


def save(folder):
    Path(folder, "state").write_text("weights")


def test_an_upload_that_was_cut_off_is_no_checkpoint(bucket):
    store = S3Store(f"{bucket}/study/trials/0000")
    checkpoints = TrialCheckpoints(store, "max")
    checkpoints.write(1, 0.1, {"score": 0.1}, save)
    # Its files come first, the one that makes them a checkpoint last.
    store.write("checkpoint_000002/state", b"half")
    assert checkpoints.names() == ["checkpoint_000001"]
    checkpoints.write(2, 0.2, {"score": 0.2}, save)
    assert files_in(store, "checkpoint_000002")["state"] == "weights"


def test_a_checkpoint_waits_for_a_bucket_that_is_gone_for_a_while(bucket):
    store, said = S3Store(f"{bucket}/study/trials/0000"), []
    waits = RetryPolicy(first_seconds=0.05, longest_seconds=0.1, total_seconds=60)
    checkpoints = TrialCheckpoints(store, "max", StorageRetry(store, said.append, policy=waits))
    made = boto3.resource("s3").Bucket(bucket.removeprefix("s3://"))
    made.delete()
    coming = threading.Timer(0.5, made.create)
    coming.start()
    checkpoints.write(1, 0.1, {"score": 0.1}, save)
    coming.join()
    assert checkpoints.names() == ["checkpoint_000001"]
    assert "there is no bucket of that name" in said[0]
    assert "is back after" in said[1]


def test_best_and_latest_are_kept_and_a_donor_is_copied(store):
    checkpoints = TrialCheckpoints(store / "0000", "max")

    for epoch, value in enumerate([0.3, 0.1, 0.2], start=1):
        checkpoints.write(epoch, value, {"score": value}, save)
    assert checkpoints.names() == ["checkpoint_000003", "checkpoint_000001"]
    assert checkpoints.best().epoch == 1

    other = TrialCheckpoints(store / "0001", "max")
    other.adopt(checkpoints.of_epoch(3), donor=0)
    assert [(found.epoch, found.donor) for found in other.newest_first()] == [(3, 0)]
    assert files_in(store / "0001", "checkpoint_000003_from_0000")["state"] == "weights"
