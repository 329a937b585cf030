"""Comparison of values, by mode."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.objective import Objective

HIGH, LOW = Objective("score", "max"), Objective("score", "min")

numbers = st.floats(allow_nan=False)


@given(a=numbers, b=numbers)
def test_the_better_value_is_the_greater_one_where_the_metric_is_to_be_high(a, b):
    assert HIGH.better(a, b) == (a > b)
    assert LOW.better(a, b) == (a < b)


@pytest.mark.parametrize("objective", [HIGH, LOW])
@given(values=st.lists(numbers))
def test_no_value_is_better_than_the_best(objective, values):
    best = objective.best(values)
    assert (best is None) == (not values)
    assert not any(objective.better(value, best) for value in values)


@pytest.mark.parametrize("objective", [HIGH, LOW])
@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_value_is_better_than_the_worst(objective, value):
    assert objective.better(value, objective.worst)
    assert math.isinf(objective.worst)


@pytest.mark.parametrize("objective", [HIGH, LOW])
@given(values=st.lists(numbers))
def test_a_key_sorts_the_best_first_and_is_its_own_inverse(objective, values):
    keys = sorted(map(objective.key, values))
    ordered = [objective.key(key) for key in keys]
    assert ordered == sorted(values, reverse=objective.mode == "max")


@pytest.mark.parametrize("mode", ["high", None, "Max"])
def test_an_unknown_mode_is_refused(mode):
    with pytest.raises(ValueError, match=r"mode=.*: it must be max or min"):
        Objective("score", mode)
