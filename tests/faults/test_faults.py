"""Whatever goes wrong in mid-study: it ends with all its trials, none lost and none counted twice;
one trial at a time with the table that it would have had.

Storage that fails or is full is in `test_storage.py`.
"""

import os
import signal
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.conftest import journal_of, results_of, table_of
from tests.faults.rack import Rack, children, descendants, lines_of, trains, wait_for
from tests.faults.whole import MANY, ONE, TWO, assert_as_if_nothing_had_been
from tests.test_resume import assert_whole

pytestmark = pytest.mark.long


@pytest.fixture
def study(tmp_path):
    return tmp_path / "results" / "study"


@pytest.fixture
def started(mended, undisturbed, drive, study):
    """The driver of a study that is in the middle of it."""
    driver = drive(*ONE)
    driver.wait_for_lines(study, lines_of(undisturbed) // 3)
    return driver


@contextmanager
def halted(pid):
    """A trial's process that hangs: its study cannot end before its driver has noticed."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def lost(study):
    return [e for e in journal_of(study) if e["event"] == "retried" and e.get("lost")]


def test_kill_9_of_a_trials_process_twice_and_then_of_its_node(rack, started, study, undisturbed):
    for _ in range(2):
        rack.kill_process(rack.trial()[0])
        started.wait_for_lines(study, lines_of(study) + 12)
    assert len(lost(study)) == 2
    rack.kill_node(rack.trial()[1])
    assert started.ended() == 0, started.output
    assert len(lost(study)) == 3
    assert len({e["node"] for e in journal_of(study) if e["event"] == "result"}) == 2
    assert_as_if_nothing_had_been(study, undisturbed)


def test_the_laptop_that_submitted_the_job_closes_and_the_only_node_is_replaced(
    rack, mended, drive, study, undisturbed
):
    while len(rack.cluster.worker_nodes) > 1:
        rack.cluster.remove_node(next(iter(rack.cluster.worker_nodes)))
    driver = drive(*ONE, before=("nohup",))
    driver.wait_for_lines(study, lines_of(undisturbed) // 3)
    driver.kill(signal.SIGHUP)
    driver.wait_for_lines(study, lines_of(study) + 4)
    rack.kill_node(rack.trial()[1])
    rack.add_node()
    assert driver.ended() == 0, driver.output
    assert_as_if_nothing_had_been(study, undisturbed)


def test_kill_9_of_the_driver_and_a_node_and_after_the_resume_of_a_process(
    rack, started, drive, study, undisturbed
):
    node = rack.trial()[1]
    started.kill()
    started.ended()
    rack.kill_node(node)
    before = lines_of(study)
    resumed = drive("--resume", str(study))
    resumed.wait_for_lines(study, before + 8)
    rack.kill_process(rack.trial()[0])
    assert resumed.ended() == 0, resumed.output
    known = {}
    for event in journal_of(study):
        if event["event"] == "result":
            known[event["trial"]] = event["epoch"]
        if event["event"] == "restored":
            # The checkpoint is written before its epoch is reported.
            told = known.get(event["trial"], 0)
            assert event["epoch"] in (told, told + 1)
    assert_as_if_nothing_had_been(study, undisturbed)


def test_a_truncated_checkpoint_costs_its_epochs_and_is_told(mended, drive, study):
    arguments = ("--dataset", "digits", "--trials", "1", "--max-epochs", "40", "--seed", "1")
    driver = drive(*arguments, "--rung-rule", "top", "--name", "study")
    driver.wait_for_lines(study, 20)
    driver.kill()
    driver.ended()
    # Of the epoch that was under way there will be a checkpoint, too.
    wait_for(lambda: not mended.trials())
    before = results_of(study)
    newest = max(study.glob("trials/0000/checkpoint_*"))
    state = newest / "state.pt"
    state.write_bytes(state.read_bytes()[: state.stat().st_size // 2])

    resumed = drive("--resume", str(study))
    assert resumed.ended() == 0, resumed.output
    restored = next(event for event in journal_of(study) if event["event"] == "restored")
    assert restored["unreadable"] == [newest.name]
    assert restored["epoch"] < int(newest.name.split("_")[1])
    (line,) = [
        line for line in resumed.output.splitlines() if line.startswith(("restored", "unreadable"))
    ]
    assert newest.name in line
    after = results_of(study)
    assert sorted(after) == [(0, epoch) for epoch in range(1, 41)]
    assert {key: after[key] for key in before} == before
    assert_whole(study, 1)


def test_sigterm_to_the_driver(started, drive, study, undisturbed):
    started.kill(signal.SIGTERM)
    assert started.ended() == 143, started.output
    assert journal_of(study)[-1]["why"] == "terminated"
    assert started.output.splitlines()[-1].startswith("resume")
    resumed = drive("--resume", str(study))
    assert resumed.ended() == 0, resumed.output
    assert_as_if_nothing_had_been(study, undisturbed)


def test_two_at_a_time_no_trial_is_lost_and_none_counted_twice(rack, mended, drive, study):
    driver = drive(*TWO)
    driver.wait_for(lambda: len(rack.trials()) == 2)
    driver.wait_for_lines(study, 20)
    for kill in (lambda pid, node: rack.kill_process(pid), lambda pid, node: rack.kill_node(node)):
        before = len(lost(study))
        kill(*rack.trial())
        driver.wait_for(lambda before=before: len(lost(study)) > before)
    # At once, before the lost trial has been resumed.
    driver.kill(signal.SIGTERM)
    assert driver.ended() == 143, driver.output
    rack.mend()
    going_on = {e["trial"] for e in journal_of(study) if e["event"] == "suggested"}
    going_on -= {e["trial"] for e in journal_of(study) if e["event"] == "ended"}
    assert going_on
    resumed = drive("--resume", str(study))
    assert resumed.ended() == 0, resumed.output
    assert_whole(study, MANY)
    assert {row["status"] for row in table_of(study)} <= {"finished", "stopped"}
    for row in table_of(study):
        told = [epoch for trial, epoch in results_of(study) if trial == int(row["trial"])]
        assert told == list(range(1, int(row["epochs_run"]) + 1))


def test_kill_9_of_the_head(temporary, drive, study, undisturbed):
    first = Rack(nodes=1)
    try:
        driver = drive(*ONE, address=first.address)
        driver.wait_for_lines(study, lines_of(undisturbed) // 3)
        with halted(driver.wait_for(first.trials)[0][0]):
            first.kill_head()
            assert driver.ended() == 75, driver.output
        assert "resume it: " in driver.output
        assert driver.output.rstrip().endswith("--resume results/study")
    finally:
        first.close()
    second = Rack(nodes=1)
    try:
        resumed = drive("--resume", str(study), address=second.address)
        assert resumed.ended() == 0, resumed.output
    finally:
        second.close()
    assert_as_if_nothing_had_been(study, undisturbed)


@pytest.mark.parametrize("name", ["raylet", "gcs_server"])
def test_kill_9_of_a_process_of_the_jobs_own_ray(temporary, drive, study, name):
    driver = drive(*ONE, address="local")
    driver.wait_for_lines(study, 20)
    (pid,) = (
        pid
        for pid in children(driver.process.pid)
        if name in Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0].decode()
    )
    started = descendants(driver.process.pid)
    with halted(driver.wait_for(lambda: [each for each in started if trains(each)])[0]):
        os.kill(pid, signal.SIGKILL)
        assert driver.ended() == 75, driver.output
    assert f"{name}, a process of the Ray that this job had started, was killed" in driver.output
    assert driver.output.rstrip().endswith("--resume results/study")
    wait_for(lambda: not any(Path(f"/proc/{each}").exists() for each in started))
    resumed = drive("--resume", str(study), address="local")
    assert resumed.ended() == 0, resumed.output
    assert_whole(study, 4)
