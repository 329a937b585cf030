"""Ranges that earlier studies narrow, and when they are not trusted."""

import numpy as np
import pytest
from narrowed import BOXES, Box, known, narrowed
from replay import Curve, OurStudy, replay

from search_spaces.hyperparameter import Hyperparameter
from search_spaces.schedulers.base import StudyScheduler
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.space import Space
from search_spaces.trial_events import Earlier, StartPoint

SPACE = Space(
    "two",
    (
        Hyperparameter(name="rate", meaning="of learning", default=0.5, low=0.0, high=1.0),
        Hyperparameter(name="units", meaning="of a layer", default=2, values=(1, 2, 3, 4, 5)),
    ),
)
BOX = Box(np.array([0.6, 0.0]), np.array([0.8, 1.0]))


def value(config):
    """Best at a rate of 0.7, whatever the units."""
    return 1 - abs(config["rate"] - 0.7)


def study(seed, trials=20):
    searcher = RandomSearch(SPACE, seed=seed)
    configs = [searcher.suggest(index) for index in range(trials)]
    return known(
        SPACE,
        [
            Earlier(study=str(seed), config=c, values={"1": value(c)}, status="finished")
            for c in configs
        ],
    )


@pytest.mark.parametrize("kind", BOXES)
def test_a_box_surrounds_the_good_points_of_earlier_studies(kind):
    box = BOXES[kind](SPACE, [study(seed) for seed in range(6)])
    assert box.low[0] < 0.7 < box.high[0]
    assert box.high[0] - box.low[0] < 0.5


def test_uniform_numbers_stay_uniform_in_the_box():
    folded = BOX.folded(np.random.default_rng(0).random((4000, 2)))
    assert ((BOX.low <= folded) & (folded <= BOX.high)).all()
    counts, _ = np.histogram(folded[:, 0], bins=4, range=(0.6, 0.8))
    assert counts.min() > 850
    assert (Box(np.zeros(2), np.ones(2)).folded(folded) == folded).all()


def rates_of_own(name, starts):
    """The rates of a study's own trials after its first ones."""
    searcher = narrowed(name, SPACE, 0, BOX)
    strategy = OurStudy(searcher, StudyScheduler(), epochs=1, trials=40)
    for rate in starts:
        searcher.on_event(StartPoint(study="s", config={"rate": rate}), replay=False)
    rates = []

    def train(config):
        rates.append(config["rate"])
        return Curve([value(config)], [1.0])

    replay(train, strategy, workers=1, epochs=40, trials=40)
    return np.array(rates[len(starts) + 3 :])


@pytest.mark.parametrize("name", ["random", "prior"])
def test_half_of_the_trials_are_in_the_box_only_if_earlier_points_are_good(name):
    helped = rates_of_own(name, [0.7, 0.69, 0.71, 0.68])
    misled = rates_of_own(name, [0.0, 0.01, 0.02, 0.03])
    inside = [((rates >= 0.6) & (rates <= 0.8)).mean() for rates in (helped, misled)]
    assert inside[0] > 0.45
    assert inside[1] < 0.4


@pytest.mark.parametrize("name", ["gp", "tpe", "optuna"])
def test_model_based_searchers_stay_in_the_box(name):
    rates = rates_of_own(name, [0.7, 0.69, 0.71, 0.68])
    assert ((rates >= 0.6) & (rates <= 0.8)).mean() > 0.45
