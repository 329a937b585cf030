"""What a script gives that no study can be made of: one line, before anything is scheduled."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from ray import tune
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, PopulationBasedTraining
from ray.tune.search.hyperopt import HyperOptSearch

from search_spaces.schedulers.asha import ASHA
from search_spaces.schedulers.pbt import PBT
from search_spaces.searchers.grid_search import GridSearch
from search_spaces.searchers.optuna_search import OptunaSearch
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.searchers.sobol_search import SobolSearch
from search_spaces.searchers.tpe_search import TPESearch
from search_spaces.space import Space
from tests.in_process import QUALITY, SPACE, names, study_in
from tune_cluster.execution.given import check_built, check_metric
from tune_cluster.execution.parts import Parts
from tune_cluster.reports.tables import COLUMNS


def train(config):
    tune.report({"score": config["quality"]})


class Trained(tune.Trainable):
    def step(self):
        return {"score": 1.0}


class Called:
    def __call__(self, config):
        train(config)


async def awaited(config):
    train(config)


def given(tmp_path, strategy, scheduler=None):
    return study_in(tmp_path).tune_config(strategy, scheduler)


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        (None, "the searcher is None"),
        (
            RandomSearch,
            r"the searcher is the class search_spaces\.searchers\.random_search\.RandomSearch",
        ),
        (HyperOptSearch, "the class ray.tune.search.hyperopt"),
        (HyperOptSearch(), "an object of ray.tune.search.hyperopt"),
        (optuna.samplers.TPESampler(), "an object of optuna.samplers"),
        (ASHA(max_epochs=9), "an object of search_spaces.schedulers.asha.ASHA"),
        (SPACE, "an object of search_spaces.space.Space"),
        ({"lr": tune.loguniform(1e-3, 1)}, "an object of dict"),
        ("random", "an object of str"),
    ],
)
def test_another_searcher_is_refused_with_those_that_there_are(tmp_path, strategy, said):
    with pytest.raises(ValueError, match=said) as refused:
        given(tmp_path, strategy)
    assert "RandomSearch, SobolSearch, GridSearch, TPESearch and OptunaSearch" in str(refused.value)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("scheduler", "said"),
    [
        (ASHAScheduler(), "an object of ray.tune.schedulers"),
        (FIFOScheduler(), "an object of ray.tune.schedulers"),
        (PopulationBasedTraining(hyperparam_mutations={"x": [1]}), "an object of ray.tune"),
        (ASHA, "the class search_spaces.schedulers.asha.ASHA"),
        (RandomSearch(SPACE, seed=0), "an object of search_spaces.searchers.random_search"),
        ("asha", "an object of str"),
        (False, "an object of bool"),
    ],
)
def test_another_scheduler_is_refused_with_those_that_there_are(tmp_path, scheduler, said):
    with pytest.raises(ValueError, match=f"the scheduler is {said}.*ASHA and PBT"):
        given(tmp_path, RandomSearch(SPACE, seed=0), scheduler)
    assert names(tmp_path) == []


SEARCHERS = [
    lambda space: GridSearch(space),
    lambda space: RandomSearch(space, seed=0),
    lambda space: SobolSearch(space, seed=0),
    lambda space: TPESearch(space, seed=0),
    lambda space: OptunaSearch(space, seed=0),
    lambda space: PBT(space, perturbed=["lr"], max_epochs=9, interval=3, seed=0),
]


@pytest.mark.parametrize("search", SEARCHERS)
def test_rays_domains_are_no_space(search):
    with pytest.raises(ValueError, match="the space is a dict with lr; give a Space"):
        search({"lr": tune.loguniform(1e-3, 1)})
    with pytest.raises(ValueError, match="space own: got a dict with lr; give a tuple"):
        search(Space("own", {"lr": tune.loguniform(1e-3, 1)}))
    with pytest.raises(ValueError, match="the space is a NoneType"):
        search(None)


@pytest.mark.parametrize("search", [RandomSearch, SobolSearch, TPESearch, OptunaSearch])
@pytest.mark.parametrize("seed", [-1, None, 0.5, "a", True])
def test_a_seed_that_is_none_is_refused(search, seed):
    with pytest.raises(ValueError, match="seed must be a whole number from 0"):
        search(SPACE, seed=seed)


@pytest.mark.parametrize("name", [*COLUMNS, "score", "__trial_info__"])
@pytest.mark.parametrize("fixed", [False, True])
def test_a_hyperparameter_whose_name_is_taken_is_refused(tmp_path, name, fixed):
    space = Space("own", (QUALITY,), fixed=((name, 1),))
    if not fixed:
        space = Space("own", (replace(QUALITY, name=name),))
    with pytest.raises(ValueError, match=f"space own: the hyperparameter {name} .*; rename it"):
        given(tmp_path, RandomSearch(space, seed=0))


@pytest.mark.parametrize(
    ("trainable", "said"),
    [
        (None, "got None"),
        (5, "got an object of int"),
        ("train", "got an object of str"),
        (awaited, "got the function awaited"),
        (type("Net", (), {}), "the class Net is no subclass of tune.Trainable"),
        (type("Idle", (tune.Trainable,), {}), r"Idle has no step\(\)"),
        (lambda: None, r"<lambda> must take \(config\)"),
        (lambda config, rate: None, "missing a required argument: 'rate'"),
    ],
)
def test_what_is_no_trainable_is_refused(tmp_path, trainable, said):
    with pytest.raises(ValueError, match=said):
        study_in(tmp_path).trainable(trainable)


def test_data_that_is_no_dataset_is_refused_and_so_is_a_trainable_that_does_not_take_it(tmp_path):
    with pytest.raises(ValueError, match="an object of list is no dataset, it has no name"):
        study_in(tmp_path).trainable(train, [1, 2])

    class Data:
        name = notice = source = fingerprint = "own"
        search = (1, 2)

    for trainable in (train, Trained):
        with pytest.raises(ValueError, match=r"must take \(config, data\)"):
            study_in(tmp_path).trainable(trainable, Data())


@pytest.mark.parametrize("trainable", [train, Trained, Called(), lambda config: train(config)])
def test_whatever_takes_a_configuration_is_a_trainable(tmp_path, trainable):
    study_in(tmp_path).trainable(trainable)


@pytest.mark.parametrize(
    ("metric", "mode", "said"),
    [
        (["loss", "size"], ["min", "min"], "the name of one metric is needed"),
        ("", "min", "the name of one metric is needed"),
        ("training_iteration", "min", "report the metric under another name"),
        ("epoch", "min", "report the metric under another name"),
        ("loss", "minimize", "mode='minimize'.*: it must be min or max|max or min"),
        ("loss", None, "mode=None"),
    ],
)
def test_what_no_study_can_look_for_is_refused(metric, mode, said):
    with pytest.raises(ValueError, match=said):
        check_metric(metric, mode)


def test_a_tuner_that_is_not_the_studys_is_refused(tmp_path):
    study = study_in(tmp_path / "study")
    with pytest.raises(ValueError, match=r"must return a tune\.Tuner, got None"):
        check_built(None, study.parts)
    tuner = tune.Tuner(train, run_config=tune.RunConfig(storage_path=str(tmp_path / "tune")))
    with pytest.raises(ValueError, match=r"not called study.trainable\(\) nor study.tune_config"):
        check_built(tuner, Parts())
    tuner = tune.Tuner(
        study.trainable(train),
        param_space={"width": tune.choice([1, 2])},
        tune_config=study.tune_config(RandomSearch(SPACE, seed=0)),
        run_config=study.run_config(),
    )
    with pytest.raises(ValueError, match=r"param_space=\.\.\.\) with width"):
        check_built(tuner, study.parts)


JOB = """
import sys, threading
import numpy as np
from ray import tune
from search_spaces.catalogue import LEARNING_RATE
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.space import Space
from tune_cluster.execution.launch import launch

LARGE = np.zeros(30_000_000)
LOCK = threading.Lock()

def large(config): tune.report({"loss": float(LARGE.sum())})
def locked(config, lock=None): tune.report({"loss": 1.0})

if "lock" in sys.argv:
    GIVEN = tune.with_parameters(locked, lock=LOCK)

def job(study, *, kind: str = ""):
    "Does it run?"
    space, train = Space("own", (LEARNING_RATE,)), locked
    if kind == "large":
        train = large
    if kind == "lock":
        train = GIVEN
    return tune.Tuner(
        study.trainable(train),
        tune_config=study.tune_config(RandomSearch(space, seed=0)),
        run_config=study.run_config(),
    )

launch(job, metric="loss", mode="min")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("large", "LARGE (numpy.ndarray) has 240.0 MB"),
        ("lock", "_thread.lock"),
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
    assert names(tmp_path / "results") == []
