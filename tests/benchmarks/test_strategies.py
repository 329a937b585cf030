import math

import pytest
from replay import Curve, replay
from strategies import SCHEDULERS, SEARCHERS, check, named

from search_spaces.catalogue import DROPOUT, LEARNING_RATE
from search_spaces.space import Space

SPACE = Space("two", (LEARNING_RATE, DROPOUT), fixed=(("model", "mlp"),))


def study(name, seed=0):
    """The configurations of a study of that strategy."""
    configs = []

    def train(config):
        configs.append(dict(config))
        reached = 1 - abs(math.log10(config["learning_rate"]) + 2) / 4 - config["dropout"] / 4
        return Curve([reached * (1 - 0.5**epoch) for epoch in range(1, 10)], [1.0] * 9)

    strategy = named(name, SPACE, seed=seed, epochs=9, trials=90, workers=2)
    found = replay(train, strategy, workers=2, epochs=90)
    assert found.epochs == 90
    return configs


@pytest.mark.parametrize("searcher", SEARCHERS)
def test_a_searcher_without_a_scheduler_stops_no_trial(searcher):
    assert len(study(searcher)) == 11


@pytest.mark.parametrize("scheduler", [name for name in SCHEDULERS if name != "asha_9"])
def test_a_scheduler_stops_trials(scheduler):
    assert len(study(f"random+{scheduler}")) > 11


@pytest.mark.parametrize("searcher", ["random", "tpe"])
def test_studies_with_equal_seeds_are_equal_and_with_other_seeds_differ(searcher):
    assert study(f"{searcher}+asha_3") == study(f"{searcher}+asha_3")
    assert study(f"{searcher}+asha_3") != study(f"{searcher}+asha_3", seed=1)


def test_defaults_are_tried_first():
    assert study("optuna:defaults")[0] == SPACE.complete({})
    assert study("optuna")[0] != SPACE.complete({})


@pytest.mark.parametrize("name", ["", "rando", "random+ash", "random:default", "+asha"])
def test_an_unknown_strategy_is_refused_with_the_available_ones(name):
    with pytest.raises(ValueError, match="sobol, tpe"):
        check(name)
