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
from tests.in_process import QUALITY, SPACE
from tune_cluster import Options, TuneConfig, Tuner
from tune_cluster.execution.command_line import Command
from tune_cluster.execution.launcher import built_by
from tune_cluster.execution.validation import check_metric
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


def tuner(trainable=train, dataset=None, **config):
    """A Tuner, sound but for what is given."""
    config = {"metric": "score", "mode": "max", "search_alg": RandomSearch(SPACE, seed=0), **config}
    return Tuner(trainable, tune_config=TuneConfig(**config), dataset=dataset)


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
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
def test_another_searcher_is_refused_with_those_that_there_are(strategy, said):
    with pytest.raises(ValueError, match=said) as refused:
        tuner(search_alg=strategy)
    assert "RandomSearch, SobolSearch, GridSearch, TPESearch and OptunaSearch" in str(refused.value)


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
def test_another_scheduler_is_refused_with_those_that_there_are(scheduler, said):
    with pytest.raises(ValueError, match=f"the scheduler is {said}.*ASHA and PBT"):
        tuner(scheduler=scheduler)


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
def test_a_hyperparameter_whose_name_is_taken_is_refused(name, fixed):
    space = Space("own", (QUALITY,), fixed=((name, 1),))
    if not fixed:
        space = Space("own", (replace(QUALITY, name=name),))
    with pytest.raises(ValueError, match=f"space own: the hyperparameter {name} .*; rename it"):
        tuner(search_alg=RandomSearch(space, seed=0))


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
def test_what_is_no_trainable_is_refused(trainable, said):
    with pytest.raises(ValueError, match=said):
        tuner(trainable)


def test_data_that_is_no_dataset_is_refused_and_so_is_a_trainable_that_does_not_take_it():
    with pytest.raises(ValueError, match="an object of list is no dataset, it has no name"):
        tuner(train, [1, 2])

    class Data:
        name = notice = source = fingerprint = "own"
        search = (1, 2)

    for trainable in (train, Trained):
        with pytest.raises(ValueError, match=r"must take \(config, data\)"):
            tuner(trainable, Data())


@pytest.mark.parametrize("trainable", [train, Trained, Called(), lambda config: train(config)])
def test_whatever_takes_a_configuration_is_a_trainable(trainable):
    tuner(trainable)


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


def test_without_a_searcher_there_must_be_a_space_and_beside_one_there_may_be_none():
    with pytest.raises(ValueError, match=r"param_space=...\) is None; give a Space"):
        tuner(search_alg=None)
    config = {"metric": "score", "mode": "max"}
    drawn = Tuner(train, param_space=SPACE, tune_config=TuneConfig(**config))
    assert drawn.searcher(seed=5).point(0) == RandomSearch(SPACE, seed=5).point(0)
    config["search_alg"] = RandomSearch(SPACE, seed=0)
    with pytest.raises(ValueError, match="the searcher has a space of its own"):
        Tuner(train, param_space=Space("other", ()), tune_config=TuneConfig(**config))
    with pytest.raises(ValueError, match=r"tune_config=...\) is missing"):
        Tuner(train, param_space=SPACE)


def test_rays_own_configs_are_taken_as_they_are():
    config = tune.TuneConfig(
        metric="score", mode="max", num_samples=7, max_concurrent_trials=2, time_budget_s=60
    )
    run = tune.RunConfig(
        name="mine",
        storage_path="/studies",
        stop={"training_iteration": 5},
        failure_config=tune.FailureConfig(max_failures=2),
        verbose=1,
    )
    given = Tuner(train, param_space=SPACE, tune_config=config, run_config=run)
    options = given.settled(Options())
    assert (options.trials, options.max_concurrent, options.time_budget) == (7, 2, 60)
    assert (options.name, options.storage_path, options.max_epochs) == ("mine", "/studies", 5)
    typed = given.settled(Options(trials=3, max_epochs=2, storage_path="elsewhere"))
    assert (typed.trials, typed.max_epochs, typed.storage_path) == (3, 2, "elsewhere")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"tune_config": tune.RunConfig()}, "a TuneConfig is needed"),
        (
            {
                "tune_config": tune.TuneConfig(
                    metric="score", mode="max", trial_name_creator=lambda trial: "mine"
                )
            },
            "trial_name_creator=...",
        ),
        ({"run_config": tune.RunConfig(stop={"score": 0.9})}, "allowed is .*training_iteration"),
        ({"run_config": tune.RunConfig(log_to_file=True)}, "log_to_file=..."),
    ],
)
def test_what_a_study_would_ignore_of_rays_configs_is_refused(config, said):
    whole = {"tune_config": TuneConfig(metric="score", mode="max"), **config}
    with pytest.raises(ValueError, match=said):
        Tuner(train, param_space=SPACE, **whole)


def test_a_job_that_returns_no_tuner_is_refused():
    with pytest.raises(ValueError, match=r"must return a tune_cluster\.Tuner, got None"):
        built_by(lambda options: None, Command(Options(), {}))


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
    assert not (tmp_path / "results").exists() or not list((tmp_path / "results").iterdir())
