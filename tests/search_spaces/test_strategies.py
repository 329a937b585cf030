"""What all strategies have in common: one suite that every one of them runs."""

import json
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.tune.search import Searcher

from search_spaces.searchers.grid_search import GridSearch
from search_spaces.searchers.optuna_search import OptunaSearch
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.searchers.sobol_search import SobolSearch
from search_spaces.searchers.tpe_search import TPESearch
from tests.search_spaces.conftest import EVERYTHING


def grid(space, *, seed):
    return GridSearch(space)


def tpe(space, *, seed):
    return TPESearch(space, seed=seed, startup=5)


def optuna(space, *, seed):
    return OptunaSearch(space, seed=seed, startup=5)


STRATEGIES = [grid, RandomSearch, SobolSearch, tpe, optuna]
LEARNING = [tpe, optuna]

every = pytest.mark.parametrize("strategy", STRATEGIES)
learning = pytest.mark.parametrize("strategy", LEARNING)


def made(strategy, seed=0, mode="max", space=EVERYTHING):
    searcher = strategy(space, seed=seed)
    assert searcher.set_search_properties("score", mode, {})
    return searcher


def score(config):
    return config["layers"] / 6 - abs(config["rate"] - 0.1)


def told(searcher, turns, first=0):
    """Suggests and tells, as `turns` says of each trial; the configurations."""
    configs = []
    for index, turn in enumerate(turns, start=first):
        config = searcher.suggest(str(index))
        configs.append(config)
        if turn == "ends":
            searcher.on_trial_result(str(index), {"epoch": 1, "score": score(config) / 2})
            searcher.on_trial_complete(str(index), {"epoch": 2, "score": score(config)})
        elif turn == "fails":
            searcher.on_trial_complete(str(index), {"score": -1.0}, error=True)
        elif turn == "vanishes":
            searcher.on_trial_complete(str(index))
    return configs


turns = st.lists(st.sampled_from(["ends", "fails", "vanishes", "runs"]), max_size=16)


@every
@given(turns=turns, seed=st.integers(0, 2**40))
@settings(max_examples=20)
def test_every_point_is_in_the_space_whatever_became_of_those_before(strategy, turns, seed):
    for config in told(made(strategy, seed), turns):
        EVERYTHING.unit(config)
        assert config["model"] == "mlp"
        low, high = {"sgd": (0.5, 0.99), "rms": (0, 0.4), "adam": (None, None)}[config["optimizer"]]
        assert ("momentum" in config) == (low is not None)
        assert low is None or low <= config["momentum"] <= high


@every
@given(turns=turns, cut=st.integers(0, 16))
@settings(max_examples=20)
def test_told_what_was_suggested_a_new_one_goes_on_as_the_old_one(strategy, turns, cut):
    """As JSON would tell it: so a study is resumed, and grown."""
    whole = told(made(strategy), turns)
    resumed = made(strategy)
    for index, (config, turn) in enumerate(zip(whole[:cut], turns[:cut], strict=True)):
        resumed.recorded(str(index), json.loads(json.dumps(config)))
        if turn == "ends":
            resumed.on_trial_result(str(index), {"epoch": 1, "score": score(config) / 2})
            resumed.on_trial_complete(str(index), {"epoch": 2, "score": score(config)})
        elif turn == "fails":
            resumed.on_trial_complete(str(index), {"score": -1.0}, error=True)
        elif turn == "vanishes":
            resumed.on_trial_complete(str(index))
    assert told(resumed, turns[cut:], first=cut) == whole[cut:]


@every
def test_the_seed_decides(strategy):
    turns = ["ends"] * 8
    assert told(made(strategy, 1), turns) == told(made(strategy, 1), turns)
    if strategy is not grid:
        assert told(made(strategy, 1), turns) != told(made(strategy, 2), turns)


@every
def test_trials_that_run_at_the_same_time_differ(strategy):
    searcher = made(strategy)
    told(searcher, ["ends"] * 8)
    pending = told(searcher, ["runs"] * 8, first=8)
    assert len({json.dumps(config) for config in pending}) == 8


@every
def test_points_survive_json(strategy):
    for config in told(made(strategy), ["ends"] * 8):
        again = EVERYTHING.restored(json.loads(json.dumps(config)))
        assert again == config
        assert EVERYTHING.unit(again) == EVERYTHING.unit(config)


@every
def test_it_says_what_it_is_in_json(strategy):
    assert json.loads(json.dumps(made(strategy).describe()))["searcher"]


@every
@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_space_of_one_hyperparameter_is_enough(strategy, mode):
    space = EVERYTHING.fix(layers=2, units=8, batch=32, sizes=(8,), optimizer="adam", momentum=0.5)
    searcher = made(strategy, mode=mode, space=space)
    values = []
    for index in range(12):
        config = searcher.suggest(str(index))
        if config == Searcher.FINISHED:
            assert strategy is grid
            return
        searcher.on_trial_complete(str(index), {"epoch": 1, "score": config["rate"]})
        values.append(config["rate"])
    assert len(set(values)) == 12


@pytest.mark.parametrize("strategy", [RandomSearch, SobolSearch])
def test_where_all_is_fixed_a_study_repeats_one_configuration(strategy):
    space = type(EVERYTHING)("fixed", (), fixed=(("rate", 0.1),))
    assert told(made(strategy, space=space), ["runs"] * 3) == [{"rate": 0.1}] * 3


# Those that learn.


@learning
def test_a_model_of_nothing_is_an_error(strategy):
    space = type(EVERYTHING)("fixed", (), fixed=(("rate", 0.1),))
    with pytest.raises(ValueError, match="space fixed: every hyperparameter is fixed"):
        made(strategy, space=space)


@learning
@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_model_looks_where_it_was_good(strategy, mode):
    sign = 1 if mode == "max" else -1
    searcher, found = made(strategy, mode=mode), []
    for index in range(60):
        config = searcher.suggest(str(index))
        good = (config["optimizer"] == "rms") + (config["batch"] == 128) + config["layers"] / 6
        searcher.on_trial_complete(str(index), {"epoch": 1, "score": sign * good})
        found.append(good)
    assert statistics.median(found[40:]) > statistics.median(found[:20]) + 0.5


@learning
def test_a_model_keeps_away_from_where_trials_fail(strategy):
    searcher = made(strategy)
    failed = []
    for index in range(60):
        config = searcher.suggest(str(index))
        failed.append(config["rate"] > 0.01)
        if failed[-1]:
            searcher.on_trial_complete(str(index), {"score": 1e9}, error=True)
        else:
            searcher.on_trial_complete(str(index), {"epoch": 1, "score": config["rate"]})
    assert sum(failed[40:]) <= 6, "half of the space fails, right beside the best values"


@learning
def test_start_points_come_first_with_defaults_for_what_they_leave_out(strategy):
    searcher = made(strategy)
    searcher = type(searcher)(
        EVERYTHING,
        seed=0,
        start_points=[{"optimizer": "rms", "rate": 0.5}, {}, {"sizes": [8, 8], "momentum": 0.6}],
    )
    searcher.set_search_properties("score", "max", {})
    first, second, third, fourth = told(searcher, ["ends"] * 4)
    assert first == {**second, "optimizer": "rms", "rate": 0.5, "momentum": 0.0}
    assert second["momentum"] == 0.9
    assert second["units"] == 64
    assert third == {**second, "sizes": (8, 8), "momentum": 0.6}
    assert fourth["rate"] != second["rate"]


@learning
@pytest.mark.parametrize(
    ("point", "message"),
    [
        ({"rate": 2.0}, "rate must be a number from 0.0001 to 1, got 2.0"),
        ({"layers": 2.5}, "layers must be a whole number from 1 to 6, got 2.5"),
        ({"batch": 33}, "batch must be one of 32, 64, 128, got 33"),
        ({"optimizer": "adam", "momentum": 0.5}, "no momentum=0.5 here"),
        ({"ratte": 0.1}, "no ratte=0.1 here; it has"),
        ({"model": "cnn"}, "no model=cnn here"),
    ],
)
def test_a_start_point_that_is_not_in_the_space_is_an_error(strategy, point, message):
    with pytest.raises(ValueError, match=message):
        type(made(strategy))(EVERYTHING, seed=0, start_points=[point])


@learning
def test_in_a_small_space_no_point_comes_twice(strategy):
    space = EVERYTHING.fix(rate=0.1, units=8, optimizer="adam", momentum=0.5)
    searcher = made(strategy, space=space)
    configs = []
    for index in range(30):
        configs.append(searcher.suggest(str(index)))
        searcher.on_trial_complete(str(index), {"epoch": 1, "score": configs[-1]["layers"]})
    assert len({json.dumps(config) for config in configs[:30]}) == 30
