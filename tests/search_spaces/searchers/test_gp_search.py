"""The searcher with a Gaussian process: its observations, and its results."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

from search_spaces.schedulers.asha import ASHA
from search_spaces.schedulers.base import StudyScheduler
from search_spaces.searchers import gp_search
from search_spaces.searchers.gaussian_process import log_expected_improvement
from search_spaces.searchers.gp_search import (
    MOST,
    STARTUP,
    GPSearch,
    Observed,
    progress_of,
    standardised,
)
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.space import Space
from search_spaces.trial_events import Ended, Result, Suggested
from tests.search_spaces.conftest import EVERYTHING, parameter, study_of

PLANE = Space(
    "plane",
    (
        parameter("a", default=1e-3, low=1e-5, high=1.0, scale="log"),
        parameter("b", default=0.5, low=0.0, high=1.0),
    ),
)


def bowl(config):
    """Best at a = 10^-1.7 and b = 0.23."""
    return (math.log10(config["a"]) + 1.7) ** 2 + 8 * (config["b"] - 0.23) ** 2


def values_of(searcher, trials, value, mode="min", at_once=1):
    """Return values and configurations of that many trials, some of which run at once."""
    study_of(searcher, mode=mode).check()
    configs, values = [], []
    for index in range(trials):
        configs.append(searcher.point(index))
        searcher.on_event(Suggested(trial=index, config=configs[-1]), replay=False)
        if index >= at_once - 1:
            end(searcher, index - at_once + 1, value(configs[index - at_once + 1]))
            values.append(value(configs[index - at_once + 1]))
    return values, configs


def end(searcher, index, value, epoch=1):
    searcher.on_event(
        Result(trial=index, epoch=epoch, metrics={"score": float(value)}), replay=False
    )
    searcher.on_event(Ended(trial=index, epoch=epoch, status="finished"), replay=False)


@pytest.mark.parametrize("at_once", [1, 4])
def test_the_search_finds_the_minimum_of_a_bowl_that_random_points_miss(at_once):
    found, chance = [], []
    for seed in range(3):
        found.append(min(values_of(GPSearch(PLANE, seed=seed), 40, bowl, at_once=at_once)[0]))
        chance.append(min(values_of(RandomSearch(PLANE, seed=seed), 40, bowl)[0]))
    assert max(found) < 1e-2 * np.mean(chance)
    assert max(found) < 1e-3


def test_shifting_and_scaling_the_metric_leaves_the_proposals_unchanged():
    _, plain = values_of(GPSearch(PLANE, seed=0), 20, bowl)
    _, moved = values_of(GPSearch(PLANE, seed=0), 20, lambda config: 1024 - 4 * bowl(config), "max")
    for one, other in zip(plain, moved, strict=True):
        assert one["a"] == pytest.approx(other["a"], rel=1e-3)
        assert one["b"] == pytest.approx(other["b"], abs=1e-3)


def test_points_of_concurrent_trials_are_far_apart():
    searcher = GPSearch(PLANE, seed=0)
    values_of(searcher, STARTUP, bowl)
    places = []
    for index in range(STARTUP, STARTUP + 4):
        config = searcher.point(index)
        searcher.on_event(Suggested(trial=index, config=config), replay=False)
        places.append(PLANE.unit(config))
    gaps = [math.dist(one, other) for n, one in enumerate(places) for other in places[:n]]
    assert min(gaps) > 1e-3


def lived(searcher, index, values, status="stopped", config=None):
    """A trial that had these values by epoch and ended so."""
    config = config or searcher.point(index)
    searcher.on_event(Suggested(trial=index, config=config), replay=False)
    for epoch, value in values.items():
        searcher.on_event(
            Result(trial=index, epoch=epoch, metrics={"score": float(value)}), replay=False
        )
    if status:
        ended = Ended(trial=index, epoch=max(values, default=1), status=status)
        searcher.on_event(ended, replay=False)


def test_under_early_stopping_the_model_gets_the_values_at_each_rung_and_at_the_end():
    searcher = GPSearch(PLANE, seed=0)
    study_of(searcher, ASHA(max_epochs=27, grace_period=1), mode="max").check()
    lived(searcher, 0, {1: 0.1, 2: 0.2, 3: 0.3})
    lived(searcher, 1, dict.fromkeys(range(1, 28), 0.5), "finished")
    lived(searcher, 2, {1: 0.2, 2: 0.9, 4: 0.6}, None)
    lived(searcher, 3, {1: 0.7, 2: 0.8}, "diverged")
    observed = searcher._observed()
    expected = [
        *[(0, -0.3, 1 / 3), (0, -0.1, 0)],
        *[(1, -0.5, at) for at in (1, 0, 1 / 3, 2 / 3)],
        *[(2, -0.2, 0), (2, -0.6, math.log(4) / math.log(27))],
        (3, math.nan, 1),
    ]
    places = [list(searcher.trials[index].unit) for index, _, _ in expected]
    np.testing.assert_array_equal(observed.units, np.array(places))
    np.testing.assert_array_equal(observed.losses, [loss for _, loss, _ in expected])
    np.testing.assert_allclose(observed.progress, [progress for _, _, progress in expected])
    assert observed.target == 1


def test_while_all_trials_have_reached_the_same_epoch_the_search_optimises_that_epoch():
    searcher = GPSearch(PLANE, seed=0)
    study_of(searcher, ASHA(max_epochs=27, grace_period=1), mode="min").check()
    found = []
    for index in range(30):
        config = searcher.point(index)
        found.append(bowl(config))
        lived(searcher, index, {1: found[-1]}, config=config)
    assert searcher._observed().target == 0
    assert min(found) < 1e-2


def test_values_at_the_end_outweigh_misleading_early_ones():
    """Early values fall with b, late ones rise with it."""
    searcher = GPSearch(PLANE, seed=0)
    study_of(searcher, ASHA(max_epochs=27, grace_period=1), mode="max").check()
    for index in range(30):
        config = searcher.point(index)
        shares = progress_of(np.arange(1.0, 28), 27)
        curve = (1 - shares) * (1 - config["b"]) + shares * config["b"]
        values = dict(enumerate(curve[: 1 if index % 3 else 27].tolist(), start=1))
        lived(searcher, index, values, "stopped" if index % 3 else "finished", config)
    assert np.median([searcher.point(n)["b"] for n in range(30, 35)]) > 0.8


def test_without_rungs_the_model_gets_the_last_value_of_each_ended_trial():
    searcher = GPSearch(PLANE, seed=0)
    study_of(searcher, StudyScheduler()).check()
    lived(searcher, 0, {1: 0.1, 5: 0.3}, "finished")
    lived(searcher, 1, {1: 0.9}, None)
    observed = searcher._observed()
    assert observed.losses.tolist() == [-0.3]
    assert observed.progress.tolist() == [1.0]


@pytest.mark.parametrize("status", ["diverged", "finished"])
def test_trials_that_all_failed_or_are_all_equal_are_no_error(status):
    searcher = GPSearch(EVERYTHING, seed=0)
    study_of(searcher, StudyScheduler()).check()
    for index in range(STARTUP + 3):
        lived(searcher, index, {1: 1.0}, status)
    EVERYTHING.unit(searcher.point(STARTUP + 3))


def test_the_model_of_a_long_study_is_fitted_on_a_part_of_the_values_and_finds_the_best():
    searcher = GPSearch(EVERYTHING, seed=0)
    study_of(searcher, ASHA(max_epochs=27, grace_period=1)).check()
    rng = np.random.default_rng(0)
    for index in range(2 * MOST):
        config = EVERYTHING.point(rng.random(len(EVERYTHING.parameters)).tolist())
        lived(searcher, index, dict.fromkeys((1, 2, 3), config["layers"]), config=config)
    assert searcher.point(2 * MOST)["layers"] >= 5


losses = st.lists(st.floats(-1e6, 1e6), max_size=30)


@given(losses, st.integers(0, 40))
def test_half_of_the_fitted_values_are_the_best_and_none_is_repeated(values, most):
    values = np.array([*values, math.nan])
    units = np.arange(len(values), dtype=float)[:, None]
    among = Observed(units, np.ones(len(values)), values).among(most)
    chosen = among.units[:, 0].astype(int).tolist()
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(most, len(values))
    best = sorted(range(len(values)), key=lambda at: (math.isnan(values[at]), values[at]))
    if len(values) > most:
        assert set(best[: most // 2]) <= set(chosen)


@given(losses)
def test_standardising_keeps_the_order_and_centres_the_values(values):
    found = standardised(np.array(values))
    assert np.isfinite(found).all()
    assert not len(values) or abs(found.mean()) < 1e-6
    order = np.argsort(values, kind="stable")
    assert (np.diff(found[order]) >= -1e-9).all()


def test_an_extreme_value_leaves_the_differences_of_the_others():
    found = standardised(np.array([0.1, 0.2, 0.3, 0.4, 0.5, 1e12]))
    assert found[1] - found[0] > 0.1
    with_failed = standardised(np.array([0.1, 0.2, 0.3, math.nan, math.nan]))
    assert with_failed[3] == with_failed[4] == with_failed[2]


@given(st.floats(-100, 100), st.floats(0.01, 100), st.integers(0, 99))
@settings(max_examples=30)
def test_standardising_ignores_shift_and_scale(shift, scale, seed):
    values = np.random.default_rng(seed).standard_normal(12)
    np.testing.assert_allclose(
        standardised(shift + scale * values), standardised(values), atol=1e-6
    )


def test_progress_grows_with_the_logarithm_of_the_epoch():
    epochs = np.array([0.5, 1, 3, 9, 27, 30, math.inf])
    expected = [0, 0, 1 / 3, 2 / 3, 1, 1, 1]
    np.testing.assert_allclose(progress_of(epochs, 27), expected)
    np.testing.assert_allclose(progress_of(np.array([1.0, math.inf]), None), [1, 1])
    np.testing.assert_allclose(progress_of(np.array([math.inf]), 1), [1])
    assert len(progress_of(np.array([]), None)) == 0


def test_a_proposal_uses_one_thread_and_restores_the_limit_of_threads(monkeypatch):
    def threads():
        return [library["num_threads"] for library in threadpool_info() if is_blas(library)]

    def is_blas(library):
        return library["user_api"] == "blas"

    during = []

    def improvement(*arguments):
        during.extend(threads())
        return log_expected_improvement(*arguments)

    monkeypatch.setattr(gp_search, "log_expected_improvement", improvement)
    with threadpool_limits(2, user_api="blas"):
        values_of(GPSearch(PLANE, seed=0), STARTUP + 1, bowl)
        assert {*threads()} == {2}
    assert {*during} == {1}
