"""One driver at a time has a study in a bucket."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from tests.conftest import PATIENCE
from tune_cluster.storage.lease import (
    LEASE_FILE,
    LeaseLostError,
    S3Lease,
    check_conditional_writes,
)
from tune_cluster.storage.s3 import ConflictError, S3Store

DRIVER = """
import sys
import time

from tune_cluster.storage.lease import LeaseLostError, S3Lease
from tune_cluster.storage.s3 import S3Store

store = S3Store(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
try:
    with S3Lease(store, renewal_seconds=0.2, lease_seconds=float(sys.argv[2])) as lease:
        lease.on_lost(lambda who: print(who, flush=True))
        print("begun", flush=True)
        sys.stdin.readline()
        lease.check()
except LeaseLostError:
    print("writes nothing", flush=True)
except ValueError as error:
    print(error, flush=True)
"""


@pytest.fixture
def store(bucket):
    return S3Store(f"{bucket}/study")


def lease_of(store, lease_seconds=0.5):
    return S3Lease(store, renewal_seconds=0.1, lease_seconds=lease_seconds)


def wait_for(what):
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def driver(store):
    """Start a process that takes the lease on command."""
    started = []

    def start(lease_seconds=PATIENCE):
        process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, str(store), str(lease_seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def go(process):
    process.stdin.write("\n")
    process.stdin.flush()


def test_of_drivers_that_begin_in_the_same_second_exactly_one_begins(driver):
    drivers = [driver() for _ in range(2)]
    for process in drivers:
        go(process)
    said = [process.stdout.readline() for process in drivers]
    assert said.count("begun\n") == 1
    assert sum("is running the study s3://" in line for line in said) == 1


def test_the_lease_of_a_driver_that_was_killed_is_taken_over(driver, store, capsys):
    killed = driver(lease_seconds=1)
    go(killed)
    assert killed.stdout.readline() == "begun\n"
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    with lease_of(store, lease_seconds=1) as lease:
        lease.check()
    assert f"(process {killed.pid}) has not released" in capsys.readouterr().err


def test_a_driver_that_was_cut_off_finds_that_it_lost_the_study_and_stops_writing(driver, store):
    cut_off = driver(lease_seconds=1)
    go(cut_off)
    assert cut_off.stdout.readline() == "begun\n"
    # As a machine is that sleeps, or whose network is gone.
    cut_off.send_signal(signal.SIGSTOP)
    with lease_of(store, lease_seconds=1) as lease:
        cut_off.send_signal(signal.SIGCONT)
        line = cut_off.stdout.readline()
        assert f"(process {os.getpid()}) has taken over the study {store}" in line
        go(cut_off)
        assert cut_off.stdout.readline() == "writes nothing\n"
        cut_off.wait()
        # It has not touched the other driver's lease.
        assert json.loads(store.read(LEASE_FILE))["pid"] == os.getpid()
        lease.check()


def test_a_lease_that_somebody_has_deleted_is_lost(store):
    with lease_of(store) as lease:
        store.delete(LEASE_FILE)
        wait_for(lambda: lease.lost)
        with pytest.raises(ValueError, match=r"has taken over the study s3://.*; wait for it"):
            lease.on_lost(lambda who: None)
        with pytest.raises(LeaseLostError, match="has taken over the study"):
            lease.check()


def test_a_lease_that_may_have_run_out_is_renewed_before_anything_is_written(store):
    with lease_of(store) as lease:
        lease._ended.set()
        lease._thread.join()
        time.sleep(0.6)
        written = store.read(LEASE_FILE)
        lease.check()
        assert store.read(LEASE_FILE) != written


def test_renewals_whose_answers_were_lost_do_not_lose_the_study(store, monkeypatch):
    lease = lease_of(store, lease_seconds=PATIENCE)
    lease._acquire()
    write_if = store.write_if

    def lose_answer(*arguments):
        write_if(*arguments)
        raise OSError("the connection was reset")

    with monkeypatch.context() as cut_off:
        cut_off.setattr(store, "write_if", lose_answer)
        for _ in range(2):
            with pytest.raises(OSError, match="was reset"):
                lease._renew()
    lease._renew()
    assert not lease.lost
    assert json.loads(store.read(LEASE_FILE))["driver"] == lease._me["driver"]
    # It has its own ETag again: a second driver that takes over is found out.
    S3Lease(store)._write(store.read_tagged(LEASE_FILE)[1])
    lease._renew()
    assert "has taken over the study" in lease.lost


def test_a_lease_runs_out_while_its_machine_is_suspended(store, monkeypatch):
    lease = lease_of(store, lease_seconds=PATIENCE)
    lease._acquire()
    S3Lease(store)._write(store.read_tagged(LEASE_FILE)[1])
    clock = time.clock_gettime
    monkeypatch.setattr(time, "clock_gettime", lambda which: clock(which) + 2 * PATIENCE)
    with pytest.raises(LeaseLostError, match="has taken over the study"):
        lease.check()


def test_a_second_driver_is_refused_while_the_first_is_at_work(store, capsys):
    # Longer than the first could need for a renewal on a busy machine.
    with (
        lease_of(store),
        pytest.raises(ValueError, match="is running the study s3://"),
        lease_of(store, lease_seconds=PATIENCE),
    ):
        pass
    assert "has not released" in capsys.readouterr().err


def test_a_released_lease_can_be_taken_at_once(store, capsys):
    with lease_of(store):
        assert set(store.files()) == {LEASE_FILE}
    assert store.files() == {}
    with lease_of(store, lease_seconds=1e9):
        pass
    assert capsys.readouterr().err == ""


def test_a_damaged_lease_belongs_to_no_driver(store, capsys):
    store.write(LEASE_FILE, b"{}")
    with lease_of(store, lease_seconds=1e9) as lease:
        lease.check()
    assert capsys.readouterr().err == ""


def test_of_many_conditional_writes_at_once_one_succeeds(store):
    won = []

    def write(number):
        try:
            won.append(store.write_if("one", b"%d" % number, None))
        except ConflictError:
            return

    threads = [threading.Thread(target=write, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert store.read_tagged("one")[1] == won[0]


def test_a_write_that_is_sent_again_finds_itself(store):
    etag = store.write_if("one", b"mine", None)
    assert store.write_if("one", b"mine", None) == etag
    with pytest.raises(ConflictError):
        store.write_if("one", b"another", None)


def test_an_s3_without_conditional_writes_is_refused(store, monkeypatch, s3_server):
    monkeypatch.setattr(s3_server, "conditional", False)
    with pytest.raises(ValueError, match="ignores the conditions of a write"):
        check_conditional_writes(store)
    assert store.files() == {}
