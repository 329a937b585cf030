"""Shared fixtures: one Ray for all tests, and the real job as a real process."""

import csv
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import ray
from hypothesis import settings

from tests.extras import EXTRAS, environment_without
from tests.forked import ForkedJob, can_fork
from tests.journals import read_events
from tune_cluster.cluster import compat
from tune_cluster.storage import retry

pytest_plugins = ["tests.bucket", "tests.in_process", "tests.other_user"]

ROOT = Path(__file__).parents[1]
JOB = ROOT / "tune_jobs" / "asha_lr_batch.py"

# A model that learns in a second, on data that needs no download.
TINY = ("--dataset", "digits", "--trials", "6", "--max-epochs", "9", "--seed", "1")


PATIENCE = 600.0
"""Seconds after which a job hangs: no test asserts how fast a machine is."""

# Nor does Hypothesis, which allows an example 200 ms.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def same_directory():
    """A test that leaves another working directory fails, and not the ones after it."""
    before = Path.cwd()
    yield
    try:
        after = Path.cwd()
    except FileNotFoundError:
        after = None
    os.chdir(before)
    assert after == before, f"the working directory is {after} now, not {before}"


@pytest.fixture(autouse=True)
def impatient(same_directory, monkeypatch):
    """A test that writes where no folder is would wait ten minutes: storage that is away is waited
    for. (The jobs that tests start wait as long as a person's do.)"""
    monkeypatch.setattr(
        retry,
        "RETRY_POLICY",
        retry.RetryPolicy(first_seconds=0.05, longest_seconds=0.2, total_seconds=1.0),
    )


@pytest.fixture(scope="session")
def temporary():
    """A short path: Ray's sockets may not be deeper than 107 characters."""
    folder = tempfile.mkdtemp(prefix="tc-")
    # The remains of a killed driver are deleted with the folder. Each Ray would look for new logs
    # ten times a second, 3% of a core.
    quieter = {"RAY_LOG_MONITOR_MANY_FILES_THRESHOLD": "0"}
    os.environ.update(RAY_TMPDIR=folder, TMPDIR=folder, **quieter)
    yield Path(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def cluster_address(temporary):
    """A Ray of two cores and a GPU that is only declared, for all tests; the address that a job
    connects to."""
    with compat.patient():
        ray.init(
            address="local",
            num_cpus=2,
            num_gpus=1,
            object_store_memory=200 * 1024**2,
            include_dashboard=False,
            log_to_driver=False,
            _temp_dir=str(temporary),
            # A process that has checked a node waits for the first trial, on a busy machine too.
            _system_config={"idle_worker_killing_time_threshold_ms": 60_000},
        )
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


@pytest.fixture(scope="session")
def whole_study(cluster_address, tmp_path_factory):
    """The study of `TINY`, one trial at a time, which nothing has interrupted; its directory."""
    folder = tmp_path_factory.mktemp("whole")
    one = ("--max-concurrent", "1", "--name", "whole", "--no-report")
    completed(folder, cluster_address, *TINY, *one)
    return folder / "results" / "whole"


@pytest.fixture(scope="session")
def smoke_test(cluster_address, tmp_path_factory):
    """One smoke test, without extras, for all tests of its output; `(folder, output)`."""
    folder = tmp_path_factory.mktemp("smoke")
    environment = environment_without(EXTRAS, tmp_path_factory.mktemp("without_extras"))
    arguments = ("--smoke-test", "--name", "smoke")
    return folder, completed(folder, cluster_address, *arguments, env=environment)


def completed(folder, address, *arguments, env=None):
    """Return the output of `asha_lr_batch.py`, run in a folder to its successful end."""
    done = subprocess.run(
        [sys.executable, str(JOB), *arguments, "--address", address],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=env,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def start_job(cluster_address, tmp_path):
    """Start `asha_lr_batch.py` in the test's own folder, or another script, or Python with the
    given words; it is ended with the test. A job of ours writes its report if `report` is given."""
    started = []

    def start(*arguments, address=cluster_address, script=JOB, report=False):
        # Seconds that only a test of the report is to pay for.
        if not report and Path(str(script)).parent == JOB.parent:
            arguments = (*arguments, "--no-report")
        process = started_python(
            [*words_of(script), "--address", address, *arguments],
            tmp_path,
            {**os.environ, "COLUMNS": "200"},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def started_python(words, directory, environment):
    """Return the process of Python with the given words, whose output is read from `stdout`."""
    if words[0] != "-c" and can_fork(environment):
        return ForkedJob(words, directory, environment)
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )


def words_of(script):
    """Arguments of Python: a script, or several words."""
    return script if isinstance(script, tuple) else (str(script),)


@pytest.fixture
def run_job(start_job):
    """Runs the job to its end; `(exit code, output)`."""

    def run(*arguments, **options):
        process = start_job(*arguments, **options)
        output, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, output

    return run


def journal_of(study):
    """The events of a study's journal, which may still be written."""
    return read_events(study / "journal.jsonl")


def table_of(study):
    """Return what must be equal for equal seeds: `trials.csv` without measured times."""
    clocked = ("epoch_seconds", "samples_per_second")
    with (study / "trials.csv").open() as file:
        return [{k: v for k, v in row.items() if k not in clocked} for row in csv.DictReader(file)]


def results_of(study):
    """Return the metrics by trial and epoch, without measured times."""
    clocked = ("epoch_seconds", "samples_per_second")
    return {
        (event["trial"], event["epoch"]): {
            name: value for name, value in event["metrics"].items() if name not in clocked
        }
        for event in journal_of(study)
        if event["event"] == "result"
    }
