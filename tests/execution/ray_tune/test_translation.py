"""Ray Tune's search spaces, searchers and schedulers as those of a study."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray import tune
from ray.tune.schedulers import (
    ASHAScheduler,
    FIFOScheduler,
    HyperBandScheduler,
    MedianStoppingRule,
    PopulationBasedTraining,
)
from ray.tune.schedulers.pb2 import PB2
from ray.tune.search import BasicVariantGenerator, Searcher
from ray.tune.search.hyperopt import HyperOptSearch
from ray.tune.search.optuna import OptunaSearch as RayOptunaSearch

import tune_cluster
from search_spaces.schedulers.adapter import AdaptedPopulation, AdaptedScheduler
from search_spaces.schedulers.asha import ASHA
from search_spaces.schedulers.base import StudyScheduler
from search_spaces.searchers.adapter import AdaptedSearcher
from search_spaces.searchers.grid_search import GridSearch
from search_spaces.searchers.optuna_search import OptunaSearch
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.searchers.tpe_search import TPESearch
from search_spaces.space import nested
from search_spaces.trial_events import Ended, Result
from tests.search_spaces.conftest import study_of
from tune_cluster.execution.ray_tune.translation import space_of, translate

RANGES = {
    "uniform": tune.uniform(0.5, 2.0),
    "loguniform": tune.loguniform(1e-4, 1e-1),
    "quniform": tune.quniform(0.0, 1.0, 0.1),
    "qloguniform": tune.qloguniform(0.01, 10.0, 0.01),
    "randint": tune.randint(1, 5),
    "lograndint": tune.lograndint(1, 100),
    "qrandint": tune.qrandint(2, 20, 2),
    "choice": tune.choice(["a", "b"]),
}
RATE = {"rate": tune.uniform(0.0, 1.0)}
BOUNDS = {"rate": [0.0, 1.0]}


def population(**rest):
    return PopulationBasedTraining(time_attr="training_iteration", perturbation_interval=2, **rest)


def translated(space=None, searcher=None, scheduler=None, **rest):
    return translate(space, searcher, scheduler, max_epochs=27, seed=0, **rest)


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=8, max_size=8))
def test_every_point_lies_in_the_range_that_ray_draws_from(u):
    config = space_of(RANGES).point(u)
    assert 0.5 <= config["uniform"] <= 2.0
    assert 1e-4 <= config["loguniform"] <= 1e-1
    assert config["quniform"] == round(config["quniform"], 1)
    assert config["qloguniform"] == round(config["qloguniform"], 2) > 0
    # Ray leaves the upper end of these two out.
    assert config["randint"] in range(1, 5)
    assert config["lograndint"] in range(1, 100)
    assert config["qrandint"] in range(2, 21, 2)
    assert config["choice"] in ("a", "b")


def test_a_nested_space_gives_a_nested_configuration():
    space = space_of({"net": {"depth": tune.choice([1, 2]), "width": 64}, "rate": 0.1})
    assert nested(space.point([0.9])) == {"net": {"depth": 2, "width": 64}, "rate": 0.1}


def test_sample_from_becomes_a_list_of_values_that_is_reproducible():
    def widths():
        found = translated({"width": tune.sample_from(lambda _: 2 ** np.random.randint(2, 5))})
        assert "width: 64 values" in found.notes[0]
        (width,) = found.searcher.space.parameters
        return width.values

    before = np.random.get_state()[1].tolist()
    assert sorted(widths()) == [4, 8, 16]
    assert widths() == widths()
    assert np.random.get_state()[1].tolist() == before


def test_a_population_draws_from_a_function_the_mutations_that_the_space_lacks():
    scheduler = population(hyperparam_mutations={"x": lambda: random.uniform(1, 2)})
    found = translated(RATE, scheduler=scheduler)
    points = [found.searcher.point(index)["x"] for index in range(20)]
    assert len({*points}) > 10
    assert all(1 <= x <= 2 for x in points)


@pytest.mark.parametrize(
    "domain", [tune.sample_from(lambda spec: 2 * spec["lr"]), tune.randn(0, 1)]
)
def test_an_unsupported_domain_is_refused_with_its_name(domain):
    with pytest.raises(ValueError, match=r"param_space: odd.* compute it in the trainable"):
        space_of({"odd": domain})


@pytest.mark.parametrize(
    ("domain", "values"),
    [
        (tune.qrandint(1, 10, 3), {3, 6, 9}),
        (tune.qrandint(1, 100, 50), {50, 100}),
        (tune.qlograndint(1, 30, 8), {8, 16, 24}),
        (tune.quniform(0.3, 0.5, 0.1), {0.3, 0.4, 0.5}),
    ],
)
def test_a_quantized_range_has_the_multiples_inside_it(domain, values):
    space = space_of({"x": domain})
    assert {space.point([n / 100])["x"] for n in range(100)} == values


def test_a_quantized_range_without_a_multiple_is_refused():
    with pytest.raises(ValueError, match="param_space: x: no multiple of 8 is in 9 to 15"):
        space_of({"x": tune.qrandint(9, 15, 8)})


@pytest.mark.parametrize("given", [tune.choice([]), tune.grid_search([]), tune.grid_search(5)])
def test_an_empty_or_invalid_list_is_refused_with_its_name(given):
    with pytest.raises(ValueError, match=r"param_space: odd has .* to choose from; give a list"):
        space_of({"odd": given})


def test_a_grid_is_searched_in_full_and_ranges_beside_it_at_random():
    grid = {"a": tune.grid_search([1, 2]), "b": tune.grid_search([3, 4])}
    searcher = translated(grid).searcher
    assert isinstance(searcher, GridSearch)
    assert searcher.size == 4
    mixed = translated({**grid, **RATE}, samples=2).searcher
    assert mixed.size == 8
    points = [mixed.point(index) for index in range(8)]
    pairs = [(point["a"], point["b"]) for point in points]
    assert pairs == 2 * [(1, 3), (1, 4), (2, 3), (2, 4)]
    assert len({point["rate"] for point in points}) == 8
    assert points == [translated({**grid, **RATE}).searcher.point(index) for index in range(8)]
    assert translated(grid, samples=3).searcher.size == 12


@pytest.mark.parametrize(
    ("given", "ours", "notes"),
    [
        (None, RandomSearch, 0),
        (BasicVariantGenerator(), RandomSearch, 0),
        (HyperOptSearch(), TPESearch, 1),
        (RayOptunaSearch(seed=0, space=None), OptunaSearch, 1),
    ],
)
def test_a_searcher_of_ray_is_replaced_by_its_counterpart(given, ours, notes):
    found = translated(RATE, given)
    assert type(found.searcher) is ours
    assert len(found.notes) == notes
    assert not found.searcher.not_resumable


@pytest.mark.parametrize(
    ("given", "ours"),
    [
        (None, StudyScheduler),
        (FIFOScheduler(), StudyScheduler),
        (ASHAScheduler(max_t=9, grace_period=2, reduction_factor=3), ASHA),
        (ASHAScheduler(brackets=2), AdaptedScheduler),
        (population(hyperparam_mutations=RATE), AdaptedPopulation),
        (
            PB2("training_iteration", perturbation_interval=2, hyperparam_bounds=BOUNDS),
            AdaptedPopulation,
        ),
        (MedianStoppingRule(), AdaptedScheduler),
        (HyperBandScheduler(), AdaptedScheduler),
    ],
)
def test_a_scheduler_of_ray_is_replaced_by_its_counterpart_or_adapted(given, ours):
    scheduler = translated(RATE, None, given).scheduler
    assert type(scheduler) is ours
    study_of(RandomSearch(space_of(RATE), seed=0), scheduler, trials=8).check()
    adapted = ours is AdaptedScheduler
    assert bool(scheduler.not_resumable) == (adapted or ours is AdaptedPopulation)
    translates = ours in (ASHA, AdaptedPopulation, AdaptedScheduler)
    assert len(translated(RATE, None, given, epochs_given=True).notes) == translates


def test_hyperband_is_refused_where_trials_cannot_resume():
    scheduler = translated(RATE, None, HyperBandScheduler()).scheduler
    spec = study_of(RandomSearch(space_of(RATE), seed=0), scheduler, continues=False)
    with pytest.raises(ValueError, match="HyperBandScheduler pauses trials"):
        spec.check()


def test_asha_has_the_rungs_of_the_asha_of_ray():
    scheduler = translated(RATE, None, ASHAScheduler(max_t=9, grace_period=2, reduction_factor=3))
    assert list(scheduler.scheduler.rungs) == [2, 6]
    assert scheduler.scheduler.max_epochs == 9


class Counting(Searcher):
    """Has three points, and stores the ends that are reported to it."""

    def __init__(self):
        super().__init__()
        self.suggested, self.ends = 0, []

    def set_search_properties(self, metric, mode, config, **spec):
        self.space = config
        return True

    def suggest(self, trial_id):
        self.suggested += 1
        return Searcher.FINISHED if self.suggested > 3 else {"rate": self.suggested / 10}

    def on_trial_complete(self, trial_id, result=None, error=False):
        self.ends.append((trial_id, result and result["score"], error))


def test_an_adapted_searcher_suggests_points_and_receives_ends_with_finite_values():
    theirs = Counting()
    searcher = translated(RATE, theirs).searcher
    assert isinstance(searcher, AdaptedSearcher)
    study_of(searcher).check()
    assert set(theirs.space) == {"rate"}
    assert [searcher.point(index) for index in range(4)] == [
        {"rate": 0.1},
        {"rate": 0.2},
        {"rate": 0.3},
        None,
    ]
    assert searcher.size == 3
    for event in (
        Result(trial=0, epoch=1, metrics={"score": 0.5}),
        Ended(trial=0, epoch=1, status="finished"),
        Ended(trial=1, epoch=1, status="diverged"),
        Ended(trial=2, epoch=1, status="failed", blameless=True),
    ):
        searcher.on_event(event, replay=False)
    assert theirs.ends == [("0", 0.5, False), ("1", 0.5, False), ("2", None, True)]
    assert searcher.not_resumable


@pytest.mark.parametrize(
    ("space", "searcher", "scheduler", "said"),
    [
        (None, HyperOptSearch(), None, "is None beside HyperOptSearch, which has no space"),
        (RATE, "tpe", None, "the searcher is an object of str"),
        (RATE, None, "asha", "the scheduler is an object of str"),
        ({**RATE, "odd": tune.randn()}, None, None, "param_space: odd is .* no range here"),
        (RATE, HyperOptSearch(RATE, metric="score", mode="max"), None, "give the space as param"),
        (RATE, RandomSearch(space_of(RATE), seed=0), None, "has a space of its own"),
        (RATE, None, PopulationBasedTraining(hyperparam_mutations=RATE), "give time_attr='train"),
    ],
)
def test_a_strategy_that_cannot_be_translated_is_refused(space, searcher, scheduler, said):
    with pytest.raises(ValueError, match=said):
        translated(space, searcher, scheduler)


def test_the_names_of_ray_tune_are_exported_except_those_that_run_without_a_study():
    for name in {*tune.__all__} - {"Experiment", "ExperimentAnalysis", "run_experiments"}:
        assert hasattr(tune_cluster, name), name
    assert tune_cluster.CLIReporter is tune.CLIReporter
    assert tune_cluster.Tuner.__module__ == "tune_cluster.execution.tuner"
    assert not hasattr(tune_cluster, "run_experiments")
