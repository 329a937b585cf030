"""A study's directory and journal, and their copy in its bucket."""

import time

import boto3
import pytest
from botocore.exceptions import ClientError

from search_spaces.objective import Objective
from search_spaces.trial_events import Suggested
from tune_cluster.storage.append_only import AppendOnlyFile, HeldFile
from tune_cluster.storage.lease import S3Lease
from tune_cluster.storage.retry import StorageRetry
from tune_cluster.storage.s3 import S3Store
from tune_cluster.storage.store import LocalStore
from tune_cluster.study.directory import download
from tune_cluster.study.journal import JOURNAL, DamagedJournalError, Journal, read_journal
from tune_cluster.study.study_file import STUDY_FILE
from tune_cluster.study.upload import (
    EVENT_FILE,
    DirectoryUpload,
    JournalUpload,
    download_journal,
)


@pytest.fixture
def store(bucket):
    return S3Store(f"{bucket}/results/study")


@pytest.fixture
def lease(store):
    """Held without the thread that renews it."""
    lease = S3Lease(store, lease_seconds=600)
    lease._acquire()
    return lease


def journal_in(directory, store, lease, uploaded=b""):
    """The open journal, beside the file of a study, and its upload."""
    (directory / STUDY_FILE).write_text("{}")
    upload = JournalUpload(store, lease, directory / JOURNAL, uploaded)
    held = HeldFile(directory / JOURNAL, create=not uploaded, upload=upload)
    retry = StorageRetry(LocalStore(directory))
    return AppendOnlyFile(directory / JOURNAL, retry, held=held), upload


@pytest.fixture
def journal(tmp_path, store, lease):
    journal, upload = journal_in(tmp_path, store, lease)
    journal.upload = upload
    yield journal
    journal.close()


def add(journal, *lines):
    journal.write("".join(f"{line}\n" for line in lines).encode())
    journal.flush()


def in_bucket(store):
    return download_journal(store, store.files())


def pieces(store):
    return sorted(name for name in store.files() if name.startswith("journal"))


def write(directory, **files):
    for name, text in files.items():
        path = directory / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def wait_for(what):
    deadline = time.monotonic() + 30
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_flush_is_in_the_bucket_before_it_returns(store, journal):
    add(journal, "1")
    assert in_bucket(store) == b"1\n"
    add(journal, "2", "3")
    assert in_bucket(store) == b"1\n2\n3\n"
    assert pieces(store) == ["journal/000001.jsonl", "journal/000002.jsonl"]


def test_before_the_first_line_the_bucket_has_the_file_of_the_study(store, journal):
    assert STUDY_FILE not in store.files()
    add(journal, "1")
    assert store.read(STUDY_FILE) == b"{}"


def test_the_pieces_become_one_object_and_more_follow_it(tmp_path, store, lease, journal):
    add(journal, "1")
    add(journal, "2")
    journal.upload.compact(0)
    assert pieces(store) == [JOURNAL]
    add(journal, "3")
    assert pieces(store) == [JOURNAL, "journal/000003.jsonl"]
    assert in_bucket(store) == b"1\n2\n3\n"
    journal.close()
    again, upload = journal_in(tmp_path, store, lease, in_bucket(store))
    add(again, "4")
    upload.compact(0)
    again.close()
    assert pieces(store) == [JOURNAL]
    assert store.read(JOURNAL) == b"1\n2\n3\n4\n"


def test_pieces_that_are_in_the_one_object_too_count_once(store, journal):
    for line in "123":
        add(journal, line)
    store.write(JOURNAL, b"1\n2\n")
    assert in_bucket(store) == b"1\n2\n3\n"
    store.write(JOURNAL, b"1\n2\n3\n4\n")
    assert in_bucket(store) == b"1\n2\n3\n4\n"


def test_a_piece_that_is_missing_is_damage_and_not_the_end(tmp_path, store, lease):
    (tmp_path / STUDY_FILE).write_text("{}")
    upload = JournalUpload(store, lease, tmp_path / JOURNAL, b"")
    written = Journal(
        tmp_path / JOURNAL, held=HeldFile(tmp_path / JOURNAL, create=True, upload=upload)
    )
    for index in range(4):
        written.append(Suggested(trial=index, config={}))
    written.close()
    store.delete("journal/000002.jsonl")
    download(store, tmp_path / "copy")
    with pytest.raises(DamagedJournalError, match="line 2"):
        read_journal(tmp_path / "copy" / JOURNAL, Objective("score", "max"))


def test_a_journal_that_was_uploaded_whole_goes_on_with_pieces(tmp_path, store, lease):
    # As an earlier version has left it.
    store.write(STUDY_FILE, b"{}")
    store.write(JOURNAL, b"1\n2\n")
    uploaded = download(store, tmp_path / "copy")
    journal, _ = journal_in(tmp_path / "copy", store, lease, uploaded)
    add(journal, "3")
    journal.close()
    assert pieces(store) == [JOURNAL, "journal/000003.jsonl"]
    assert (tmp_path / "copy" / JOURNAL).read_bytes() == in_bucket(store) == b"1\n2\n3\n"


def test_journal_lines_that_only_this_machine_has_are_uploaded_with_the_next_flush(
    tmp_path, store, lease
):
    (tmp_path / JOURNAL).write_bytes(b"1\n2\n3\n")
    journal, _ = journal_in(tmp_path, store, lease, b"1\n")
    add(journal, "4")
    journal.close()
    assert store.read("journal/000002.jsonl") == b"2\n3\n4\n"


def test_a_flush_whose_answer_was_lost_is_there_once(store, journal, monkeypatch):
    write_if, lost = store.write_if, []

    def lose_answer(*arguments):
        etag = write_if(*arguments)
        if not lost:
            lost.append(etag)
            raise OSError("the connection was reset")
        return etag

    monkeypatch.setattr(store, "write_if", lose_answer)
    add(journal, "1")
    add(journal, "2")
    journal.upload.flush()
    assert in_bucket(store) == b"1\n2\n"
    assert pieces(store) == ["journal/000001.jsonl", "journal/000002.jsonl"]


def test_a_driver_that_was_cut_off_adds_nothing_to_the_journal_of_who_took_over(
    tmp_path, store, journal, lease
):
    add(journal, "1")
    # Another machine has taken it over, while this one still takes its lease for valid.
    other = S3Lease(store)
    other._write(store.read_tagged("driver.json")[1])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / JOURNAL).write_bytes(b"1\n")
    theirs, _ = journal_in(tmp_path / "other", store, other, b"1\n")
    add(theirs, "theirs")
    noted = []
    lease.on_lost(noted.append)
    add(journal, "ours")
    add(journal, "and more")
    assert in_bucket(store) == b"1\ntheirs\n"
    assert noted == [lease.lost]
    assert "has taken over the study" in lease.lost
    theirs.close()


@pytest.fixture
def upload(tmp_path, store, lease, journal):
    return DirectoryUpload(tmp_path, store, lease, journal.upload)


def test_all_files_but_hidden_ones_are_uploaded(tmp_path, store, upload):
    write(tmp_path, trials__0001__events="e", best__state="s", **{".study.json-12": "half"})
    write(tmp_path / ".tune", experiment="pickles")
    upload.upload()
    assert set(store.files()) == {"driver.json", STUDY_FILE, "trials/0001/events", "best/state"}


def test_only_what_has_changed_is_uploaded_again_and_what_is_gone_is_deleted(
    tmp_path, store, upload
):
    write(tmp_path, stays="s", goes="g", grows="1")
    upload.upload()
    # If this copy were lost here, the other driver would still see it.
    store.delete("stays")
    write(tmp_path, grows="12")
    (tmp_path / "goes").unlink()
    upload.upload()
    assert set(store.files()) == {"driver.json", STUDY_FILE, "grows"}
    assert store.read("grows") == b"12"


def test_a_file_uploaded_by_an_earlier_session_and_removed_by_this_one_is_deleted(
    tmp_path, store, lease, journal
):
    write(tmp_path, goes="g", stays="s")
    store.write("goes", b"g")
    store.write("of_nobody_here", b"o")
    with DirectoryUpload(tmp_path, store, lease, journal.upload, period_seconds=600):
        (tmp_path / "goes").unlink()
    assert set(store.files()) == {"driver.json", STUDY_FILE, "stays", "of_nobody_here"}


def test_the_bucket_never_has_a_curve_that_its_journal_does_not_know(
    tmp_path, store, journal, upload, monkeypatch
):
    events = f"trials__0000__{EVENT_FILE}"
    add(journal, "epoch 1")
    write(tmp_path, **{events: "1"})
    flush = journal.upload.flush

    def slowly():
        # An epoch ends between.
        flush()
        if not (tmp_path / "ended").exists():
            (tmp_path / "ended").touch()
            add(journal, "epoch 2")
            write(tmp_path, **{events: "12"})

    monkeypatch.setattr(journal.upload, "flush", slowly)
    upload.upload()
    assert store.read(events.replace("__", "/")) == b"1"
    upload.upload()
    assert in_bucket(store) == b"epoch 1\nepoch 2\n"
    assert store.read(events.replace("__", "/")) == b"12"


def delete(bucket):
    """Delete a bucket to which another thread may write meanwhile."""
    while True:
        bucket.objects.all().delete()
        try:
            bucket.delete()
        except ClientError as error:
            if error.response["Error"]["Code"] != "BucketNotEmpty":
                raise
        else:
            return


def test_a_bucket_that_is_gone_for_a_while_is_told_once_and_caught_up_with(
    tmp_path, store, lease, journal, capsys
):
    objects = boto3.resource("s3").Bucket("studies")
    with DirectoryUpload(tmp_path, store, lease, journal.upload, period_seconds=0.05):
        add(journal, "1")
        delete(objects)
        add(journal, "2")
        write(tmp_path, curve="c")
        said = []

        def is_said(words):
            said.append(capsys.readouterr().err)
            return words in "".join(said)

        wait_for(lambda: is_said("there is no bucket"))
        add(journal, "3")
        time.sleep(0.3)
        objects.create()
        wait_for(lambda: is_said("is back after"))
        add(journal, "4")
        assert pieces(store) == ["journal/000002.jsonl", "journal/000004.jsonl"]
    assert "".join(said).count("there is no bucket") == 1
    assert f"New files are kept in {tmp_path}" in "".join(said)
    # It is one object at the end, and whole.
    assert store.read(JOURNAL) == b"1\n2\n3\n4\n"
    assert set(store.files()) == {JOURNAL, STUDY_FILE, "curve"}


def test_nothing_is_uploaded_once_another_driver_has_the_study(tmp_path, store, lease, journal):
    lease._write(store.read_tagged("driver.json")[1])
    S3Lease(store)._write(store.read_tagged("driver.json")[1])
    lease._renew()
    write(tmp_path, mine="mine")
    with DirectoryUpload(tmp_path, store, lease, journal.upload, period_seconds=0.01):
        add(journal, "mine")
        time.sleep(0.1)
    assert set(store.files()) == {"driver.json"}
