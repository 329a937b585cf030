"""The Gaussian process: properties by its definition, for any values."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import approx_fprime
from scipy.stats import norm

from search_spaces.searchers.gaussian_process import (
    BOUNDS,
    Evidence,
    Kernel,
    Posterior,
    fitted,
    log_expected_improvement,
)

SIZES = st.tuples(st.integers(1, 12), st.integers(1, 4))


def points(seed, count, columns):
    return np.random.default_rng(seed).random((count, columns))


def wave(x):
    return np.sin(5 * x[:, 0]) + (x[:, 1] - 0.3) ** 2


@given(st.integers(0, 99), SIZES, st.lists(st.floats(-2, 2), min_size=4, max_size=4))
@settings(max_examples=40)
def test_the_gradient_is_that_of_the_density(seed, size, logs):
    count, columns = size
    rng = np.random.default_rng(seed)
    evidence = Evidence(rng.random(size), rng.standard_normal(count))
    at = np.array([*logs[:columns], *([0.0] * (columns - 4)), logs[0] / 2, -3 + logs[1]])
    _, gradient = evidence.loss(at)
    expected = approx_fprime(at, lambda logs: evidence.loss(logs)[0], 1e-6)
    np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-3)


def test_the_density_is_that_of_the_normal_distribution():
    x, y = points(0, 6, 2), np.random.default_rng(1).standard_normal(6)
    kernel = Kernel(np.array([0.4, 0.8]), 1.3, 0.1)
    covariance = kernel.between(x, x) + 0.1 * np.eye(6)
    sign, logarithm = np.linalg.slogdet(covariance)
    expected = 0.5 * (y @ np.linalg.solve(covariance, y) + logarithm)
    logs = np.log([*kernel.lengths, kernel.signal, kernel.noise])
    evidence = Evidence(x, y)
    without = Evidence(x[:1], np.zeros(1))
    # What remains is the prior, as at a point without a value.
    single = 0.5 * math.log(kernel.signal + kernel.noise)
    difference = evidence.loss(logs)[0] - (without.loss(logs)[0] - single)
    assert sign == 1
    assert difference == pytest.approx(expected, rel=1e-5)


@given(st.integers(0, 99), SIZES)
@settings(max_examples=30)
def test_without_noise_the_mean_passes_through_the_observed_values(seed, size):
    count, columns = size
    x = points(seed, count, columns)
    y = np.sin(4 * x.sum(axis=1))
    posterior = Posterior(Kernel(np.full(columns, 0.3), 1.0, 1e-8), x, y)
    mean, deviation = posterior.at(x)
    np.testing.assert_allclose(mean, y, atol=1e-2)
    assert (deviation < 1e-3).all()
    np.testing.assert_allclose(posterior.mean(x), mean, atol=1e-6)


def test_far_from_all_observations_the_posterior_is_the_prior():
    posterior = Posterior(Kernel(np.array([0.1]), 2.0, 1e-4), np.zeros((1, 1)), np.ones(1))
    mean, deviation = posterior.at(np.array([[100.0]]))
    assert mean == pytest.approx(0, abs=1e-9)
    assert deviation == pytest.approx(math.sqrt(2))


@given(st.integers(0, 99))
@settings(max_examples=20)
def test_adding_its_own_mean_as_an_observation_keeps_the_mean_and_lowers_the_variance(seed):
    x, more, anywhere = points(seed, 8, 2), points(seed + 1, 3, 2), points(seed + 2, 20, 2)
    posterior = Posterior(Kernel(np.array([0.3, 0.5]), 1.0, 1e-3), x, wave(x))
    believing = posterior.believing(more)
    np.testing.assert_allclose(believing.at(anywhere)[0], posterior.at(anywhere)[0], atol=1e-6)
    np.testing.assert_allclose(believing.mean(anywhere), posterior.mean(anywhere), atol=1e-9)
    assert (believing.at(anywhere)[1] <= posterior.at(anywhere)[1] + 1e-6).all()
    assert (believing.at(more)[1] < 0.1).all()
    # The same as if it had observed the values that it expects.
    told = Posterior(
        posterior.kernel, np.vstack([x, more]), np.concatenate([wave(x), posterior.mean(more)])
    )
    np.testing.assert_allclose(told.at(anywhere)[1], believing.at(anywhere)[1], atol=1e-9)
    without = posterior.believing(np.empty((0, 2)))
    np.testing.assert_allclose(without.at(anywhere), posterior.at(anywhere), atol=1e-9)


def test_two_outputs_with_one_kernel_have_the_means_of_separate_processes():
    x, there = points(0, 8, 2), points(1, 5, 2)
    kernel, y = Kernel(np.array([0.3, 0.5])), np.column_stack([wave(x), x[:, 0]])
    mean, deviation = Posterior(kernel, x, y).believing(there[:1]).at(there)
    for column in (0, 1):
        single = Posterior(kernel, x, y[:, column]).believing(there[:1]).at(there)
        np.testing.assert_allclose(mean[:, column], single[0], atol=1e-9)
        np.testing.assert_allclose(deviation, single[1], atol=1e-9)


def test_fitting_never_lowers_the_density_of_the_start():
    x = points(0, 40, 3)
    y = wave(x)
    y = (y - y.mean()) / y.std()
    kernel = fitted(x, y)
    evidence = Evidence(x, y)
    logs = np.log([*kernel.lengths, kernel.signal, kernel.noise])
    assert evidence.loss(logs)[0] < evidence.loss(evidence.start)[0]
    # The third column does not matter, the first most.
    assert kernel.lengths[2] > 5 * kernel.lengths[1] > kernel.lengths[0]
    there = points(1, 100, 3)
    expected = (wave(there) - wave(x).mean()) / wave(x).std()
    mean, _ = Posterior(kernel, x, y).at(there)
    assert np.abs(mean - expected).mean() < 0.1


@pytest.mark.parametrize("y", [[0.0] * 5, [1e9, 0, 0, 0, 0], [0.0]])
def test_equal_values_a_single_value_and_repeated_points_can_be_fitted(y):
    x = np.vstack([np.zeros((len(y) - 1, 2)), np.ones((1, 2))])
    y = np.array(y)
    kernel = fitted(x, (y - y.mean()) / (y.std() or 1))
    logs = np.log([*kernel.lengths, kernel.signal, kernel.noise])
    assert np.isfinite(logs).all()
    low, high = np.array(BOUNDS).T
    assert ((low - 1e-9 <= logs[-3:]) & (logs[-3:] <= high + 1e-9)).all()
    mean, deviation = Posterior(kernel, x, y).at(x)
    assert np.isfinite(mean).all()
    assert np.isfinite(deviation).all()


@given(st.floats(-5, 5), st.floats(0.1, 3), st.floats(-5, 5))
@settings(max_examples=50)
def test_the_expected_improvement_is_the_integral_of_its_definition(mean, deviation, best):
    (found,) = log_expected_improvement(np.array([mean]), np.array([deviation]), best)

    def improvement(value):
        return max(best - value, 0.0) * norm.pdf(value, mean, deviation)

    low = min(mean, best) - 12 * deviation
    expected, _ = quad(improvement, low, best, limit=200, points=[max(low, mean)])
    if expected > 1e-10:
        assert found == pytest.approx(math.log(expected), rel=1e-4, abs=1e-4)


@given(st.floats(0, 1e7), st.floats(1e-6, 1e3))
@settings(max_examples=200)
def test_the_log_improvement_of_a_hopeless_point_is_finite_and_falls(far, deviation):
    means = deviation * np.array([far, far * 1.01 + 0.01])
    near, farther = log_expected_improvement(means, np.full(2, deviation), 0.0)
    assert np.isfinite(near)
    assert near > farther > -math.inf
