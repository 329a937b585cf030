"""A study in a bucket: its head dies for good, and another one resumes it from the bucket."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.conftest import JOB, PATIENCE, journal_of, results_of, table_of
from tune_cluster.storage.checkpoints import TrialCheckpoints
from tune_cluster.storage.lease import LEASE_FILE
from tune_cluster.storage.s3 import S3Store
from tune_cluster.study.upload import download_journal

pytestmark = pytest.mark.long

# Of short epochs, so that an outage of seconds is many lines.
STUDY = ("--dataset", "digits", "--trials", "16", "--max-epochs", "27", "--seed", "1")
STUDY += ("--max-concurrent", "1", "--name", "study")

LOST = 15
"""Lines of the journal that the head takes with it: no more are uploaded."""

FLUSH = 6
"""Lines that a flush may have: those of the one that is on its way."""


@pytest.fixture
def start(tmp_path, temporary):
    """Start the job with the files of a machine of its own; it is ended with the test."""
    started = []

    def start_on(machine, *arguments):
        home = tmp_path / machine
        home.mkdir()
        output = (home / "output").open("w")
        process = subprocess.Popen(
            [sys.executable, str(JOB), "--address", "local", *arguments],
            cwd=home,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "XDG_CACHE_HOME": str(home / "cache"), "COLUMNS": "200"},
        )
        output.close()
        started.append(process)
        return process

    yield start_on
    for process in started:
        process.kill()
        process.wait()


def ended_well(process, machine):
    code = process.wait(timeout=PATIENCE)
    output = (machine / "output").read_text()
    assert code == 0, output
    return output


def lines_in(content):
    return content.count(b"\n")


def epochs_in(journal):
    """The last epoch of each trial that a journal knows."""
    events = [json.loads(line) for line in journal.splitlines()]
    return {event["trial"]: event["epoch"] for event in events if event["event"] == "result"}


def checkpoints_in(study):
    """The epoch of each trial's newest checkpoint."""
    trials = study / "trials"
    indices = {int(path.partition("/")[0]) for path in trials.files()}
    found = {i: TrialCheckpoints(trials / f"{i:04d}", "max").newest_first() for i in indices}
    return {index: checkpoints[0].epoch for index, checkpoints in found.items() if checkpoints}


def journal_in(bucket):
    return download_journal(bucket, bucket.files())


def kill_when_it_has_more_than_the_bucket(process, journal, bucket, s3_server):
    """Kills the driver when its journal has `LOST` lines that the bucket lacks, which has some."""
    deadline = time.monotonic() + PATIENCE

    def wait_for(what):
        while not what():
            assert process.poll() is None, "the study ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def has_all_but_the_last_flush():
        here = lines_in(journal.read_bytes()) if journal.exists() else 0
        there = lines_in(journal_in(bucket))
        assert there >= here - FLUSH
        return there > 2 * LOST

    wait_for(has_all_but_the_last_flush)
    s3_server.refused = ("/journal/",)
    copied = lines_in(journal_in(bucket))
    wait_for(lambda: lines_in(journal.read_bytes()) >= copied + LOST)
    # With the driver dies its Ray, and with that the trial, which may be writing to the bucket.
    with_it = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(with_it, timeout=PATIENCE)
    assert not alive
    s3_server.refused = ()


def test_a_study_whose_head_is_lost_resumes_elsewhere_to_the_same_table(
    bucket, s3_server, start, tmp_path
):
    undisturbed = tmp_path / "whole" / "results" / "study"
    whole = start("whole", *STUDY)

    study = S3Store(f"{bucket}/results/study")
    first = start("first", *STUDY, "--storage-path", f"{bucket}/results")
    journal = tmp_path / "first" / "cache" / "tune-cluster" / study.path / "journal.jsonl"
    kill_when_it_has_more_than_the_bucket(first, journal, study, s3_server)
    survived = journal_in(study)
    assert lines_in(survived) <= lines_in(journal.read_bytes()) - LOST
    known = epochs_in(survived)
    untold = {trial: e for trial, e in checkpoints_in(study).items() if e > known.get(trial, 0)}
    assert untold, "the bucket has no checkpoint that its journal does not know"
    ended_well(whole, tmp_path / "whole")

    second = start("second", "--resume", str(study))
    output = ended_well(second, tmp_path / "second")
    assert "has not released" in output
    assert f"study          {study}" in output

    copy = tmp_path / "second" / "cache" / "tune-cluster" / study.path
    assert table_of(copy) == table_of(undisturbed)
    assert results_of(copy) == results_of(undisturbed)
    events = journal_of(copy)
    results = [(event["trial"], event["epoch"]) for event in events if event["event"] == "result"]
    assert len(results) == len(set(results))
    # Epochs with a checkpoint in the bucket were not trained again.
    after = events[lines_in(survived) :]
    restored = [(event["trial"], event["epoch"]) for event in after if event["event"] == "restored"]
    assert untold == {trial: dict(reversed(restored))[trial] for trial in untold}
    # All of it is in the bucket, and no driver holds it.
    left = study.files()
    assert study.read("journal.jsonl") == (copy / "journal.jsonl").read_bytes()
    assert study.read("journal.jsonl").startswith(survived)
    assert study.read("best/state.pt") == (copy / "best" / "state.pt").read_bytes()
    assert {"best/best.json", "trials.csv", "study.json", "report.html"} <= set(left)
    assert f"report         {study}/report.html" in output
    assert f"tune-cluster confirm {study}" in study.read("report.html").decode()
    assert LEASE_FILE not in left
    # No file contains keys either.
    secrets = (os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        content = path.read_bytes()
        assert not any(secret.encode() in content for secret in secrets), path
