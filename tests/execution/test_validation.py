"""Invalid arguments of a script: one line, before anything is scheduled."""

from dataclasses import replace

import optuna
import pyarrow.fs
import pytest
from ray import tune
from ray.tune import PlacementGroupFactory
from ray.tune.schedulers import PopulationBasedTrainingReplay, ResourceChangingScheduler
from ray.tune.search.hyperopt import HyperOptSearch

from search_spaces.schedulers.asha import ASHA
from search_spaces.schedulers.pbt import PBT
from search_spaces.searchers.grid_search import GridSearch
from search_spaces.searchers.optuna_search import OptunaSearch
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.searchers.sobol_search import SobolSearch
from search_spaces.searchers.tpe_search import TPESearch
from search_spaces.space import Space
from tests.in_process import QUALITY, SPACE, study_in
from tune_cluster import Callback, Options, RunConfig, TuneConfig, Tuner
from tune_cluster.execution.command_line import Command, parse
from tune_cluster.execution.launcher import built_by
from tune_cluster.execution.validation import (
    check_metric,
    check_resources,
    refuse_unused,
)
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
    """Return a Tuner that is valid except for the given arguments."""
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
        (optuna.samplers.TPESampler(), "an object of optuna.samplers"),
        (ASHA(max_epochs=9), "an object of search_spaces.schedulers.asha.ASHA"),
        (SPACE, "an object of search_spaces.space.Space"),
        ({"lr": tune.loguniform(1e-3, 1)}, "an object of dict"),
        ("random", "an object of str"),
    ],
)
def test_an_unknown_searcher_is_refused_with_the_available_ones(strategy, said):
    with pytest.raises(ValueError, match=said) as refused:
        tuner(search_alg=strategy)
    assert "RandomSearch, SobolSearch, GridSearch, TPESearch and OptunaSearch" in str(refused.value)


@pytest.mark.parametrize(
    ("scheduler", "said"),
    [
        (PopulationBasedTrainingReplay, "the class ray.tune.schedulers.pbt"),
        (ResourceChangingScheduler(), "an object of ray.tune.schedulers.resource"),
        (ASHA, "the class search_spaces.schedulers.asha.ASHA"),
        (RandomSearch(SPACE, seed=0), "an object of search_spaces.searchers.random_search"),
        ("asha", "an object of str"),
        (False, "an object of bool"),
    ],
)
def test_an_unknown_scheduler_is_refused_with_the_available_ones(scheduler, said):
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
def test_a_dictionary_of_ray_domains_is_refused_as_a_space(search):
    with pytest.raises(ValueError, match="the space is a dict with lr; give a Space"):
        search({"lr": tune.loguniform(1e-3, 1)})
    with pytest.raises(ValueError, match="space own: got a dict with lr; give a tuple"):
        search(Space("own", {"lr": tune.loguniform(1e-3, 1)}))
    with pytest.raises(ValueError, match="the space is a NoneType"):
        search(None)


@pytest.mark.parametrize("search", [RandomSearch, SobolSearch, TPESearch, OptunaSearch])
@pytest.mark.parametrize("seed", [-1, None, 0.5, "a", True])
def test_a_seed_that_is_no_whole_number_from_0_is_refused(search, seed):
    with pytest.raises(ValueError, match="seed must be a whole number from 0"):
        search(SPACE, seed=seed)


@pytest.mark.parametrize("name", [*COLUMNS, "score", "__trial_info__"])
@pytest.mark.parametrize("fixed", [False, True])
def test_a_hyperparameter_with_a_reserved_name_is_refused(name, fixed):
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
def test_an_object_that_is_no_trainable_is_refused(trainable, said):
    with pytest.raises(ValueError, match=said):
        tuner(trainable)


def test_an_object_that_is_no_dataset_and_a_trainable_that_takes_no_dataset_are_refused():
    with pytest.raises(ValueError, match="an object of list is no dataset, it has no name"):
        tuner(train, [1, 2])

    class Data:
        name = notice = source = fingerprint = "own"
        search = (1, 2)

    for trainable in (train, Trained):
        with pytest.raises(ValueError, match=r"must take \(config, data\)"):
            tuner(trainable, Data())


@pytest.mark.parametrize("trainable", [train, Trained, Called(), lambda config: train(config)])
def test_any_callable_that_takes_a_configuration_is_a_trainable(trainable):
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
def test_an_invalid_metric_or_mode_is_refused(metric, mode, said):
    with pytest.raises(ValueError, match=said):
        check_metric(metric, mode)


def test_a_space_is_required_without_a_searcher_and_refused_beside_one():
    with pytest.raises(ValueError, match=r"param_space=...\) is None; give a Space"):
        tuner(search_alg=None)
    config = {"metric": "score", "mode": "max"}
    drawn = Tuner(train, param_space=SPACE, tune_config=TuneConfig(**config))
    found = drawn.strategies(Options(seed=5)).searcher
    assert found.point(0) == RandomSearch(SPACE, seed=5).point(0)
    config["search_alg"] = RandomSearch(SPACE, seed=0)
    with pytest.raises(ValueError, match="the searcher has a space of its own"):
        Tuner(train, param_space=Space("other", ()), tune_config=TuneConfig(**config))
    with pytest.raises(ValueError, match=r"tune_config=...\) is missing"):
        Tuner(train, param_space=SPACE)


@pytest.mark.parametrize(
    ("config", "run", "said"),
    [
        ({"num_samples": -1}, {}, r"num_samples=-1\): it must be a whole number above 0"),
        ({"num_samples": "3"}, {}, r"num_samples='3'\): it must be a whole number"),
        ({}, {"callbacks": 5}, "has an object of int; give a list"),
        ({}, {"callbacks": Callback()}, "Callback; give a list"),
        ({}, {"callbacks": [print]}, "has the function print; give a list"),
    ],
)
def test_an_invalid_tune_config_or_run_config_is_refused_with_its_value(config, run, said):
    space = {"x": tune.grid_search([1, 2])}
    config = TuneConfig(metric="score", mode="max", **config)
    with pytest.raises(ValueError, match=said):
        Tuner(train, param_space=space, tune_config=config, run_config=RunConfig(**run))


def test_configs_of_ray_tune_are_accepted_and_set_the_options():
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
        ({"run_config": tune.RunConfig(stop={"score": "high"})}, "allowed are .*a tune.Stopper"),
        (
            {"run_config": tune.RunConfig(storage_filesystem=pyarrow.fs.LocalFileSystem())},
            "storage_filesystem=...",
        ),
    ],
)
def test_fields_of_ray_configs_that_a_study_would_ignore_are_refused(config, said):
    whole = {"tune_config": TuneConfig(metric="score", mode="max"), **config}
    with pytest.raises(ValueError, match=said):
        Tuner(train, param_space=SPACE, **whole)


def test_a_job_that_returns_no_tuner_is_refused():
    with pytest.raises(ValueError, match=r"must return a tune_cluster\.Tuner, got None"):
        built_by(lambda options: None, Command(Options(), {}))


def function(config):
    tune.report({"score": config["quality"]})


class Asking(tune.Trainable):
    @classmethod
    def default_resource_request(cls, config):
        return PlacementGroupFactory([{"CPU": 2 if config["quality"] > 0.5 else 1}])

    def step(self):
        return {"score": 1.0}


def asking(resources, trainable=function):
    if trainable is function:
        return tune.with_resources(lambda config: function(config), resources)
    return tune.with_resources(trainable, resources)


@pytest.mark.parametrize("trainable", [function, tune.Trainable])
@pytest.mark.parametrize(
    ("resources", "said"),
    [
        ({"cpu": 2}, "--cpus-per-trial 2"),
        ({"cpu": 1, "gpu": 0.5}, "--gpus-per-trial 0.5"),
        ({"cpu": 1, "tpu": 1}, "tpu"),
        (PlacementGroupFactory([{"CPU": 1}, {"CPU": 1}]), "2 bundles"),
        (lambda config: PlacementGroupFactory([{"CPU": 4}]), "--cpus-per-trial 4"),
    ],
)
def test_resources_that_differ_from_those_of_a_trial_are_refused(trainable, resources, said):
    with pytest.raises(ValueError, match=said):
        check_resources(asking(resources, trainable), [{}], cpus=1, gpus=0)


@pytest.mark.parametrize(
    "resources", [{"cpu": 2}, {"cpu": 2, "gpu": 1}, PlacementGroupFactory([{}, {"CPU": 2}])]
)
def test_resources_equal_to_those_of_a_trial_are_accepted(resources):
    check_resources(asking(resources), [{}], cpus=2, gpus=1)
    check_resources(function, [{}], cpus=2, gpus=1)
    check_resources(tune.Trainable, [{}], cpus=2, gpus=1)


def test_resources_that_depend_on_the_configuration_are_checked_on_points_of_the_space(tmp_path):
    with pytest.raises(ValueError, match="--cpus-per-trial 2"):
        study_in(tmp_path, trainable=Asking)


def job(options):
    """Does it work?"""


class Unsaved(tune.Trainable):
    def step(self):
        return {"score": 1.0}


class Saved(Unsaved):
    def save_checkpoint(self, folder):
        pass


def refuse(tmp_path, argv, trainable=function, max_epochs=27):
    command = parse(job, argv)
    asha = ASHA(max_epochs=max_epochs)
    typed = {name: getattr(command.options, name) for name in command.changed}
    options = {"max_epochs": None, **typed}
    study = study_in(tmp_path, trainable=trainable, scheduler=asha, **options)
    refuse_unused(command.changed, study)


@pytest.mark.parametrize(
    ("argv", "trainable"),
    [
        (["--keep-best", "2"], Unsaved),
        (["--checkpoint-budget", "1GB"], Unsaved),
        (["--price-per-gpu-hour", "2"], Saved),
        (["--max-epochs", "9"], Saved),
    ],
)
def test_a_flag_without_an_effect_is_refused(tmp_path, argv, trainable):
    with pytest.raises(ValueError, match=f"^{argv[-2]} {argv[-1]}"):
        refuse(tmp_path, argv, trainable)


@pytest.mark.parametrize(
    ("argv", "trainable"),
    [
        ([], Unsaved),
        (["--keep-best", "2", "--checkpoint-budget", "1GB"], Saved),
        # Whether it reports checkpoints shows only when it runs.
        (["--keep-best", "2"], function),
        (["--price-per-gpu-hour", "2", "--gpus-per-trial", "0.5"], Saved),
        (["--max-epochs", "27"], Saved),
    ],
)
def test_a_flag_with_an_effect_is_accepted(tmp_path, argv, trainable):
    refuse(tmp_path, argv, trainable)


def test_the_epochs_of_a_smoke_test_are_not_refused(tmp_path):
    refuse(tmp_path, ["--smoke-test"], max_epochs=3)


def test_restore_as_in_ray_tune_is_refused_with_the_call_that_resumes(tmp_path):
    with pytest.raises(ValueError, match=r"fit\(Options\(resume='results/mine'\)\)"):
        Tuner.restore("results/mine", trainable=lambda config: None)
    assert not Tuner.can_restore(tmp_path)
    (tmp_path / "study.json").write_text("{}")
    assert Tuner.can_restore(tmp_path)
