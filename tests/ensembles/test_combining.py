import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces.objective import Objective
from tune_cluster.ensembles.combining import combined, cross_fitted, fitted, selected
from tune_cluster.ensembles.scores import CLASS_SCORES, NUMBER_SCORES, log_loss

ACCURACY = Objective("accuracy", "max")
RMSE = Objective("rmse", "min")


def members_of(samples, classes, members, seed):
    """Predictions of members that know some of the truth."""
    generator = np.random.default_rng(seed)
    targets = generator.integers(0, classes, samples)
    known = np.eye(classes)[targets]
    shares = generator.uniform(0, 0.5, members)
    stack = np.stack(
        [s * known + (1 - s) * generator.dirichlet(np.ones(classes), samples) for s in shares]
    )
    return stack, targets


@given(st.integers(5, 80), st.integers(2, 4), st.integers(1, 6), st.integers(0, 2**32))
@settings(max_examples=40)
def test_fitted_weights_are_convex_and_no_worse_than_any_member_or_the_mean(
    samples, classes, members, seed
):
    stack, targets = members_of(samples, classes, members, seed)
    weights = fitted(stack, targets)
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1)
    others = [log_loss(one, targets) for one in (*stack, stack.mean(axis=0))]
    assert log_loss(combined(stack, weights), targets) <= min(others) + 1e-9


def test_fitted_weights_find_the_mixture_that_has_made_the_targets():
    generator = np.random.default_rng(0)
    stack = generator.dirichlet(np.ones(3), (3, 20_000))
    true = 0.6 * stack[0] + 0.4 * stack[2]
    targets = (generator.random(20_000)[:, None] > true.cumsum(axis=1)).sum(axis=1)
    np.testing.assert_allclose(fitted(stack, targets), [0.6, 0, 0.4], atol=0.05)


def test_fitted_weights_of_numbers_are_found_whatever_their_unit():
    generator = np.random.default_rng(0)
    for unit in (1e-6, 1.0, 1e6):
        stack = unit * generator.normal(5, 1, (3, 500))
        targets = 0.7 * stack[0] + 0.3 * stack[1]
        np.testing.assert_allclose(fitted(stack, targets), [0.7, 0.3, 0], atol=0.01)


@given(st.integers(5, 80), st.integers(2, 4), st.integers(1, 6), st.integers(0, 2**32))
@settings(max_examples=40)
def test_a_selection_is_no_worse_than_the_best_member(samples, classes, members, seed):
    stack, targets = members_of(samples, classes, members, seed)
    weights = selected(ACCURACY)(stack, targets)
    assert weights.sum() == pytest.approx(1)
    accuracy = CLASS_SCORES["accuracy"]
    best = max(accuracy(one, targets) for one in stack)
    assert accuracy(combined(stack, weights), targets) >= best


def test_a_selection_takes_a_member_again_where_that_helps():
    """Two parts of the first and one of the second are exact, and the third is of no use."""
    generator = np.random.default_rng(0)
    stack = generator.normal(0, 1, (3, 200))
    targets = 2 / 3 * stack[0] + 1 / 3 * stack[1]
    weights = selected(RMSE)(stack, targets)
    np.testing.assert_allclose(weights, [2 / 3, 1 / 3, 0], atol=0.02)
    assert NUMBER_SCORES["rmse"](combined(stack, weights), targets) < 0.05


def test_scores_of_fitted_weights_are_those_of_samples_they_were_not_fitted_on():
    """Forty guesses at random: weights fitted on the samples themselves seem to know something."""
    generator = np.random.default_rng(0)
    stack = generator.dirichlet(np.ones(2), (40, 100))
    targets = generator.integers(0, 2, 100)
    inside = log_loss(combined(stack, fitted(stack, targets)), targets)
    outside = log_loss(cross_fitted(fitted, stack, targets), targets)
    assert inside < outside
    # No guess beats half and half, on samples that it has not seen.
    assert outside > np.log(2) - 0.01


@pytest.mark.parametrize("metric", ["auroc", "average_precision"])
def test_a_selection_without_a_sample_of_a_class_goes_by_the_loss(metric):
    """One sample of the rare class, so that the weights of its block are fitted without it."""
    stack, _ = members_of(40, 2, 3, seed=0)
    targets = (np.arange(40) == 7).astype(int)
    fit = selected(Objective(metric, "max"))
    assert np.isfinite(cross_fitted(fit, stack, targets)).all()
    weights = fit(stack, np.zeros(40, int))
    assert weights.sum() == pytest.approx(1)


def test_every_sample_is_predicted_by_weights_of_the_others():
    seen = []

    def remember(stack, targets):
        seen.append(set(targets.tolist()))
        return np.ones(len(stack)) / len(stack)

    targets = np.arange(23)
    stack = np.stack([targets + 0.5, targets - 0.5])
    found = cross_fitted(remember, stack, targets)
    np.testing.assert_allclose(found, targets)
    left_out = [set(range(23)) - one for one in seen]
    assert sorted(row for block in left_out for row in block) == list(range(23))
