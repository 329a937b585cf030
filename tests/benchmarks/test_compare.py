import math

import numpy as np
import pytest
from compare import by_strategy, difference, ranks, standard_error, summary
from hypothesis import given
from hypothesis import strategies as st

from tests.benchmarks.test_runs import run


def runs_of(strategy, figures):
    """A run a figure, by task and seed; the regret at the last budget is the figure."""
    return [
        run(strategy=strategy, task=task, seed=seed, accuracy=[90.0 - 40.0 * value])
        for task, values in figures.items()
        for seed, value in enumerate(values)
    ]


def last(one):
    return one.regret[-1]


def test_the_mean_weighs_tasks_equally_however_many_runs_each_has():
    found = summary(runs_of("a", {"1": [0.0, 0.2], "2": [0.5]}), last)
    assert found.mean == pytest.approx(0.3)
    assert found.error == pytest.approx(0.2)
    assert (found.tasks, found.runs) == (2, 3)


def test_no_runs_have_no_mean():
    assert math.isnan(summary([], last).mean)


def test_a_difference_covers_the_tasks_and_seeds_that_both_strategies_have():
    one = runs_of("a", {"1": [0.1, 0.3], "2": [0.9]})
    other = runs_of("b", {"1": [0.2], "3": [0.0]})
    assert difference(one, other, last).mean == pytest.approx(-0.1)
    assert difference(one, runs_of("b", {"3": [0.0]}), last) is None


def test_a_task_is_worse_where_the_paired_difference_exceeds_its_standard_error():
    one = runs_of("a", {"3": [0.5, 0.5, 0.5], "12": [0.4, 0.0, 0.0], "40": [0.1, 0.2, 0.3]})
    other = runs_of("b", {"3": [0.1, 0.1, 0.4], "12": [0.0, 0.0, 0.39], "40": [0.2, 0.3, 0.4]})
    assert difference(one, other, last).worse == ["3"]


def test_worse_tasks_are_listed_in_the_order_of_their_numbers():
    one = runs_of("a", {"100": [0.5], "20": [0.5], "3": [0.5]})
    other = runs_of("b", {"100": [0.0], "20": [0.0], "3": [0.0]})
    assert difference(one, other, last).worse == ["3", "20", "100"]


def test_a_constant_difference_has_an_interval_of_width_zero():
    one, other = runs_of("a", {"1": [0.5], "2": [0.75]}), runs_of("b", {"1": [0.25], "2": [0.5]})
    found = difference(one, other, last)
    assert found.low == pytest.approx(found.mean)
    assert found.high == pytest.approx(found.mean)


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=20))
def test_the_interval_contains_the_mean(differences):
    one = runs_of("a", {str(n): [value] for n, value in enumerate(differences)})
    other = runs_of("b", {str(n): [0.0] for n in range(len(differences))})
    found = difference(one, other, last)
    assert found.low - 1e-9 <= found.mean <= found.high + 1e-9


def test_a_single_value_has_no_standard_error():
    assert standard_error([3.0]) == 0
    assert standard_error([1.0, 3.0]) == pytest.approx(np.std([1, 3], ddof=1) / np.sqrt(2))


def test_runs_of_another_plan_or_other_workers_are_left_out():
    runs = [run(), run(plan="full"), run(workers=1), run(strategy="gp")]
    found = by_strategy({one.key: one for one in runs}, "early", 4)
    assert found == {"random": [runs[0]], "gp": [runs[3]]}


def test_ranks_compare_the_mean_regret_on_the_tasks_that_all_strategies_have():
    found = ranks(
        {
            "a": runs_of("a", {"1": [0.0, 0.5], "2": [0.5], "3": [0.0]}),
            "b": runs_of("b", {"1": [0.125, 0.25], "2": [0.5]}),
            "c": runs_of("c", {"1": [0.75, 0.5], "2": [0.25], "4": [0.0]}),
        }
    )
    assert found == {"1": [2.0, 1.0, 3.0], "2": [2.5, 2.5, 1.0]}


def test_a_strategy_without_runs_leaves_no_task_to_rank():
    assert ranks({"a": runs_of("a", {"1": [0.0]}), "b": []}) == {}
