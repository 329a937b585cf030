"""Bounds without replacement, and ranks under weights, where the truth is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tune_cluster.reports.sampling import (
    bootstrapped_rank_correlation,
    bounds,
    rank_correlation,
    weighted_ranks,
)


@st.composite
def draws(draw):
    of = draw(st.integers(0, 60))
    drawn = draw(st.integers(0, of))
    return draw(st.integers(0, drawn)), drawn, of


@given(draws())
def test_the_bounds_are_possible_and_hold_what_was_seen(case):
    hits, drawn, of = case
    low, high = bounds(hits, drawn, of)
    assert hits <= low <= high <= of - (drawn - hits)
    if drawn:
        assert low <= -(-hits * of // drawn)
        assert high >= hits * of // drawn


@given(st.integers(0, 60).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_once_all_are_drawn_nothing_is_left_to_guess(case):
    assert bounds(*case[:1], case[1], case[1]) == (case[0], case[0])


def test_without_a_draw_everything_is_possible():
    assert bounds(0, 0, 7) == (0, 7)


@pytest.mark.parametrize("case", [(2, 1, 5), (1, 6, 5), (-1, 2, 3)])
def test_impossible_draws_are_refused(case):
    with pytest.raises(ValueError, match="can't exceed"):
        bounds(*case)


@pytest.mark.parametrize(("of", "drawn"), [(20, 3), (20, 12), (60, 30), (61, 7)])
def test_at_least_95_in_a_hundred_samples_have_the_truth_between_their_bounds(of, drawn):
    allowed = [bounds(hits, drawn, of) for hits in range(drawn + 1)]
    for truth in range(of + 1):
        chances = stats.hypergeom(of, truth, drawn).pmf(np.arange(drawn + 1))
        covered = sum(
            p for p, (low, high) in zip(chances, allowed, strict=True) if low <= truth <= high
        )
        assert covered >= 0.95 - 1e-12


def test_of_many_they_are_those_of_clopper_and_pearson():
    low, high = bounds(6, 30, 30_000)
    exact = stats.binomtest(6, 30).proportion_ci()
    assert (low / 30_000, high / 30_000) == pytest.approx((exact.low, exact.high), abs=1e-3)


values = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 4)), min_size=2)


@given(values)
def test_a_weight_is_so_many_equal_trials(rows):
    first, second, weights = np.array(rows, float).T
    ours = rank_correlation(first, second, weights)
    repeated = np.repeat(np.array(rows, float)[:, :2], weights.astype(int), axis=0)
    if len({a for a, *_ in rows}) == 1 or len({b for _, b, _ in rows}) == 1:
        assert ours is None
    else:
        assert ours == pytest.approx(stats.spearmanr(repeated).statistic, abs=1e-9)


def test_ranks_are_the_weight_below_and_half_of_the_own():
    ranks = weighted_ranks(np.array([3.0, 1.0, 3.0, 2.0]), np.array([1.0, 4.0, 1.0, 2.0]))
    assert ranks.tolist() == [7.0, 2.0, 7.0, 5.0]


def test_the_same_order_is_a_correlation_of_one_with_no_doubt():
    rows = np.array([(x, x**3) for x in range(12)], float)
    assert bootstrapped_rank_correlation([rows[6:], rows[:6]], [6, 60]) == pytest.approx((1, 1, 1))
    rows[:, 1] *= -1
    assert bootstrapped_rank_correlation([rows], [12]) == pytest.approx((-1, -1, -1))


def test_values_that_are_all_equal_have_no_rank_correlation():
    assert bootstrapped_rank_correlation([np.ones((12, 2))], [12]) is None


def test_the_same_sample_has_the_same_interval_around_what_was_found():
    rows = np.random.default_rng(0).normal(size=(40, 2)) + np.arange(40)[:, None] / 10
    found, low, high = bootstrapped_rank_correlation([rows[:20], rows[20:]], [20, 200])
    assert -1 <= low < found < high <= 1
    again = bootstrapped_rank_correlation([rows[:20], rows[20:]], [20, 200])
    assert again == (found, low, high)
