import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces.objective import Objective
from tune_cluster.reports.verdict import Verdict, judge

ACCURACY = Objective("val_accuracy", "max")
LOSS = Objective("val_loss", "min")

numbers = st.floats(-1e3, 1e3, allow_subnormal=False)
results = numbers | st.sampled_from([math.nan, math.inf, -math.inf])


@st.composite
def races(draw, values=results):
    """Values of a race of which some candidates have left, and the planned rounds."""
    seeds = draw(st.integers(1, 6))
    names = [f"trial {index}" for index in range(draw(st.integers(2, 6)))]
    lengths = [seeds, *(draw(st.integers(1, seeds)) for _ in names[1:])]
    race = {
        name: draw(st.lists(values, min_size=length, max_size=length))
        for name, length in zip(names, lengths, strict=True)
    }
    return race, seeds + draw(st.integers(0, 4))


def noisy(means, *, seeds, deviation=0.002, seed=0):
    """Return values around the means, with a large effect of each seed that all share."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(0, 0.05, seeds)
    return {
        name: (mean + shared + rng.normal(0, deviation, seeds)).tolist()
        for name, mean in means.items()
    }


def raced(values, objective, rounds):
    """Return the verdict and the runs of a race over complete values."""
    running, had = list(values), {name: [] for name in values}
    for seed in range(rounds):
        for name in running:
            had[name].append(values[name][seed])
        verdict = judge(had, objective, rounds=rounds)
        if verdict.decided:
            break
        running = list(verdict.continuing)
    return verdict, sum(map(len, had.values()))


def test_a_clear_winner_is_found_with_few_runs():
    values = noisy({"defaults": 0.85, "trial 3": 0.90, "trial 7": 0.86}, seeds=5)
    verdict, runs = raced(values, ACCURACY, 5)
    assert (verdict.kind, verdict.best, verdict.tied) == ("better", "trial 3", ())
    assert runs < 3 * 5


def test_an_effect_of_the_seed_on_all_candidates_hides_no_difference():
    values = noisy({"a": 0.900, "b": 0.895}, seeds=5, deviation=0.001)
    assert np.ptp(values["a"]) > 8 * 0.005
    verdict, _ = raced(values, ACCURACY, 5)
    assert (verdict.kind, verdict.best) == ("better", "a")


def test_equal_candidates_end_early_in_a_tie():
    ended = [raced(noisy({"a": 0.9, "b": 0.9}, seeds=20, seed=s), ACCURACY, 20) for s in range(20)]
    assert sum(verdict.kind == "tie" for verdict, _ in ended) >= 17
    assert np.mean([runs for _, runs in ended]) < 0.7 * 2 * 20


def test_worse_candidates_leave_while_the_leaders_continue():
    values = noisy({"a": 0.90, "b": 0.8985, "c": 0.80, "d": 0.81}, seeds=3)
    verdict = judge(values, ACCURACY, rounds=20)
    assert verdict.continuing == ("a", "b")
    assert not verdict.decided
    assert {c.name for c in verdict.comparisons if c.worse} == {"c", "d"}


def test_a_noisy_candidate_blurs_no_comparison_of_the_others():
    values = noisy({"a": 0.90, "b": 0.86}, seeds=3, deviation=0.0004)
    verdict = judge({**values, "wild": [0.51, 0.88, 0.42]}, ACCURACY, rounds=5)
    assert verdict.best == "a"
    assert verdict.continuing == ("a", "wild")


@given(
    st.lists(st.floats(0.8, 0.95), min_size=3, max_size=6),
    st.sampled_from([0.001, 0.01, 0.03]),
    st.integers(0, 1000),
)
def test_the_interval_of_a_candidate_that_leaves_excludes_no_difference(means, deviation, seed):
    named = {f"trial {index}": mean for index, mean in enumerate(means)}
    values = noisy(named, seeds=2, deviation=deviation, seed=seed)
    for comparison in judge(values, ACCURACY, rounds=2).comparisons:
        excludes = comparison.low > 0 or comparison.high < 0
        assert excludes == comparison.worse


def test_a_candidate_that_has_left_stays_out():
    left = {"a": [0.90, 0.91, 0.905], "b": [0.91, 0.90, 0.90], "c": [0.99, 0.98]}
    verdict = judge(left, ACCURACY, rounds=5)
    assert verdict.best != "c"
    assert "c" not in verdict.continuing
    assert "c" not in verdict.tied


@pytest.mark.parametrize("objective", [ACCURACY, LOSS])
def test_a_failed_run_is_worse_than_any_value(objective):
    values = {"a": [0.5, 0.5], "b": [0.7, math.nan], "c": [0.51, 0.48]}
    verdict = judge(values, objective, rounds=5)
    assert verdict.best in ("a", "c")
    assert "b" not in verdict.continuing
    (failed,) = (mean for mean in verdict.means if mean.name == "b")
    assert (failed.n, failed.failed, failed.mean) == (1, 1, 0.7)


def test_the_only_candidate_that_does_not_fail_is_better():
    verdict = judge({"a": [math.nan], "b": [0.1], "c": [math.inf]}, ACCURACY, rounds=5)
    assert (verdict.kind, verdict.best, verdict.continuing) == ("better", "b", ())


def test_without_any_value_the_race_ends_in_a_tie():
    verdict = judge({"a": [math.nan], "b": [math.nan]}, ACCURACY, rounds=5)
    assert (verdict.kind, verdict.decided, verdict.tied) == ("tie", True, ("b",))
    assert math.isnan(verdict.means[0].mean)


@pytest.mark.filterwarnings("error")
def test_values_whose_squares_have_no_number_are_judged_without_an_interval():
    values = {"a": [1e300, 2e300], "b": [-1e300, 1e300], "c": [0.5, 0.5]}
    verdict = judge(values, ACCURACY, rounds=2)
    json.dumps(verdict.as_json(), allow_nan=False)
    assert all(text for _, text in verdict.lines())


def test_equal_values_are_a_tie():
    verdict = judge({"a": [0.9, 0.9], "b": [0.9, 0.9]}, ACCURACY, rounds=5)
    assert (verdict.kind, verdict.decided) == ("tie", True)


def test_two_equal_differences_of_one_sample_decide_nothing():
    """With 100 samples a difference of one is often the same twice."""
    values = {"a": [0.91, 0.93], "b": [0.90, 0.92]}
    assert judge(values, ACCURACY, rounds=2).kind == "tie"


def test_a_constant_difference_far_above_the_steps_decides():
    values = {"a": [0.91, 0.92, 0.94], "b": [0.71, 0.72, 0.74]}
    assert judge(values, ACCURACY, rounds=5).kind == "better"


def test_one_planned_seed_shows_no_difference():
    verdict = judge({"a": [0.9], "b": [0.1]}, ACCURACY, rounds=1)
    assert (verdict.kind, verdict.decided, verdict.best) == ("tie", True, "a")
    assert math.isnan(verdict.comparisons[0].low)


def test_after_the_first_of_several_seeds_all_candidates_continue():
    verdict = judge({"a": [0.9], "b": [0.1]}, ACCURACY, rounds=5)
    assert verdict.continuing == ("a", "b")


@pytest.mark.parametrize(
    ("values", "rounds"),
    [({"a": [1.0]}, 1), ({"a": [], "b": []}, 1), ({"a": [1.0, 2.0], "b": [1.0, 2.0]}, 1), ({}, 1)],
)
def test_values_that_cannot_be_judged_are_refused(values, rounds):
    with pytest.raises(ValueError, match=r"needs .* got \d"):
        judge(values, ACCURACY, rounds=rounds)


def test_a_wrong_verdict_of_better_is_no_more_frequent_than_its_level():
    """Six equal candidates, looked at after each of five seeds."""
    means = {f"trial {index}": 0.9 for index in range(6)}
    said = [raced(noisy(means, seeds=5, seed=s), ACCURACY, 5)[0].kind for s in range(200)]
    assert said.count("better") <= 0.05 * 200


def test_the_truly_best_candidate_is_dropped_in_few_races():
    means = {"best": 0.902, "a": 0.900, "b": 0.900, "c": 0.899, "d": 0.898, "defaults": 0.88}
    kept = 0
    for seed in range(150):
        verdict, _ = raced(noisy(means, seeds=5, seed=seed), ACCURACY, 5)
        kept += "best" in (verdict.best, *verdict.tied)
    assert kept >= 0.95 * 150


@settings(max_examples=50, deadline=None)
@given(races())
def test_a_verdict_is_consistent(case):
    values, rounds = case
    verdict = judge(values, ACCURACY, rounds=rounds)
    others = set(values) - {verdict.best}
    full = {name for name, own in values.items() if len(own) == max(map(len, values.values()))}
    assert verdict.best in full
    assert set(verdict.tied) <= full - {verdict.best}
    assert {c.name for c in verdict.comparisons} == others
    assert {m.name for m in verdict.means} == set(values)
    assert {c.name for c in verdict.comparisons if not c.worse} == set(verdict.tied)
    assert (verdict.kind == "better") == (verdict.decided and not verdict.tied)
    if verdict.decided:
        assert verdict.continuing == ()
    else:
        assert set(verdict.continuing) == {verdict.best, *verdict.tied}
        assert len(verdict.continuing) >= 2
    assert verdict.decided or max(map(len, values.values())) < rounds


@settings(max_examples=50, deadline=None)
@given(races())
def test_the_terminal_and_json_have_every_candidate(case):
    values, rounds = case
    verdict = judge(values, LOSS, rounds=rounds)
    assert {name for name, _ in verdict.lines()} == {"verdict", *values}
    assert all(text and "nan" not in text for _, text in verdict.lines())
    about = json.loads(json.dumps(verdict.as_json(), allow_nan=False))
    assert {entry["name"] for entry in about["means"]} == set(values)


def summary(verdict: Verdict):
    return verdict.decided, verdict.kind, verdict.best, set(verdict.tied), set(verdict.continuing)


@settings(max_examples=50, deadline=None)
@given(races())
def test_minimising_the_negative_values_equals_maximising(case):
    values, rounds = case
    negative = {name: [-v for v in own] for name, own in values.items()}
    assert summary(judge(values, ACCURACY, rounds=rounds)) == summary(
        judge(negative, LOSS, rounds=rounds)
    )


@settings(max_examples=50, deadline=None)
@given(races(st.integers(-50, 50).map(float)), st.sampled_from([0.25, 4.0]), st.integers(-9, 9))
def test_the_unit_of_the_metric_changes_nothing(case, factor, shift):
    values, rounds = case
    other = {name: [factor * v + shift for v in own] for name, own in values.items()}
    # A mean of ties may be rounded to either side.
    a, b = judge(values, ACCURACY, rounds=rounds), judge(other, ACCURACY, rounds=rounds)
    if len({mean.mean for mean in a.means}) == len(a.means):
        assert summary(a) == summary(b)


@settings(max_examples=50, deadline=None)
@given(st.permutations(["a", "b", "c", "d"]), st.integers(0, 1000))
def test_the_order_of_candidates_changes_nothing(names, seed):
    values = noisy({"a": 0.9, "b": 0.899, "c": 0.89, "d": 0.85}, seeds=3, seed=seed)
    mixed = {name: values[name] for name in names}
    assert summary(judge(values, ACCURACY, rounds=5)) == summary(judge(mixed, ACCURACY, rounds=5))


@settings(max_examples=50, deadline=None)
@given(races(), st.data())
def test_a_race_that_follows_its_verdicts_ends(case, data):
    values, rounds = case
    whole = {
        name: (own + data.draw(st.lists(results, min_size=rounds, max_size=rounds)))[:rounds]
        for name, own in values.items()
    }
    assert raced(whole, ACCURACY, rounds)[0].decided
