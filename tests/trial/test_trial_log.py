"""The log of a trial, shown and kept."""

import os
import time

import pytest

from tune_cluster.storage.store import Store
from tune_cluster.trial import trial_log
from tune_cluster.trial.trial_log import LOG_FILE, LOG_LINES, TrialLog


@pytest.fixture
def printed(tmp_path):
    """The file that a process prints to."""
    with (tmp_path / "worker.out").open("ab", buffering=0) as file:
        yield file


def kept(tmp_path, name="0000"):
    path = tmp_path / "trials" / name / LOG_FILE
    return path.read_text() if path.exists() else ""


@pytest.fixture
def trials(tmp_path):
    (tmp_path / "trials").mkdir()
    return Store.at(str(tmp_path / "trials"))


def test_each_trial_keeps_what_it_has_printed_itself(tmp_path, printed, trials):
    log = TrialLog(printed.fileno())
    printed.write(b"before\n")
    log.begin(trials / "0000")
    printed.write(b":actor_name:train\nfirst\n")
    log.copy()
    printed.write(b"second\n")
    log.begin(trials / "0001")
    printed.write(b"another\n")
    log.copy(ends=True)
    assert kept(tmp_path) == "first\nsecond\n"
    assert kept(tmp_path, "0001") == "another\n"
    log.begin(trials / "0000")
    printed.write(b"resumed\n")
    log.copy()
    assert kept(tmp_path) == "first\nsecond\nresumed\n"
    assert log.tail() == ["resumed"]


def test_output_printed_within_an_epoch_is_kept(tmp_path, printed, trials):
    log = TrialLog(printed.fileno())
    log.begin(trials / "0000")
    printed.write(b"in an epoch\n")
    deadline = time.monotonic() + 60
    while not kept(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert kept(tmp_path) == "in an epoch\n"


def test_output_that_cannot_be_written_is_written_later(tmp_path, printed, trials):
    log = TrialLog(printed.fileno())
    (tmp_path / "trials").rename(tmp_path / "away")
    log.begin(trials / "0000")
    printed.write(b"meanwhile\n")
    log.copy(ends=True)
    (tmp_path / "away").rename(tmp_path / "trials")
    printed.write(b"back\n")
    log.copy()
    assert kept(tmp_path) == "meanwhile\nback\n"


def test_a_log_above_the_limit_is_cut_off(tmp_path, printed, trials, monkeypatch):
    monkeypatch.setattr(trial_log, "KEPT_BYTES", 10)
    log = TrialLog(printed.fileno())
    log.begin(trials / "0000")
    for _ in range(3):
        printed.write(b"0123456\n")
        log.copy()
    assert kept(tmp_path).startswith("0123456\n01\n[")
    assert kept(tmp_path).count("cut off") == 1
    assert log.tail() == ["0123456"] * 3


def test_the_last_lines_of_a_log_are_those_that_a_terminal_shows(printed):
    log = TrialLog(printed.fileno())
    log.begin()
    printed.write(b"".join(b"line %d\n\n" % n for n in range(LOG_LINES + 5)) + b"10%\r20%\r\n")
    assert log.tail()[-2:] == [f"line {LOG_LINES + 4}", "20%"]
    assert len(log.tail()) == LOG_LINES


def test_a_closed_output_is_no_error(tmp_path, trials):
    reading, writing = os.pipe()
    log = TrialLog(writing)
    os.close(writing)
    os.close(reading)
    log.begin(trials / "0000")
    log.copy(ends=True)
    assert log.tail() == []
