"""Nothing is lost: a driver is killed at any moment, and the study continues."""

import os
import signal
import subprocess
import sys
import time

import pytest
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from search_spaces.schedulers.rungs import Rungs
from tests.conftest import JOB, PATIENCE, TINY, journal_of, results_of, table_of
from tests.gate import TRIALS, Gated
from tune_cluster.callbacks.course import RUN, curves_of, read_curves
from tune_cluster.study.course import Course
from tune_cluster.study.stored import read_study

pytestmark = pytest.mark.long


def wait_for_lines(process, study, lines):
    """Wait until the journal has that many."""
    journal = study / "journal.jsonl"
    deadline = time.monotonic() + PATIENCE
    while not journal.exists() or journal.read_bytes().count(b"\n") < lines:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.002)


def kill_when(process, study, lines, number=signal.SIGKILL):
    """Send the signal as soon as the journal has that many lines."""
    wait_for_lines(process, study, lines)
    process.send_signal(number)


def resume_command(output):
    """The words after the job's script in the printed command."""
    command = next(line for line in output.splitlines() if line.startswith("resume"))
    return command.split("asha_lr_batch.py ")[1].split()


def epochs_in_event_files(study, tag="loss/validation"):
    """Every epoch of every trial, as often as an event file has it."""
    found = []
    for path in sorted(study.glob("trials/*/events.out.tfevents.*")):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if value.tag == tag:
                    found.append((int(path.parent.name), event.step))
    return found


def assert_whole(study, trials, tag="loss/validation"):
    """All trials have ended, none ran after its end except by a promotion, no epoch and no point of
    the study occurs twice."""
    events = journal_of(study)
    assert {event["trial"] for event in events if event["event"] == "ended"} == set(range(trials))
    for index in range(trials):
        kinds = [event["event"] for event in events if event.get("trial") == index]
        assert kinds[-1] == "ended"
        assert kinds.count("ended") == 1 + kinds.count("promoted")
    results = []
    for event in events:
        if event["event"] == "result":
            results.append((event["trial"], event["epoch"]))
        elif event["event"] == "epochs_lost":
            lost = (event["trial"], event["first"])
            results = [(t, e) for t, e in results if t != lost[0] or e < lost[1]]
    assert len(results) == len(set(results))
    assert sorted(epochs_in_event_files(study, tag)) == sorted(results)
    stored = read_study(study)
    course = Course(stored.state.objective)
    points = [point for event in stored.events for point in course.apply(event)]
    assert read_curves(study / RUN) == curves_of(points)


def rungs_of(study):
    """Return the rungs by the journal's decisions."""
    rungs = {}
    for event in journal_of(study):
        if event["event"] == "decision":
            rungs.setdefault(event["rung"], []).append((event["trial"], event["value"]))
    return rungs


def test_a_killed_sequential_study_resumes_to_the_table_of_one_run(
    start_job, run_job, whole_study, tmp_path
):
    whole, killed = whole_study, tmp_path / "results" / "killed"
    total = len(journal_of(whole))

    arguments = (*TINY, "--max-concurrent", "1", "--name", "killed")
    # Right after it began, in the middle, and near the end.
    for lines in (2, total // 3, total - 6):
        process = start_job(*arguments)
        kill_when(process, killed, lines)
        output, _ = process.communicate()
        arguments = resume_command(output) if "resume" in output else ("--resume", str(killed))
    code, output = run_job(*arguments)
    assert code == 0, output

    assert table_of(killed) == table_of(whole)
    assert results_of(killed) == results_of(whole)
    assert rungs_of(killed) == rungs_of(whole)
    assert_whole(killed, 6)


def test_a_killed_study_with_two_trials_at_a_time_resumes_to_all_trials_and_extends(
    start_job, run_job, tmp_path
):
    study = tmp_path / "results" / "killed"
    process = start_job(*TINY, "--name", "killed")
    kill_when(process, study, 30)
    process.communicate()
    code, output = run_job("--resume", "results/killed", "--trials", "8")
    assert code == 0, output
    assert_whole(study, 8)

    # The rungs of the two sessions are those of one: each decision follows from all before it.
    rungs, latest = Rungs(9, adaptive=True), {}
    for event in journal_of(study):
        if event["event"] == "result":
            latest[event["trial"]] = event["metrics"]["val_accuracy"]
        if event["event"] == "ended" and event["status"] == "finished":
            rungs.report_end(event["trial"], latest[event["trial"]])
        if event["event"] == "rung_judged":
            judged = rungs.judgement()
            assert event.items() >= judged.to_json().items()
            rungs.judge(judged)
        if event["event"] == "promoted":
            promotion = rungs.next_promotion()
            assert event.items() >= promotion.to_json().items()
            rungs.promote(promotion.trial, promotion.rung)
        if event["event"] == "decision":
            decision = rungs.report(event["trial"], event["rung"], event["value"])
            said = {name: event[name] for name in ("value", "cutoff", "rank", "of", "stop")}
            assert said == {name: getattr(decision, name) for name in said}


def test_ctrl_c_ends_the_study_in_order_and_prints_the_resume_command(start_job, run_job, tmp_path):
    study = tmp_path / "results" / "stopped"
    arguments = ("--dataset", "digits", "--trials", "40", "--max-epochs", "27")
    process = start_job(*arguments, "--name", "stopped")
    kill_when(process, study, 15, signal.SIGINT)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert journal_of(study)[-1]["event"] == "closed"
    assert journal_of(study)[-1]["why"] == "interrupted"
    last = output.splitlines()[-1]
    assert last.startswith("resume")
    assert last.endswith("--resume results/stopped")


def test_sigterm_to_the_whole_process_group_ends_the_study_in_order(tmp_path):
    study = tmp_path / "results" / "stopped"
    command = [sys.executable, str(JOB), "--dataset", "digits", "--trials", "40", "--yes"]
    process = subprocess.Popen(
        [*command, "--max-epochs", "27", "--name", "stopped", "--address", "local"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    wait_for_lines(process, study, 15)
    os.killpg(process.pid, signal.SIGTERM)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 143, output
    assert journal_of(study)[-1]["why"] == "terminated"
    assert output.splitlines()[-1].endswith("--resume results/stopped")


def test_ctrl_c_twice_ends_the_study_at_once_and_it_can_be_resumed(start_job, run_job, tmp_path):
    study = Gated(start_job, tmp_path)
    study.process.send_signal(signal.SIGINT)
    # Of an end in order, which waits for the trials at their gate.
    assert any(line.startswith("Ending") for line in study.process.stdout)
    study.process.send_signal(signal.SIGINT)
    study.process.communicate(timeout=PATIENCE)
    assert study.process.returncode == 130
    assert study.events()[-1]["event"] != "closed"
    study.open()
    code, output = run_job("--resume", "results/study", script=study.script)
    assert code == 0, output
    ended = [event["trial"] for event in study.events() if event["event"] == "ended"]
    assert sorted(ended) == list(range(TRIALS))


def test_a_time_budget_ends_the_study_in_order(run_job, tmp_path):
    code, output = run_job(
        "--dataset", "digits", "--trials", "400", "--time-budget", "8", "--name", "short"
    )
    assert code == 0, output
    events = journal_of(tmp_path / "results" / "short")
    assert events[-1]["why"] == "time budget"
    assert output.splitlines()[-1].startswith("resume")
