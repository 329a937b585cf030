"""The journal: whole lines, one writer, and none that is damaged unseen."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.trial_events import Suggested
from tests.journals import read_events
from tests.mounts import mounted
from tune_cluster.storage.retry import RetryPolicy, StorageLostError, StorageRetry
from tune_cluster.storage.store import LocalStore
from tune_cluster.study.events import Closed, Session, Share, SlotsChanged
from tune_cluster.study.journal import Journal


def closed(why):
    return Closed(why=why)


def whys(path):
    return [event["why"] for event in read_events(path)]


def test_events_come_back_in_order_with_their_time(tmp_path):
    journal = Journal(tmp_path / "j")
    journal.append(Session(), SlotsChanged(trials=1))
    journal.append(closed("c"))
    journal.close()
    events = read_events(tmp_path / "j")
    assert [event["event"] for event in events] == ["session", "width", "closed"]
    assert all(event["time"] > 1.7e9 for event in events)


@given(cut=st.integers(1, 40))
def test_a_torn_last_line_is_left_out_and_what_follows_starts_on_its_own(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("journal") / "j"
    journal = Journal(path)
    journal.append(closed("whole"), closed("torn"))
    journal.close()
    path.write_bytes(path.read_bytes()[:-cut])
    assert whys(path) == ["whole"]
    journal = Journal(path)
    journal.append(closed("next"))
    journal.close()
    assert whys(path) == ["whole", "next"]


def test_a_second_process_cannot_have_the_study(tmp_path):
    journal = Journal(tmp_path / "j")
    with pytest.raises(ValueError, match="another process is running the study"):
        Journal(tmp_path / "j")
    journal.close()
    Journal(tmp_path / "j").close()


def test_storage_that_does_not_come_back_ends_the_journal_and_is_told_once(tmp_path):
    with mounted(tmp_path / "disk", size="64k") as disk:
        noted = []
        retry = StorageRetry(LocalStore(disk), noted.append, policy=RetryPolicy(0.01, 0.02, 0.1))
        journal = Journal(disk / "j", retry, on_lost=noted.append)
        journal.append(closed("written"))
        # More than is free, and more than this file system gives at a time.
        journal.append(closed("x" * 100_000))
        line, lost = noted
        assert line.startswith("storage: no space left on device")
        assert isinstance(lost, StorageLostError)
        assert journal.lost is lost
        # There would be space for it, but an earlier piece is missing.
        journal.append(closed("later"))
        assert noted == [line, lost]
        with pytest.raises(StorageLostError, match="no space left"):
            journal.end("storage")
        assert whys(disk / "j") == ["written"]


def test_a_damaged_line_in_the_middle_is_an_error_with_its_number(tmp_path):
    (tmp_path / "j").write_text('{"event": "session"}\nrubbish\n{"event": "session"}\n')
    with pytest.raises(ValueError, match="j: line 2: not JSON"):
        read_events(tmp_path / "j")


def test_a_nan_is_never_written(tmp_path):
    journal = Journal(tmp_path / "j")
    with pytest.raises(ValueError, match="not JSON compliant"):
        journal.append(Share(trial=0, epoch=1, gpus=[0.5, float("nan")]))
    journal.close()
    assert (tmp_path / "j").read_text() == ""


def written(path, sessions=2):
    """Return the lines of a journal with that many sessions."""
    for session in range(sessions):
        journal = Journal(path)
        suggested = Suggested(trial=session, config={})
        journal.append(Session(), suggested, SlotsChanged(trials=2))
        journal.end("all trials")
    return path.read_bytes().splitlines(keepends=True)


def removed(lines, at):
    return [*lines[:at], *lines[at + 1 :]]


def repeated(lines, at):
    return [*lines[: at + 1], *lines[at:]]


def exchanged(lines, at):
    return [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]]


def changed(lines, at):
    return [*lines[:at], lines[at].replace(b'"time": 1', b'"time": 2'), *lines[at + 1 :]]


def cut_off(lines, at):
    return [*lines[:at], lines[at][:-9], *lines[at + 1 :]]


def without_checksum(lines, at):
    whole = json.loads(lines[at])
    del whole["n"], whole["crc"]
    return [*lines[:at], json.dumps(whole).encode() + b"\n", *lines[at + 1 :]]


@pytest.mark.parametrize(
    "damage", [removed, repeated, exchanged, changed, cut_off, without_checksum]
)
@pytest.mark.parametrize("at", range(7))
def test_no_line_in_the_middle_is_lost_repeated_or_changed_unseen(tmp_path, damage, at):
    lines = written(tmp_path / "j")
    (tmp_path / "j").write_bytes(b"".join(damage(lines, at)))
    with pytest.raises(ValueError, match=rf"j: line {at + 1}|j: line {at + 2}"):
        read_events(tmp_path / "j")


def test_a_journal_of_an_earlier_version_is_gone_on_with(tmp_path):
    lines = written(tmp_path / "j", sessions=1)
    for at in range(len(lines)):
        lines = without_checksum(lines, at)
    (tmp_path / "j").write_bytes(b"".join(lines))
    lines = written(tmp_path / "j", sessions=1)[:-3]
    assert len(lines) == 5
    (tmp_path / "j").write_bytes(b"".join(lines))
    assert [e["event"] for e in read_events(tmp_path / "j")][-2:] == ["closed", "session"]
    (tmp_path / "j").write_bytes(b"".join(removed(lines, 2)))
    with pytest.raises(ValueError, match="line 4: it was written as line 5"):
        read_events(tmp_path / "j")
