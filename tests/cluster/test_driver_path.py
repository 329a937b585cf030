"""A job that is started in another folder than its script's, where files are called as modules."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT, journal_of

JOB = """
import threading

import helper
from ray import tune
from search_spaces.catalogue import LEARNING_RATE
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.space import Space
from tune_cluster.execution.launch import launch


def train(config):
    import random
    import trainables.image.config
    tune.report({"score": helper.SCORE + 0 * random.random()})


def job(study):
    strategy = RandomSearch(Space("own", (LEARNING_RATE,)), seed=study.flags.seed)
    return tune.Tuner(
        study.trainable(train),
        tune_config=study.tune_config(strategy),
        run_config=study.run_config(),
    )


# As a notebook's or a server's: Python lets only the main thread hear signals.
thread = threading.Thread(target=launch, args=(job,), kwargs={"metric": "score", "mode": "max"})
thread.start()
thread.join()
"""


@pytest.mark.long
def test_trials_import_what_the_driver_does_and_not_what_lies_in_the_working_directory(
    temporary, tmp_path
):
    script, cwd = tmp_path / "scripts" / "job.py", tmp_path / "cwd"
    script.parent.mkdir()
    cwd.mkdir()
    script.write_text(JOB)
    (script.parent / "helper.py").write_text("SCORE = 7")
    for name in ("helper", "search_spaces", "tune_jobs", "trainables", "torch", "ray", "random"):
        (cwd / f"{name}.py").write_text("raise RuntimeError('not this one')")
    flags = ("--address", "local", "--trials", "1", "--max-epochs", "1", "--max-concurrent", "1")
    done = subprocess.run(
        [sys.executable, str(script), *flags, "--name", "study"],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    events = journal_of(cwd / "results" / "study")
    assert [e["metrics"]["score"] for e in events if e["event"] == "result"] == [7], done.stdout
    assert not [e for e in events if e["event"] == "retried"]
