"""The rungs: who goes on, and why."""

import math
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.tune.schedulers import TrialScheduler
from ray.tune.schedulers.async_hyperband import _Bracket

from search_spaces.rungs import Rungs, expected

accuracies = st.floats(0, 1, allow_nan=False)


def test_rungs_are_the_grace_period_times_powers_of_the_reduction_factor_below_the_last_epoch():
    assert Rungs(27).milestones == [1, 3, 9]
    assert Rungs(28).milestones == [1, 3, 9, 27]
    assert Rungs(20, grace_period=2, reduction_factor=4).milestones == [2, 8]
    assert Rungs(1).milestones == []


def test_the_first_trial_at_a_rung_goes_on_and_the_second_only_if_it_is_better():
    rungs = Rungs(27)
    assert not rungs.report(0, 1, 0.5).stop
    assert rungs.report(1, 1, 0.4).stop
    assert not rungs.report(2, 1, 0.6).stop


def test_by_rays_rule_a_trial_is_compared_with_those_before_it_alone():
    rungs = Rungs(27, rule="ray")
    stops = [rungs.report(t, 1, v).stop for t, v in enumerate([0.5, 0.4, 0.6, 0.55, 0.45, 0.56])]
    # The 67th percentiles before each: none, 0.5, 0.467, 0.533, 0.55, 0.533.
    assert stops == [False, True, False, False, True, False]


@given(st.lists(accuracies, min_size=1, max_size=40), st.sampled_from(["max", "min"]))
def test_rays_rule_is_rays(values, mode):
    sign = 1 if mode == "max" else -1
    bracket = _Bracket(min_t=1, max_t=27, reduction_factor=3, s=0)
    rungs = Rungs(27, rule="ray", mode=mode)
    for trial, value in enumerate(values):
        theirs = bracket.on_result(SimpleNamespace(trial_id=str(trial)), 1, sign * value)
        assert rungs.report(trial, 1, value).stop == (theirs == TrialScheduler.STOP)


def test_a_decision_says_value_cutoff_and_rank():
    rungs = Rungs(27)
    for trial, value in enumerate([0.9, 0.8, 0.7, 0.6, 0.5]):
        rungs.report(trial, 3, value)
    decision = rungs.report(5, 3, 0.75)
    assert (decision.trial, decision.rung, decision.value) == (5, 3, 0.75)
    assert (decision.rank, decision.of, decision.cutoff, decision.stop) == (3, 6, 0.8, True)


def test_between_two_rungs_and_at_a_rung_seen_before_there_is_no_decision():
    rungs = Rungs(27)
    assert rungs.report(0, 2, 0.5) is None
    assert rungs.report(0, 3, 0.5) is not None
    assert rungs.report(0, 3, 0.9) is None
    assert rungs.values[3] == {0: 0.5}


def test_a_failed_trial_comes_last_at_the_rung_ahead_of_it():
    rungs = Rungs(27)
    rungs.report_failure(0, 2)
    assert rungs.values == {1: {}, 3: {0: -math.inf}, 9: {}}
    decision = rungs.report(1, 3, 0.1)
    assert (decision.rank, decision.of, decision.stop) == (1, 2, False)


def test_a_failure_after_the_last_rung_enters_none():
    rungs = Rungs(27)
    rungs.report_failure(0, 20)
    assert not any(rungs.values.values())


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_refused(value):
    with pytest.raises(ValueError, match="finite"):
        Rungs(27).report(0, 1, value)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((27, 0, 3), "grace_period must be from 1 to the 27 epochs of a trial, got 0"),
        ((27, 28, 3), "got 28"),
        ((27, 1, 1), "reduction_factor must be at least 2, got 1"),
    ],
)
def test_impossible_rungs_are_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        Rungs(*arguments)


@given(st.lists(accuracies, min_size=1, max_size=60), st.integers(2, 5))
def test_the_best_third_goes_on_in_either_mode(values, factor):
    """At each arrival: among the best max(1, n // factor) of those so far, ties included."""
    highest, lowest = Rungs(27, 1, factor), Rungs(27, 1, factor, mode="min")
    for trial, value in enumerate(values):
        arrived = values[: trial + 1]
        better = sum(other > value for other in arrived)
        goes_on = better < max(1, len(arrived) // factor)
        assert highest.report(trial, 1, value).stop is not goes_on
        assert lowest.report(trial, 1, -value).stop is not goes_on


@given(st.lists(accuracies, min_size=1, max_size=60))
def test_the_best_trial_so_far_is_never_stopped(values):
    rungs = Rungs(27)
    for trial, value in enumerate(values):
        decision = rungs.report(trial, 1, value)
        if value >= max(values[: trial + 1]):
            assert not decision.stop


def test_the_expectation_counts_every_trial_at_the_first_rung_and_falls_from_there():
    expectation = expected(Rungs(27), trials=64, concurrent=2)
    reaching = list(expectation.reaching.values())
    assert list(expectation.reaching) == [1, 3, 9, 27]
    assert reaching[0] == 64
    assert reaching == sorted(reaching, reverse=True)
    # More than the ideal 64 / 3: whoever comes early is compared with few.
    assert 64 / 3 * 0.9 < reaching[1] < 32
    assert expectation.epochs == pytest.approx(
        reaching[0] + 2 * reaching[1] + 6 * reaching[2] + 18 * reaching[3]
    )


def test_the_expectation_of_one_trial_is_that_trial():
    assert expected(Rungs(9), trials=1, concurrent=4).reaching == {1: 1, 3: 1, 9: 1}


def test_without_rungs_every_trial_runs_to_the_end():
    expectation = expected(Rungs(5, grace_period=5), trials=7, concurrent=2)
    assert (expectation.reaching, expectation.epochs) == ({5: 7}, 35)
