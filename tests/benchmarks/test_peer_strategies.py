import math
from functools import cache
from importlib.util import find_spec

import pytest
from peer_strategies import PEERS, whole
from replay import Curve, replay
from strategies import named

from search_spaces.hyperparameter import Hyperparameter
from search_spaces.space import Space

EPOCHS = 9


def parameter(name, default, **rest):
    return Hyperparameter(name=name, meaning="of the test", default=default, **rest)


SPACE = Space(
    "mixed",
    (
        parameter("rate", 0.01, low=1e-4, high=0.1, scale="log"),
        parameter("share", 0.5, low=0.0, high=1.0),
        parameter("units", 64, low=16, high=512, scale="log", integer=True),
        parameter("layers", 2, low=1, high=3, integer=True),
        parameter("batch", 64, values=(32, 64, 128, 256), ordered=True),
        parameter("rule", "sgd", values=("sgd", "adam")),
    ),
    fixed=(("model", "mlp"),),
)

NEEDED = {"syne": "syne_tune", "ax": "ax"}
"""Module that the extra `benchmarks` installs, by the prefix of a peer's name."""


def peers():
    for name in PEERS:
        module = NEEDED.get(name.partition("_")[0])
        absent = module is not None and find_spec(module) is None
        skip = pytest.mark.skipif(absent, reason=f"{module} is not installed (extra benchmarks)")
        # A surrogate is fitted for every trial.
        marks = [skip, pytest.mark.slow] if name in SLOW else [skip]
        yield pytest.param(name, marks=marks, id=name)


SLOW = ("syne_botorch", "syne_asha_bore", "syne_asha_cqr", "syne_cqr", "syne_bore", "ax")


def quality(config):
    return 1 - abs(math.log10(config["rate"]) + 2) / 4 - (config["rule"] == "adam") / 8


def study(name, *, seed=0, workers=3, epochs=120, diverges=()):
    """The study, and the configurations of its trials."""
    configs = []

    def train(config):
        configs.append(dict(config))
        reached = quality(config)
        values = [reached * (1 - 0.5**epoch) for epoch in range(1, EPOCHS + 1)]
        if len(configs) - 1 in diverges:
            values[1:] = [math.nan]
        return Curve(values, [1.0] * len(values))

    strategy = named(name, SPACE, seed=seed, epochs=EPOCHS, trials=epochs, workers=workers)
    return replay(train, strategy, workers=workers, epochs=epochs), configs


@cache
def first(name):
    """The study of seed 0, for all tests that only look at it."""
    return study(name)


@pytest.mark.parametrize("name", peers())
def test_configurations_of_a_peer_lie_in_the_space(name):
    found, configs = first(name)
    assert found.epochs == 120
    for config in configs:
        SPACE.unit(config)
        assert {type(config[key]) for key in ("units", "layers", "batch")} == {int}
        assert config["model"] == "mlp"


@pytest.mark.parametrize("name", peers())
def test_a_study_of_a_peer_is_reproducible_by_its_seed(name):
    assert study(name)[1] == first(name)[1]
    assert study(name, seed=1)[1] != first(name)[1]


@pytest.mark.parametrize("name", peers())
def test_a_diverged_trial_does_not_end_the_study_of_a_peer(name):
    found, configs = study(name, diverges=(0, 3))
    assert found.epochs == 120
    assert len(configs) > 5


STOPPING = [
    name for name in PEERS if any(w in name for w in ("asha", "bohb", "halving", "hyperband"))
]


@pytest.mark.parametrize("name", peers())
def test_a_peer_stops_trials_if_its_name_says_so(name):
    trials = first(name)[0].trials
    if name in STOPPING:
        assert trials > 15
    else:
        # 13 whole ones, and those that still run.
        assert trials <= 16


def test_the_asha_of_ray_equals_the_ray_rule_on_the_same_points():
    theirs, ours = study("ray_asha", epochs=400), study("random+ray_rule", epochs=400)
    assert theirs[1] == ours[1]
    assert theirs[0].best == ours[0].best


def test_whole_numbers_are_integer_ranges_and_the_places_of_ordered_lists():
    found = {entry.name: whole(entry) for entry in SPACE.parameters}
    assert found == {
        "rate": None,
        "share": None,
        "units": (16, 512),
        "layers": (1, 3),
        "batch": (0, 3),
        "rule": None,
    }


@pytest.mark.parametrize("name", ["hyperopt", "optuna_tpe"])
def test_the_ends_of_an_integer_range_are_as_likely_as_its_other_values(name):
    strategy = named(name, SPACE, seed=0, epochs=EPOCHS, trials=10, workers=1)
    # Without results every configuration is drawn at random.
    layers = [strategy.next_work().config["layers"] for _ in range(300)]
    assert all(70 < layers.count(value) < 130 for value in (1, 2, 3))
