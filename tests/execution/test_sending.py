"""Trainables that cannot be sent to the trials' processes are refused, with the variable's name."""

import functools
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from ray import cloudpickle, tune

import tests.execution.test_sending as this_module
from tune_cluster.execution.sending import check_sendable

JOB = """
import sys, threading
import numpy as np
from ray import tune
from search_spaces.catalogue import LEARNING_RATE
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.space import Space
from tune_cluster import TuneConfig, Tuner, main

LARGE = np.zeros(30_000_000)
LOCK = threading.Lock()

def large(config): tune.report({"loss": float(LARGE.sum())})
def locked(config, lock=None): tune.report({"loss": 1.0})

if "lock" in sys.argv:
    GIVEN = tune.with_parameters(locked, lock=LOCK)

def job(options, *, kind: str = ""):
    "Does it run?"
    space, train = Space("own", (LEARNING_RATE,)), locked
    if kind == "large":
        train = large
    if kind == "lock":
        train = GIVEN
    config = TuneConfig(metric="loss", mode="min", search_alg=RandomSearch(space, seed=0))
    return Tuner(train, tune_config=config)

main(job)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("large", "LARGE (numpy.ndarray) has 240.0 MB"),
        pytest.param("lock", "_thread.lock", marks=pytest.mark.long),
    ],
)
def test_a_job_that_cannot_be_run_ends_with_one_line_and_leaves_nothing(
    cluster_address, tmp_path, kind, said
):
    (tmp_path / "job.py").write_text(JOB)
    done = subprocess.run(
        [sys.executable, "job.py", "--kind", kind, "--address", cluster_address],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert (done.returncode, len(errors)) == (2, 1), done.stdout + done.stderr
    assert said in errors[0]
    assert "Traceback" not in done.stderr + done.stdout
    assert not (tmp_path / "results").exists() or not list((tmp_path / "results").iterdir())


LOCK = threading.Lock()
LARGE = np.zeros(15_000_000)


@pytest.fixture(autouse=True)
def by_value():
    """Pickle as Ray pickles what a script has defined."""
    cloudpickle.register_pickle_by_value(this_module)
    yield
    cloudpickle.unregister_pickle_by_value(this_module)


def with_lock(config):
    with LOCK:
        pass


def with_large(config):
    return [LARGE[row] for row in range(3)]


def through_another(config):
    return [with_large(config) for _ in range(3)]


def with_default(config, data=LARGE):
    pass


def closing_over(value):
    def inner(config):
        return value

    return inner


class WithLock(tune.Trainable):
    def step(self):
        return {"free": LOCK.acquire()}


class WithLarge(tune.Trainable):
    data = LARGE


class Below(WithLock):
    pass


class Holding:
    def __init__(self, value):
        self.value = value

    def train(self, config):
        pass


@pytest.mark.parametrize(
    ("trainable", "named"),
    [
        (with_lock, "LOCK (_thread.lock) cannot be pickled"),
        (with_large, "LARGE (numpy.ndarray) has 120.0 MB"),
        (through_another, "LARGE of with_large (numpy.ndarray) has 120.0 MB"),
        (with_default, "data (numpy.ndarray) has 120.0 MB"),
        (closing_over(LOCK), "value (_thread.lock)"),
        (closing_over([LARGE]), "value (list) has 120.0 MB"),
        (closing_over(x for x in (1, 2)), "value (generator)"),
        (WithLock, "LOCK of step (_thread.lock)"),
        (Below, "LOCK of step (_thread.lock)"),
        (WithLarge, "data (numpy.ndarray) has 120.0 MB"),
        (functools.partial(max, key=LARGE), "key (numpy.ndarray) has 120.0 MB"),
        (functools.partial(max, LOCK), "argument 1 (_thread.lock)"),
        (Holding(LOCK).train, "value (_thread.lock)"),
        (tune.with_parameters(with_lock, rate=1), "LOCK of trainable (_thread.lock)"),
    ],
)
def test_a_variable_that_cannot_be_sent_is_named_with_its_kind_or_size(trainable, named):
    with pytest.raises(ValueError, match="sent to the trials' processes") as refused:
        check_sendable(trainable)
    assert named in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_list_of_many_small_arrays_is_reported_with_its_total_size(monkeypatch):
    parts = [np.zeros(500_000) for _ in range(30)]

    def train(config):
        return parts

    with pytest.raises(ValueError, match=r"parts \(list\) has 120\.0 MB"):
        check_sendable(train)


def test_small_variables_and_objects_made_in_the_trial_are_accepted():
    def train(config):
        lock = threading.Lock()
        return lock, np.zeros(15_000_000)

    for trainable in (train, WithLock.__mro__[1], tune.with_parameters(train)):
        check_sendable(trainable)
