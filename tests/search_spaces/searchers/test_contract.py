"""Contract suite that every searcher runs."""

import json
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces.schedulers.asha import ASHA
from search_spaces.schedulers.base import StudyScheduler
from search_spaces.searchers.auto_search import auto
from search_spaces.searchers.gp_search import GPSearch
from search_spaces.searchers.grid_search import GridSearch
from search_spaces.searchers.optuna_search import OptunaSearch
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.searchers.sobol_search import SobolSearch
from search_spaces.searchers.tpe_search import TPESearch
from search_spaces.trial_events import (
    Decision,
    Earlier,
    Ended,
    Event,
    NotExploited,
    Result,
    Suggested,
)
from tests.search_spaces.conftest import EVERYTHING, study_of


def grid(space, *, seed, start_points=()):
    return GridSearch(space, start_points=start_points)


def gp(space, *, seed, start_points=()):
    return GPSearch(space, seed=seed, startup=5, start_points=start_points)


def tpe(space, *, seed, start_points=()):
    return TPESearch(space, seed=seed, startup=5, start_points=start_points)


def optuna(space, *, seed, start_points=()):
    return OptunaSearch(space, seed=seed, startup=5, start_points=start_points)


SEARCHERS = [grid, RandomSearch, SobolSearch, gp, tpe, optuna, auto]
LEARNING = [gp, tpe, optuna, auto]

every = pytest.mark.parametrize("kind", SEARCHERS)
learning = pytest.mark.parametrize("kind", LEARNING)


def made(kind, seed=0, mode="max", space=EVERYTHING, **options):
    return begun(kind(space, seed=seed, **options), mode)


def begun(searcher, mode="max"):
    """The searcher of a study whose trials are compared after 1, 3 and 9 epochs."""
    study_of(searcher, ASHA(max_epochs=27), mode=mode).check()
    return searcher


def score(config):
    return config["layers"] / 6 - abs(config["rate"] - 0.1)


def result(index, epoch, value):
    return Result(trial=index, epoch=epoch, metrics={"score": value})


def suggested(searcher, index):
    """The next configuration, which a trial has from now on."""
    config = searcher.point(index)
    searcher.on_event(Suggested(trial=index, config=config), replay=False)
    return config


def happened(index, config, turn):
    """Return the events of a trial, by `turn`."""
    if turn == "ends":
        yield result(index, 1, score(config) / 2)
        yield result(index, 2, score(config))
        yield Ended(trial=index, epoch=2, status="finished")
    elif turn == "fails":
        yield Ended(trial=index, epoch=1, status="failed")
    elif turn == "vanishes":
        yield Ended(trial=index, epoch=1, status="failed", blameless=True)


def studied(searcher, turns, first=0):
    """Suggest configurations and report results; return the configurations."""
    configs = []
    for index, turn in enumerate(turns, start=first):
        configs.append(suggested(searcher, index))
        for event in happened(index, configs[-1], turn):
            searcher.on_event(event, replay=False)
    return configs


def finish(searcher, index, value):
    searcher.on_event(result(index, 1, value), replay=False)
    searcher.on_event(Ended(trial=index, epoch=1, status="finished"), replay=False)


def fail(searcher, index):
    searcher.on_event(Ended(trial=index, epoch=1, status="diverged"), replay=False)


OTHERS = (
    Event(),
    Decision(trial=0, rung=1, value=0.5, cutoff=None, rank=1, of=1, stop=True),
    NotExploited(trial=0, epoch=1, donor=0, reason="gone"),
    Earlier(study="s", config={"rate": 0.1}, values={"1": 0.5}, status="finished"),
    Earlier(study="s", config={"rate": 7.0}, values={}, status="failed"),
)

turns = st.lists(st.sampled_from(["ends", "fails", "vanishes", "runs"]), max_size=16)


@every
@given(turns=turns, seed=st.integers(0, 2**40))
@settings(max_examples=20)
def test_every_point_lies_in_the_space_whatever_the_earlier_results(kind, turns, seed):
    for config in studied(made(kind, seed), turns):
        EVERYTHING.unit(config)
        assert config["model"] == "mlp"
        low, high = {"sgd": (0.5, 0.99), "rms": (0, 0.4), "adam": (None, None)}[config["optimizer"]]
        assert ("momentum" in config) == (low is not None)
        assert low is None or low <= config["momentum"] <= high


@every
@given(turns=turns, cut=st.integers(0, 16))
@settings(max_examples=20)
def test_a_new_searcher_that_replays_the_events_continues_as_the_old_one(kind, turns, cut):
    """Return the events as restored from JSON: a study is resumed and extended by them."""
    whole = studied(made(kind), turns)
    resumed = made(kind)
    for index, (config, turn) in enumerate(zip(whole[:cut], turns[:cut], strict=True)):
        for event in (Suggested(trial=index, config=config), *happened(index, config, turn)):
            again = type(event).from_json(json.loads(json.dumps(event.to_json())))
            resumed.on_event(again, replay=True)
    assert studied(resumed, turns[cut:], first=cut) == whole[cut:]


@every
def test_a_searcher_accepts_events_that_do_not_concern_it(kind):
    """Every searcher gets every event of its study."""
    searcher = made(kind)
    studied(searcher, ["ends"])
    for event in OTHERS:
        searcher.on_event(event, replay=False)
    EVERYTHING.unit(searcher.point(1))


@every
def test_the_size_of_a_searcher_is_none_or_above_one(kind):
    searcher = made(kind)
    assert searcher.size is None or searcher.size > 1
    assert not searcher.not_resumable


@every
def test_the_seed_determines_the_points(kind):
    turns = ["ends"] * 8
    assert studied(made(kind, 1), turns) == studied(made(kind, 1), turns)
    if kind is not grid:
        assert studied(made(kind, 1), turns) != studied(made(kind, 2), turns)


@every
def test_trials_that_run_at_the_same_time_differ(kind):
    searcher = made(kind)
    studied(searcher, ["ends"] * 8)
    pending = studied(searcher, ["runs"] * 8, first=8)
    assert len({json.dumps(config) for config in pending}) == 8


@every
def test_points_survive_json(kind):
    for config in studied(made(kind), ["ends"] * 8):
        again = EVERYTHING.restored(json.loads(json.dumps(config)))
        assert again == config
        assert EVERYTHING.unit(again) == EVERYTHING.unit(config)


@every
def test_a_searcher_describes_itself_in_json(kind):
    assert json.loads(json.dumps(made(kind).describe()))["searcher"]


@every
@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_space_of_one_hyperparameter_is_enough(kind, mode):
    space = EVERYTHING.fix(layers=2, units=8, batch=32, sizes=(8,), optimizer="adam", momentum=0.5)
    searcher = made(kind, mode=mode, space=space)
    values = []
    for index in range(12):
        if index == searcher.size:
            assert kind is grid
            return
        config = suggested(searcher, index)
        finish(searcher, index, config["rate"])
        values.append(config["rate"])
    assert len(set(values)) == 12


@pytest.mark.parametrize("kind", [RandomSearch, SobolSearch])
def test_a_space_with_everything_fixed_repeats_one_configuration(kind):
    space = type(EVERYTHING)("fixed", (), fixed=(("rate", 0.1),))
    assert studied(made(kind, space=space), ["runs"] * 3) == [{"rate": 0.1}] * 3


# Those that learn.


@learning
def test_a_model_based_searcher_refuses_a_space_with_everything_fixed(kind):
    space = type(EVERYTHING)("fixed", (), fixed=(("rate", 0.1),))
    with pytest.raises(ValueError, match="space fixed: every hyperparameter is fixed"):
        made(kind, space=space)


@learning
@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_model_based_searcher_suggests_points_near_good_ones(kind, mode):
    sign = 1 if mode == "max" else -1
    searcher, found = made(kind, mode=mode), []
    for index in range(60):
        config = suggested(searcher, index)
        good = (config["optimizer"] == "rms") + (config["batch"] == 128) + config["layers"] / 6
        finish(searcher, index, sign * good)
        found.append(good)
    assert statistics.median(found[40:]) > statistics.median(found[:20]) + 0.5


@learning
def test_a_model_based_searcher_avoids_regions_where_trials_fail(kind):
    searcher = made(kind)
    failed = []
    for index in range(60):
        config = suggested(searcher, index)
        failed.append(config["rate"] > 0.01)
        if failed[-1]:
            fail(searcher, index)
        else:
            finish(searcher, index, config["rate"])
    assert sum(failed[40:]) <= 6, "half of the space fails, right beside the best values"


@every
def test_start_points_come_first_and_defaults_complete_them(kind):
    points = [{"optimizer": "rms", "rate": 0.5}, {}, {"sizes": [8, 8], "momentum": 0.6}]
    searcher = made(kind, start_points=points)
    first, second, third, fourth = studied(searcher, ["ends"] * 4)
    assert first == {**second, "optimizer": "rms", "rate": 0.5, "momentum": 0.0}
    assert second["momentum"] == 0.9
    assert second["units"] == 64
    assert third == {**second, "sizes": (8, 8), "momentum": 0.6}
    assert fourth not in (first, second, third)


@every
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
def test_a_start_point_that_is_not_in_the_space_is_an_error(kind, point, message):
    with pytest.raises(ValueError, match=message):
        made(kind, start_points=[point])


@learning
def test_a_searcher_reports_how_many_trials_of_an_earlier_study_it_uses(kind):
    searcher = made(kind)
    assert searcher.learned == ""
    for event in OTHERS:
        searcher.on_event(event, replay=True)
    assert searcher.learned == "1 of 2 trials of s are in this space"


@learning
@pytest.mark.parametrize("scheduler", [StudyScheduler(), ASHA(max_epochs=27, grace_period=3)])
def test_trials_of_an_earlier_study_may_have_been_stopped_where_this_one_has_no_rung(
    kind, scheduler
):
    searcher = kind(EVERYTHING, seed=0)
    study_of(searcher, scheduler).check()
    for value in range(6):
        stopped = {"config": {"rate": 0.1}, "values": {"1": value}, "status": "stopped"}
        searcher.on_event(Earlier(study="s", **stopped), replay=False)
    assert searcher.learned == "6 of 6 trials of s are in this space"
    EVERYTHING.unit(searcher.point(0))


@learning
def test_a_searcher_starts_its_next_study_from_scratch(kind):
    searcher = made(kind)
    first = studied(searcher, ["ends"] * 12)
    assert studied(begun(searcher), ["ends"] * 12) == first


@learning
def test_in_a_small_space_no_point_is_suggested_twice(kind):
    space = EVERYTHING.fix(rate=0.1, units=8, optimizer="adam", momentum=0.5)
    searcher = made(kind, space=space)
    configs = []
    for index in range(30):
        configs.append(suggested(searcher, index))
        finish(searcher, index, configs[-1]["layers"])
    assert len({json.dumps(config) for config in configs[:30]}) == 30
