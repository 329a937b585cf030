"""Start points of a study by earlier ones: a few configurations that cover them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces.hyperparameter import Hyperparameter
from search_spaces.objective import Objective
from search_spaces.searchers.learning import TrialRecord
from search_spaces.searchers.portfolio import Confirmed, covering, normal_scores, portfolio
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.space import Space
from search_spaces.trial_events import Earlier
from tests.search_spaces.conftest import EVERYTHING

MAX = Objective("score", "max")


def earlier(study, value_of, *, trials=24, seed=0, status="finished"):
    """A study of random points."""
    searcher = RandomSearch(EVERYTHING, seed=seed)
    configs = [searcher.point(index) for index in range(trials)]
    return [
        Earlier(study=study, config=config, values={"1": value_of(config)}, status=status)
        for config in configs
    ]


def near(rate):
    return lambda config: -abs(math.log10(config["rate"]) - rate)


def rates_of(points):
    return [math.log10(point.config["rate"]) for point in points]


def test_each_earlier_study_has_a_good_configuration_among_the_first():
    studies = {"low": earlier("low", near(-3.5)), "high": earlier("high", near(-0.5), seed=1)}
    points = portfolio(EVERYTHING, studies, MAX, 3)
    assert min(abs(rate + 3.5) for rate in rates_of(points)) < 0.5
    assert min(abs(rate + 0.5) for rate in rates_of(points)) < 0.5
    assert {point.study for point in points} == {"low", "high"}


def test_configurations_that_are_good_in_most_studies_come_first():
    studies = {str(seed): earlier(str(seed), near(-3), seed=seed) for seed in range(3)}
    studies["odd"] = earlier("odd", near(-0.2), seed=9)
    (first,) = portfolio(EVERYTHING, studies, MAX, 1)
    assert rates_of([first])[0] == pytest.approx(-3, abs=0.7)


def test_a_configuration_equals_that_of_its_trial_exactly():
    # 0.1 comes back from the unit cube as 0.10000000000000006.
    space = Space("own", (Hyperparameter(name="lr", low=1e-3, high=1.0, scale="log"),))
    rates = (0.1, 0.002, 0.5, 0.9, 0.03)
    trials = [
        Earlier(study="s", config={"lr": lr}, values={"1": -float(at)}, status="finished")
        for at, lr in enumerate(rates)
    ]
    (best,) = portfolio(space, {"s": trials}, MAX, 1)
    assert best.config == {"lr": 0.1}


def test_trials_out_of_the_space_and_studies_of_few_trials_are_left_out():
    few = earlier("few", near(-3), trials=3)
    other = [
        Earlier(study="s", config={**e.config, "model": "cnn"}, values=e.values, status=e.status)
        for e in earlier("s", near(-3))
    ]
    assert portfolio(EVERYTHING, {"few": few, "other": other}, MAX, 8) == []
    assert portfolio(EVERYTHING, {}, MAX, 8) == []


def test_a_configuration_that_failed_is_no_start_point():
    good = earlier("s", near(-3), trials=2)
    failed = earlier("s", near(-3), trials=12, status="diverged", seed=1)
    points = portfolio(EVERYTHING, {"s": [*good, *failed]}, MAX, 8)
    assert points
    assert {p.config["rate"] for p in points} <= {e.config["rate"] for e in good}


@settings(max_examples=20)
@given(
    st.lists(st.integers(-3, 3), min_size=4, max_size=12),
    st.floats(0.1, 100),
    st.integers(0, 8),
)
def test_start_points_lie_in_the_space_and_depend_on_ranks_alone(values, scale, count):
    def study(value_of):
        trials = earlier("s", lambda config: 0.0, trials=len(values))
        return [
            Earlier(study="s", config=e.config, values={"1": value_of(v)}, status=e.status)
            for e, v in zip(trials, values, strict=True)
        ]

    points = portfolio(EVERYTHING, {"s": study(float)}, MAX, count)
    assert len(points) <= count
    assert points == portfolio(EVERYTHING, {"s": study(lambda v: math.exp(v) * scale)}, MAX, count)
    for point in points:
        assert "model" not in point.config
        EVERYTHING.unit(EVERYTHING.complete(point.config))


def at(rate):
    """The configuration of a trial near a learning rate, without its seed."""
    (found,) = earlier("s", near(rate), trials=1, seed=3)
    return {**found.config, "rate": 10.0**rate}


def test_what_is_confirmed_comes_first_and_what_is_refuted_never():
    studies = {"low": earlier("low", near(-3.5)), "high": earlier("high", near(-0.5), seed=1)}
    (best, *_) = portfolio(EVERYTHING, {"low": studies["low"]}, MAX, 1)
    lucky = next(e.config for e in studies["low"] if e.config["rate"] == best.config["rate"])
    judged = Confirmed(study="low-confirm", best=[at(-2.0), at(-2.5)], worse=[lucky])
    points = portfolio(EVERYTHING, studies, MAX, 5, {"low": judged})
    assert rates_of(points)[:2] == pytest.approx([-2.0, -2.5])
    assert [point.study for point in points][:2] == ["low-confirm"] * 2
    assert {point.study for point in points[2:]} == {"high"}
    assert len(portfolio(EVERYTHING, studies, MAX, 1, {"low": judged})) == 1
    # It is lucky in the other study too, which has not been confirmed.
    again = {**studies, "high": [*studies["high"], *studies["low"]]}
    points = portfolio(EVERYTHING, again, MAX, 8, {"low": judged})
    assert lucky["rate"] not in [point.config["rate"] for point in points]


@given(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9), st.randoms())
def test_a_cover_has_each_configuration_once_and_each_improves_a_study(
    studies, columns, count, random
):
    expected = np.array([[random.random() for _ in range(columns)] for _ in range(studies)])
    taken = covering(expected, count)
    assert 1 <= len(taken) == len(set(taken)) <= min(count, columns)
    means = [expected[:, taken[: n + 1]].min(axis=1).mean() for n in range(len(taken))]
    assert means == sorted(means, reverse=True)
    assert taken[0] == expected.mean(axis=0).argmin()


def test_stopped_trials_rank_below_those_that_continued():
    def trial(state, **values):
        return TrialRecord((), {float(k[1:]): v for k, v in values.items()}, state)

    stopped = [trial("stopped", e1=0.9 - n / 10) for n in range(3)]
    further = [trial("stopped", e1=0.5, e3=0.1 + n / 10) for n in range(4)]
    scores = normal_scores([*stopped, *further, trial("failed")], MAX)
    assert list(np.argsort(scores)) == [6, 5, 4, 3, 0, 1, 2, 7]
