"""Cost of early stopping, in populations where it is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tune_cluster.reports.early_stopping import (
    Followed,
    advised,
    bootstrapped_rank_correlation,
    bounds,
    candidates,
    epochs_at_once,
    killed,
    rank_correlation,
    top_shares,
    weighted_ranks,
)

ends = st.lists(st.integers(0, 30).map(float), max_size=12)


def truly_killed(survivors, stopped, top):
    """Return how many of the best `top` were stopped; of equal ones the survivor comes first."""
    everyone = [(-value, 0) for value in survivors] + [(-value, 1) for value in stopped]
    return sum(was_stopped for _, was_stopped in sorted(everyone)[:top])


@given(ends.filter(len), ends)
def test_with_every_stopped_trial_as_a_control_the_count_is_exact(survivors, stopped):
    top = min(5, len(survivors))
    truth = truly_killed(survivors, stopped, top)
    found = killed(survivors, stopped, len(stopped), top)
    assert found == {"estimate": pytest.approx(truth), "low": truth, "high": truth}


@given(ends.filter(len), ends.filter(len), st.integers(0, 40))
def test_the_estimate_is_within_its_bounds_and_at_most_the_number_of_stopped_trials(
    survivors, controls, more
):
    top, stopped = min(5, len(survivors)), len(controls) + more
    found = killed(survivors, controls, stopped, top)
    assert 0 <= found["low"] <= found["high"] <= min(top, stopped)
    assert found["low"] - 1e-9 <= found["estimate"] <= found["high"] + 1
    shares = top_shares(survivors, controls, stopped, top)
    assert sum(shares) == pytest.approx(top)


def test_a_rung_compares_the_first_value_at_or_past_it_or_the_last_of_an_ended_trial():
    trial = Followed({2: 0.2, 4: 0.4, 10: 0.3}, None, failed=False)
    assert [trial.at(rung) for rung in (1, 3, 9, 27)] == [0.2, 0.4, 0.3, 0.3]
    assert [trial.reached(rung) for rung in (9, 10, 27)] == [True, True, False]
    assert Followed({1: 0.2}, None, failed=True).at(3) == -np.inf


@pytest.mark.parametrize("share", [0.1, 0.4])
@pytest.mark.parametrize("luck", [0.0, 1.0, 3.0])
def test_the_interval_contains_the_truth_in_at_least_95_of_100_draws(share, luck):
    """`luck`: how far the order of the rungs is from that of the ends."""
    rng = np.random.default_rng([int(share * 10), int(luck)])
    covered, draws = 0, 400
    for _ in range(draws):
        quality = rng.normal(size=64)
        order = np.argsort(quality + luck * rng.normal(size=64))
        stopped, survivors = quality[order[:54]], quality[order[54:]]
        controls = stopped[rng.random(54) < share]
        found = killed(list(survivors), list(controls), 54, 5)
        low, high = (0, 5) if found is None else (found["low"], found["high"])
        covered += low <= truly_killed(survivors, stopped, 5) <= high
    assert covered >= 0.95 * draws


def test_without_controls_or_survivors_the_count_is_unknown_and_without_stops_it_is_zero():
    assert killed([1.0, 2.0], [], 3, 2) is None
    assert killed([], [1.0], 3, 0) is None
    assert killed([1.0, 2.0], [], 0, 2) == {"estimate": 0.0, "low": 0, "high": 0}


def trial(values, rung=None, failed=False):
    return Followed(dict(enumerate(values, start=1)), rung, failed)


def test_a_rung_sees_the_last_value_of_an_ended_trial_and_a_failure_as_the_worst():
    assert trial([0.1, 0.3, 0.2]).end == 0.3
    assert [trial([0.1, 0.3]).at(epoch) for epoch in (1, 2, 5)] == [0.1, 0.3, 0.3]
    assert trial([0.1], failed=True).at(1) == 0.1
    assert trial([0.1], failed=True).at(2) == -np.inf


ASHA = {"reduction_factor": 3, "max_epochs": 9, "grace_period": 1}


def crossing(epoch, number=40):
    """Trials whose curves have the order of their ends from `epoch` on, and before the opposite."""
    return [
        trial([(i if e >= epoch else -i) + e / 100 for e in range(1, 10)]) for i in range(number)
    ]


@pytest.mark.parametrize(("epoch", "found"), [(1, 1), (2, 2), (3, 3), (4, 5), (5, 5), (9, None)])
def test_the_smallest_grace_period_that_keeps_the_best_trials_is_advised(epoch, found):
    trials = crossing(epoch)
    controls = [Followed(t.values, 1, False) for t in trials[::2]]
    advice = advised(trials[1::2], controls, 20, ASHA)
    assert advice["advised"] == found
    assert (advice["kept_now"] == 1) is (found == 1)
    if found is None:
        assert "kept" not in advice
    else:
        assert advice["kept"] >= 0.9
        assert advice["epochs"] == epochs_at_once(40, found, 3, 9)


def test_a_control_represents_all_stopped_trials():
    # Ten equal survivors, and worse controls; with one control for 90 trials, the
    # value after one epoch is the best of all.
    survivors = [trial([0.5] * 8 + [1.0 + i]) for i in range(10)]
    controls = [Followed({1: 0.9, 9: 0.9}, 1, False)]
    few = advised(survivors, controls, 1, ASHA)
    many = advised(survivors, controls, 90, ASHA)
    assert few["kept_now"] == 1
    assert many["kept_now"] == 0


def test_grace_periods_are_half_steps_of_the_scale():
    assert candidates(3, 27) == [1, 2, 3, 5, 9, 16]
    assert candidates(2, 9) == [1, 2, 3, 4, 6, 8]
    assert candidates(3, 1) == []


@pytest.mark.parametrize(
    ("trials", "grace", "epochs"), [(27, 1, 27 + 9 * 2 + 3 * 6), (27, 9, 243), (2, 1, 2 + 2 + 6)]
)
def test_the_epochs_that_rungs_cost_if_all_trials_run_at_once_are_counted(trials, grace, epochs):
    assert epochs_at_once(trials, grace, 3, 9) == epochs


@st.composite
def draws(draw):
    of = draw(st.integers(0, 60))
    drawn = draw(st.integers(0, of))
    return draw(st.integers(0, drawn)), drawn, of


@given(draws())
def test_the_bounds_are_possible_and_contain_the_observed_share(case):
    hits, drawn, of = case
    low, high = bounds(hits, drawn, of)
    assert hits <= low <= high <= of - (drawn - hits)
    if drawn:
        assert low <= -(-hits * of // drawn)
        assert high >= hits * of // drawn


@given(st.integers(0, 60).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_once_all_are_drawn_the_bounds_equal_the_count(case):
    assert bounds(case[0], case[1], case[1]) == (case[0], case[0])


def test_without_a_draw_the_bounds_span_every_count():
    assert bounds(0, 0, 7) == (0, 7)


@pytest.mark.parametrize("case", [(2, 1, 5), (1, 6, 5), (-1, 2, 3)])
def test_impossible_draws_are_refused(case):
    with pytest.raises(ValueError, match="hits <= draws"):
        bounds(*case)


@pytest.mark.parametrize(("of", "drawn"), [(20, 3), (20, 12), (60, 30), (61, 7)])
def test_the_bounds_contain_the_truth_in_at_least_95_of_100_samples(of, drawn):
    allowed = [bounds(hits, drawn, of) for hits in range(drawn + 1)]
    for truth in range(of + 1):
        chances = stats.hypergeom(of, truth, drawn).pmf(np.arange(drawn + 1))
        covered = sum(
            p for p, (low, high) in zip(chances, allowed, strict=True) if low <= truth <= high
        )
        assert covered >= 0.95 - 1e-12


def test_for_a_large_population_the_bounds_equal_those_of_clopper_and_pearson():
    low, high = bounds(6, 30, 30_000)
    exact = stats.binomtest(6, 30).proportion_ci()
    assert (low / 30_000, high / 30_000) == pytest.approx((exact.low, exact.high), abs=1e-3)


values = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 4)), min_size=2)


@given(values)
def test_a_weight_counts_as_that_many_equal_trials(rows):
    first, second, weights = np.array(rows, float).T
    ours = rank_correlation(first, second, weights)
    repeated = np.repeat(np.array(rows, float)[:, :2], weights.astype(int), axis=0)
    if len({a for a, *_ in rows}) == 1 or len({b for _, b, _ in rows}) == 1:
        assert ours is None
    else:
        assert ours == pytest.approx(stats.spearmanr(repeated).statistic, abs=1e-9)


def test_a_weighted_rank_is_the_weight_below_plus_half_of_its_own():
    ranks = weighted_ranks(np.array([3.0, 1.0, 3.0, 2.0]), np.array([1.0, 4.0, 1.0, 2.0]))
    assert ranks.tolist() == [7.0, 2.0, 7.0, 5.0]


def test_the_same_order_has_a_correlation_of_one_with_an_interval_of_width_zero():
    rows = np.array([(x, x**3) for x in range(12)], float)
    assert bootstrapped_rank_correlation([rows[6:], rows[:6]], [6, 60]) == pytest.approx((1, 1, 1))
    rows[:, 1] *= -1
    assert bootstrapped_rank_correlation([rows], [12]) == pytest.approx((-1, -1, -1))


def test_values_that_are_all_equal_have_no_rank_correlation():
    assert bootstrapped_rank_correlation([np.ones((12, 2))], [12]) is None


def test_the_same_sample_has_the_same_interval_around_its_correlation():
    rows = np.random.default_rng(0).normal(size=(40, 2)) + np.arange(40)[:, None] / 10
    interval = bootstrapped_rank_correlation([rows[:20], rows[20:]], [20, 200])
    assert interval is not None
    found, low, high = interval
    assert -1 <= low < found < high <= 1
    again = bootstrapped_rank_correlation([rows[:20], rows[20:]], [20, 200])
    assert again == (found, low, high)
