"""The rungs: which trials continue, and why."""

import math
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.tune.schedulers import TrialScheduler
from ray.tune.schedulers.async_hyperband import _Bracket

from search_spaces.schedulers.rungs import RULES, RULES_HELP, RungRule, Rungs
from search_spaces.trial_events import Promoted

accuracies = st.floats(0, 1, allow_nan=False)


def test_rungs_are_the_grace_period_times_powers_of_the_reduction_factor_below_the_last_epoch():
    assert Rungs(27).milestones == [1, 3, 9]
    assert Rungs(28).milestones == [1, 3, 9, 27]
    assert Rungs(20, grace_period=2, reduction_factor=4).milestones == [2, 8]
    assert Rungs(1).milestones == []


def test_by_rule_top_the_first_trial_continues_and_the_second_only_if_it_is_better():
    rungs = Rungs(27, rule="top")
    assert not rungs.report(0, 1, 0.5).stop
    assert rungs.report(1, 1, 0.4).stop
    assert not rungs.report(2, 1, 0.6).stop


def test_by_rule_ray_a_trial_is_compared_with_earlier_trials_alone():
    rungs = Rungs(27, rule="ray")
    stops = [rungs.report(t, 1, v).stop for t, v in enumerate([0.5, 0.4, 0.6, 0.55, 0.45, 0.56])]
    # The 67th percentiles before each: none, 0.5, 0.467, 0.533, 0.55, 0.533.
    assert stops == [False, True, False, False, True, False]


@given(st.lists(accuracies, min_size=1, max_size=40), st.sampled_from(["max", "min"]))
def test_the_rule_ray_decides_as_ray_tune(values, mode):
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
    rungs = Rungs(27, grace_period=3)
    assert rungs.report(0, 2, 0.5) is None
    assert rungs.report(0, 3, 0.5) is not None
    assert rungs.report(0, 5, 0.5) is None
    assert rungs.report(0, 3, 0.9) is None
    assert rungs.values[3] == {0: 0.5}


@pytest.mark.parametrize(
    ("epochs", "at"),
    [
        (range(1, 28), {1: 1, 3: 3, 9: 9}),
        (range(2, 28, 2), {2: 1, 4: 3, 10: 9}),
        (range(10, 28, 10), {10: 9}),
        ([0.5, 1.5, 2.5, 3.5], {1.5: 1, 3.5: 3}),
        # It has begun again.
        ([1, 2, 3, 4, 1, 2, 3, 9], {1: 1, 3: 3, 9: 9}),
        ([10, 1, 2, 3], {10: 9}),
    ],
)
def test_a_trial_is_compared_once_at_a_rung_with_its_first_report_at_or_past_it(epochs, at):
    rungs = Rungs(27)
    decisions = [(epoch, rungs.report(0, epoch, 0.5)) for epoch in epochs]
    assert {epoch: d.rung for epoch, d in decisions if d is not None} == at


@given(st.lists(st.tuples(st.integers(1, 26), accuracies), min_size=1, max_size=30))
def test_where_a_first_report_is_compared_is_where_ray_compares_it(reports):
    bracket = _Bracket(min_t=1, max_t=27, reduction_factor=3, s=0)
    rungs = Rungs(27, rule="ray")
    for trial, (epoch, value) in enumerate(reports):
        theirs = bracket.on_result(SimpleNamespace(trial_id=str(trial)), epoch, value)
        assert rungs.report(trial, epoch, value).stop == (theirs == TrialScheduler.STOP)


def test_a_failed_trial_comes_last_at_the_rung_ahead_of_it():
    rungs = Rungs(27, rule="top")
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


@given(
    st.lists(accuracies, min_size=1, max_size=60),
    st.integers(2, 5),
    st.sampled_from([("promotion", 0), ("top", 1)]),
)
def test_the_best_third_continues_in_either_mode(values, factor, at_least):
    """Return for each arrival whether it is among the best n // factor so far."""
    rule, least = at_least
    highest = Rungs(27, 1, factor, rule=rule)
    lowest = Rungs(27, 1, factor, mode="min", rule=rule)
    for trial, value in enumerate(values):
        arrived = values[: trial + 1]
        better = sum(other >= value for other in arrived[:-1])
        goes_on = better < max(least, len(arrived) // factor)
        assert highest.report(trial, 1, value).stop is not goes_on
        assert lowest.report(trial, 1, -value).stop is not goes_on


@given(st.lists(accuracies, min_size=1, max_size=60))
def test_by_rule_top_the_best_trial_so_far_is_never_stopped(values):
    rungs = Rungs(27, rule="top")
    for trial, value in enumerate(values):
        decision = rungs.report(trial, 1, value)
        if all(value > other for other in values[:trial]):
            assert not decision.stop


def test_a_trial_is_promoted_when_later_ones_have_brought_it_among_the_best():
    rungs = Rungs(27)
    assert [rungs.report(t, 1, v).stop for t, v in enumerate([0.7, 0.8])] == [True, True]
    assert rungs.next_promotion() is None, "two are too few to compare"
    decision = rungs.report(2, 1, 0.6)
    assert (decision.stop, decision.rank, decision.cutoff) == (True, 3, 0.8)
    assert rungs.next_promotion() == Promoted(trial=1, rung=1, value=0.8, rank=1, of=3)
    rungs.promote(1, 1)
    assert rungs.next_promotion() is None


def test_the_trial_at_the_highest_rung_is_promoted_first():
    rungs = Rungs(27)
    for trial, value in enumerate([0.7, 0.8, 0.6, 0.5, 0.4, 0.3]):
        rungs.report(trial, 1, value)
        rungs.report(trial, 3, value / 2)
    assert [(p.trial, p.rung) for p in promoted_by(rungs)] == [(1, 3), (0, 3), (1, 1), (0, 1)]


def test_of_equal_trials_the_first_to_arrive_is_promoted():
    rungs = Rungs(27)
    for trial in (4, 2, 3):
        rungs.report_failure(trial + 10, 1)
        rungs.report(trial, 1, 0.5)
    assert [promotion.trial for promotion in promoted_by(rungs)] == [4, 2]


@pytest.mark.parametrize("mode", ["max", "min"])
def test_by_rule_top_only_the_first_of_eight_equal_trials_continues(mode):
    rungs = Rungs(27, rule="top", mode=mode)
    going_on = [not rungs.report(trial, 1, 1.0).stop for trial in range(8)]
    assert going_on == [True] + [False] * 7


def test_a_failed_trial_is_never_promoted():
    rungs = Rungs(27)
    for trial in range(6):
        rungs.report_failure(trial, 1)
    assert rungs.next_promotion() is None


@pytest.mark.parametrize("rule", ["top", "ray"])
def test_rules_that_stop_for_good_promote_no_trial(rule):
    rungs = Rungs(27, rule=rule)
    for trial, value in enumerate([0.9, 0.8, 0.7, 0.1, 0.2, 0.1, 0.1, 0.1, 0.1]):
        rungs.report(trial, 1, value)
    assert rungs.next_promotion() is None


@given(st.lists(accuracies, min_size=1, max_size=60), st.integers(2, 5))
def test_in_the_end_the_best_trials_of_each_rung_have_been_promoted(values, factor):
    """However late they came: the best n // factor of the n there are."""
    rungs = Rungs(27, 1, factor)
    for trial, value in enumerate(values):
        rungs.report(trial, 1, value)
    promotions = promoted_by(rungs)
    best = sorted(values, reverse=True)[: len(values) // factor]
    gone_on = sorted((values[trial] for trial in rungs.rungs[1].passed), reverse=True)
    assert gone_on[: len(best)] == best
    assert len({promotion.trial for promotion in promotions}) == len(promotions)


def promoted_by(rungs):
    promotions = []
    while (promotion := rungs.next_promotion()) is not None:
        rungs.promote(promotion.trial, promotion.rung)
        promotions.append(promotion)
    return promotions


class Plain:
    """The rules by their definitions, each time computed from all values."""

    def __init__(self, factor, mode, rule):
        self.factor, self.sign, self.rule = factor, 1 if mode == "max" else -1, rule
        self.values, self.passed, rung = {}, {}, 1
        while rung < 27:
            self.values[rung], self.passed[rung] = {}, set()
            rung *= factor

    def report(self, trial, epoch, value):
        rung = max((rung for rung in self.values if rung <= epoch), default=None)
        if rung is None or any(trial in at for a, at in self.values.items() if a >= rung):
            return None
        reached, sign = self.values[rung], self.sign
        before = list(reached.values())
        reached[trial] = value
        ordered = sorted(reached.values(), reverse=sign == 1)
        rank = sum(sign * other >= sign * value for other in before) + 1
        if self.rule == "ray":
            finite = [sign * other for other in before if math.isfinite(other)]
            at = (1 - 1 / self.factor) * 100
            cutoff = sign * float(np.percentile(np.array(finite), at)) if finite else value
            stop = sign * (value - cutoff) < 0
        else:
            going_on = max(len(ordered) // self.factor, int(self.rule == "top"))
            cutoff = ordered[going_on - 1] if going_on else None
            stop = rank > going_on
        if not stop:
            self.passed[rung].add(trial)
        return rung, value, cutoff, rank, len(ordered), stop

    def report_failure(self, trial, epoch):
        ahead = next((rung for rung in self.values if rung >= epoch), None)
        if ahead is not None:
            self.values[ahead].setdefault(trial, -self.sign * math.inf)

    def promotion(self):
        for rung in reversed(self.values) if self.rule == "promotion" else ():
            reached = self.values[rung]
            ranked = sorted(reached, key=lambda trial: -self.sign * reached[trial])
            for place, trial in enumerate(ranked[: len(ranked) // self.factor]):
                if trial not in self.passed[rung] and math.isfinite(reached[trial]):
                    return trial, rung, reached[trial], place + 1, len(ranked)
        return None


happened = st.lists(
    st.tuples(
        st.sampled_from(["report", "report", "report", "failure", "promotion"]),
        st.integers(0, 40),
        st.integers(1, 27),
        # Few values, many of which are equal, and any.
        st.one_of(st.sampled_from([0.0, -0.0, 0.5, 1.0]), accuracies),
    ),
    max_size=120,
)


@given(
    happened,
    st.integers(2, 4),
    st.sampled_from(["max", "min"]),
    st.sampled_from(["promotion", "top", "ray"]),
)
def test_sorted_lists_decide_as_a_look_at_all_values_does(happened, factor, mode, rule):
    rungs, plain = Rungs(27, 1, factor, mode, rule), Plain(factor, mode, rule)
    for what, trial, epoch, value in happened:
        if what == "failure":
            rungs.report_failure(trial, epoch)
            plain.report_failure(trial, epoch)
        elif what == "report":
            d = rungs.report(trial, epoch, value)
            found = d and (d.rung, d.value, d.cutoff, d.rank, d.of, d.stop)
            assert found == plain.report(trial, epoch, value)
        elif (p := rungs.next_promotion()) is not None:
            assert (p.trial, p.rung, p.value, p.rank, p.of) == plain.promotion()
            rungs.promote(p.trial, p.rung)
            plain.passed[p.rung].add(p.trial)
        assert (rungs.next_promotion() is None) == (plain.promotion() is None)
    assert rungs.values == plain.values


@given(st.lists(accuracies, max_size=40), st.integers(1, 60))
def test_promotable_trials_are_stopped_ones_in_the_order_of_rung_and_rank(values, trials):
    rungs = Rungs(27)
    for trial, value in enumerate(values):
        rungs.report(trial, 1, value)
        for promotion in list(rungs.promotable()):
            rungs.promote(promotion.trial, promotion.rung)
            rungs.report(promotion.trial, 3 * promotion.rung, value)
    within, beyond = rungs.may_continue(trials)
    stopped = [trial for rung in reversed(rungs.rungs.values()) for _, _, trial in rung.stopped]
    assert sorted([*within, *beyond]) == sorted(stopped)
    assert [trial for trial in stopped if trial in within] == within
    if trials >= len(values):
        assert {promotion.trial for promotion in rungs.promotable()} <= set(within)


def test_the_table_of_rules_has_every_rule_and_its_help():
    assert set(RULES) == set(get_args(RungRule))
    assert all(f"({name})" in RULES_HELP for name in RULES)
