"""One command that starts or resumes a study, as repeated by a requeuing system."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.conftest import PATIENCE, ROOT, results_of, table_of
from tests.test_resume import assert_whole, wait_for_lines

pytestmark = pytest.mark.long

EXAMPLE = ROOT / "examples" / "plain_script.py"
SEARCH = ("--search", "lr=log:0.001:1", "--search", "batch-size=16,32,64", "--metric", "val_loss")
SEARCH += ("--trials", "6", "--max-concurrent", "1", "--address", "local")
OWN = ("--", "--epochs", "4")

KILLS = 5


class Machine:
    """A machine, as far as its files tell, that a job is started on in a process group of its
    own."""

    def __init__(self, home):
        home.mkdir(exist_ok=True)
        self.home = home
        self._started = []

    def start(self, name, *flags):
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tune_cluster", "run", str(EXAMPLE), *SEARCH),
                *("--resume-or-start", "--name", name, *flags, *OWN),
            ],
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "XDG_CACHE_HOME": str(self.home / "cache"),
                "COLUMNS": "200",
            },
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def run(self, name, *flags):
        process = self.start(name, *flags)
        output, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, output

    def kill(self, process, number=signal.SIGKILL):
        os.killpg(process.pid, number)
        process.communicate(timeout=PATIENCE)

    def end(self):
        for process in self._started:
            if process.poll() is None:
                self.kill(process)


@pytest.fixture
def machine(tmp_path, temporary):
    machines = []

    def named(name):
        machines.append(Machine(tmp_path / name))
        return machines[-1]

    yield named
    for one in machines:
        one.end()


def killed_at_random(process, machine, seconds):
    """Kill the group of a job, or ask it to end, at any moment of its first seconds."""
    delay, number = random.uniform(0, seconds), random.choice((signal.SIGKILL, signal.SIGTERM))
    try:
        process.communicate(timeout=delay)
    except subprocess.TimeoutExpired:
        machine.kill(process, number)
    return f"{number.name} after {delay:.2f} s"


def test_the_same_command_after_a_kill_at_any_moment_ends_with_the_table_of_one_run(machine):
    here = machine("here")
    results = here.home / "results"
    began = time.monotonic()
    code, output = here.run("whole")
    assert code == 0, output
    seconds = time.monotonic() - began

    kills = [killed_at_random(here.start("cut"), here, seconds) for _ in range(KILLS)]
    code, output = here.run("cut")
    assert code == 0, f"{kills}: {output}"
    assert table_of(results / "cut") == table_of(results / "whole"), kills
    assert results_of(results / "cut") == results_of(results / "whole"), kills
    assert_whole(results / "cut", 6)

    # It is complete: its result is told again.
    before = (results / "cut" / "trials.csv").read_bytes()
    code, output = here.run("cut")
    assert code == 0, output
    assert "6 of 6" in output
    assert (results / "cut" / "trials.csv").read_bytes() == before
    # What it is told of is repeated as a study of another name.
    assert "--resume-or-start" not in output.split("repeat")[1]

    for changed, said in (
        (("--search", "gamma=0.5:1"), "--search"),
        (("--grace-period", "2"), "--grace-period 2: the study was started with None"),
    ):
        code, output = here.run("cut", *changed)
        assert (code, output.count("\n")) == (2, 1), output
        assert said in output


@pytest.mark.parametrize("begun", ["gcs_server", "raylet"])
def test_a_study_terminated_while_ray_starts_reports_it_and_leaves_no_file(machine, begun):
    here = machine("here")
    process = here.start("mine")
    driver, deadline = psutil.Process(process.pid), time.monotonic() + PATIENCE

    def started():
        with suppress(psutil.NoSuchProcess):
            return begun in " ".join(name_of(one) for one in driver.children(recursive=True))

    while not started():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    here.kill(process, signal.SIGTERM)
    assert process.returncode == 143
    assert not [*(here.home / "results").iterdir()]


def name_of(process):
    with suppress(psutil.NoSuchProcess):
        return process.name()
    return ""


def test_a_second_driver_of_a_study_is_refused_and_the_first_continues(machine):
    here = machine("here")
    first = here.start("mine")
    wait_for_lines(first, here.home / "results" / "mine", 3)
    code, output = here.run("mine")
    assert (code, output.count("\n")) == (2, 1), output
    assert "another process is running the study" in output
    output, _ = first.communicate(timeout=PATIENCE)
    assert first.returncode == 0, output
    assert_whole(here.home / "results" / "mine", 6)


def test_a_study_in_a_bucket_resumes_on_any_machine_that_runs_the_command(machine, bucket):
    undisturbed = machine("whole")
    code, output = undisturbed.run("study")
    assert code == 0, output
    whole = undisturbed.home / "results" / "study"
    flags = ("--storage-path", f"{bucket}/results")
    copy = Path("cache", "tune-cluster", "studies", "results", "study")
    lost, last = machine("lost"), machine("last")
    process = lost.start("study", *flags)
    # Before the bucket has had its first upload of what is no journal.
    wait_for_lines(process, lost.home / copy, 1)
    lost.kill(process)
    code, output = last.run("study", *flags)
    assert code == 0, output
    study = last.home / copy
    assert table_of(study) == table_of(whole)
    assert results_of(study) == results_of(whole)
    assert_whole(study, 6)
