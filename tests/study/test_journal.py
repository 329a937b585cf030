"""The journal: whole lines, one writer, and the table that is told from it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.mounts import mounted
from tune_cluster.storage.retry import RetryPolicy, StorageLostError, StorageRetry
from tune_cluster.storage.store import LocalStore
from tune_cluster.study.journal import Journal, TrialRecord, best_trial, read_events, trials_from


def closed(why):
    return {"event": "closed", "why": why}


def whys(path):
    return [event["why"] for event in read_events(path)]


def test_events_come_back_in_order_with_their_time(tmp_path):
    journal = Journal(tmp_path / "j")
    journal.append({"event": "session"}, {"event": "width", "trials": 1})
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
        told = []
        retry = StorageRetry(LocalStore(disk), told.append, policy=RetryPolicy(0.01, 0.02, 0.1))
        journal = Journal(disk / "j", retry, on_lost=told.append)
        journal.append(closed("written"))
        # More than is free, and more than this file system gives at a time.
        journal.append(closed("x" * 100_000))
        line, lost = told
        assert line.startswith("storage: no space left on device")
        assert isinstance(lost, StorageLostError)
        assert journal.lost is lost
        # There would be room for it: but what came before it is missing.
        journal.append(closed("later"))
        assert told == [line, lost]
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
        journal.append({"event": "result", "value": float("nan")})
    journal.close()
    assert (tmp_path / "j").read_text() == ""


def event(kind, trial, **rest):
    return json.loads(json.dumps({"event": kind, "trial": trial, **rest}))


def test_trials_are_told_from_events():
    trials = trials_from(
        [
            {"event": "session"},
            event("suggested", 0, config={"a": 1}),
            event("suggested", 1, config={"a": 2}),
            event("suggested", 2, config={"a": 3}),
            event("started", 0),
            event("result", 0, epoch=1, metrics={"m": 0.5}),
            event("result", 0, epoch=1, metrics={"m": 0.9}),
            event("started", 1),
            event("ended", 0, status="stopped", rung=1, epoch=1),
            event("ended", 1, status="failed", epoch=1, reason="why"),
        ]
    )
    assert [trials[i].status for i in range(3)] == ["stopped", "failed", "pending"]
    assert trials[0].results == {1: {"m": 0.5}}
    assert (trials[0].rung, trials[1].reason) == (1, "why")
    assert [trials[i].ended for i in range(3)] == [True, True, False]


def test_a_promoted_trial_has_not_ended_until_it_ends_again():
    events = [
        event("suggested", 0, config={}),
        event("started", 0),
        event("result", 0, epoch=1, metrics={"m": 0.5}),
        event("ended", 0, status="stopped", rung=1, epoch=1),
        event("promoted", 0, rung=1, value=0.5, rank=1, of=3),
        event("result", 0, epoch=2, metrics={"m": 0.6}),
        event("ended", 0, status="finished", epoch=2),
    ]
    seen = [trials_from(events[:count])[0] for count in (4, 5, 7)]
    assert [(t.status, t.rung, t.ended) for t in seen] == [
        ("stopped", 1, True),
        ("running", None, False),
        ("finished", None, True),
    ]
    assert seen[-1].results == {1: {"m": 0.5}, 2: {"m": 0.6}}


def test_who_was_finished_as_a_control_is_no_second_one_after_a_promotion():
    stopped = {"status": "stopped", "rung": 1, "epoch": 1, "control": True}
    promoted = event("promoted", 0, rung=1, value=0.5, rank=1, of=3)
    again = event("ended", 0, **{**stopped, "rung": 3, "epoch": 3})
    began = [event("suggested", 0, config={}), event("ended", 0, **stopped)]
    ended = event("control_ended", 0, status="finished", epoch=9)
    assert trials_from([*began, ended, promoted, again])[0].control == "finished"
    assert trials_from([*began, promoted])[0].control is None
    assert trials_from([*began, promoted, again])[0].control == "pending"
    assert (
        trials_from([*began, ended, promoted, event("ended", 0, status="finished", epoch=9)])[
            0
        ].control
        is None
    )


def test_the_best_is_at_any_epoch_and_the_first_of_equals():
    records = [
        TrialRecord(0, {}, results={1: {"m": 0.5}, 2: {"m": 0.9}, 3: {"m": 0.9}}),
        TrialRecord(1, {}, results={1: {"m": 0.9}}),
        TrialRecord(2, {}),
    ]
    assert best_trial(records, "m", "max") == (records[0], 2, 0.9)
    assert best_trial(records, "m", "min") == (records[0], 1, 0.5)
    assert best_trial(records[2:], "m", "max") is None


def test_a_trial_that_is_finished_as_a_control_stays_what_it_was_beside_it():
    before = [
        event("suggested", 0, config={}),
        event("result", 0, epoch=1, metrics={"score": 0.5}),
        event("ended", 0, status="stopped", epoch=1, rung=1, control=True),
    ]
    after = [
        event("control_started", 0),
        event("control", 0, epoch=2, metrics={"score": 0.9}),
        event("control", 0, epoch=2, metrics={"score": 0.1}),
        event("control_ended", 0, status="failed", epoch=3, blameless=True),
    ]
    seen = [trials_from([*before, *after[:count]])[0] for count in range(5)]
    assert [t.control for t in seen] == ["pending", "running", "running", "running", "failed"]
    assert [t.control_left for t in seen] == [True] * 4 + [False]
    for trial in seen:
        assert (trial.status, trial.rung, trial.epochs) == ("stopped", 1, 1)
        assert best_trial([trial], "score", "max") == (trial, 1, 0.5)
    assert seen[-1].control_results == {2: {"score": 0.9}}
    assert seen[-1].control_blameless
    assert not seen[-1].blameless


def written(path, sessions=2):
    """A journal of so many sessions, its lines."""
    for session in range(sessions):
        journal = Journal(path)
        suggested = {"event": "suggested", "trial": session, "config": {}}
        journal.append({"event": "session"}, suggested, {"event": "width", "trials": 2})
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
