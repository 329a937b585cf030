"""Columns of configurations: they agree with the space, and distances are as specified."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces.searchers.encoding import Encoding
from search_spaces.space import Space
from tests.search_spaces.conftest import EVERYTHING, SPACES, parameter


def as_floats(units):
    return np.array(units, dtype=float)


@pytest.mark.parametrize("space", [EVERYTHING, *SPACES], ids=lambda space: space.name)
def test_placed_numbers_equal_the_units_of_the_points_of_the_space(space):
    numbers = np.random.default_rng(0).random((64, len(space.parameters)))
    placed = Encoding(space).placed(numbers)
    for row, found in zip(numbers.tolist(), placed, strict=True):
        np.testing.assert_allclose(found, as_floats(space.unit(space.point(row))), atol=1e-9)


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=8, max_size=8))
@settings(max_examples=50)
def test_placing_numbers_twice_changes_nothing(numbers):
    encoding = Encoding(EVERYTHING)
    once = encoding.placed(np.array([numbers]))
    again = encoding.placed(np.nan_to_num(once, nan=0.5))
    np.testing.assert_array_equal(once, again)
    # The very same numbers, or a configuration that was tried would not be known again.
    lists = [3, 4, 5]
    exact = as_floats(EVERYTHING.unit(EVERYTHING.point(numbers)))
    np.testing.assert_array_equal(once[0, lists], exact[lists])


@pytest.mark.parametrize("space", [EVERYTHING, *SPACES], ids=lambda space: space.name)
def test_an_encoding_has_its_number_of_columns_with_values_from_0_to_1(space):
    encoding = Encoding(space)
    rows = encoding.rows(encoding.placed(np.random.default_rng(0).random((64, len(space.labels)))))
    assert rows.shape == (64, encoding.columns)
    assert rows.min() >= 0
    assert rows.max() <= 1


def distance(space, *configs):
    encoding = Encoding(space)
    one, other = encoding.rows(as_floats([space.unit(config) for config in configs]))
    return float(np.linalg.norm(one - other))


def test_all_pairs_of_categories_are_as_far_apart_as_the_ends_of_a_range():
    space = Space(
        "s",
        (
            parameter("three", default="a", values=("a", "b", "c")),
            parameter("two", default=True, values=(True, False)),
            parameter("ordered", default=1, values=(1, 2, 4), ordered=True),
            parameter("range", default=0.0, low=0.0, high=1.0),
        ),
    )
    base = {"three": "a", "two": True, "ordered": 1, "range": 0.0}
    assert Encoding(space).columns == 3 + 1 + 1 + 1
    for change in ({"three": "b"}, {"three": "c"}, {"two": False}, {"ordered": 4}, {"range": 1.0}):
        assert distance(space, base, {**base, **change}) == pytest.approx(1)
    assert distance(space, base, {**base, "ordered": 2}) == pytest.approx(0.5)


def test_branches_with_hyperparameters_in_the_middle_differ_by_their_parent_alone():
    config = {"rate": 0.1, "layers": 2, "units": 64, "batch": 64, "sizes": (8,)}
    adam = {**config, "optimizer": "adam"}
    sgd = {**config, "optimizer": "sgd", "momentum": 0.745}
    assert distance(EVERYTHING, adam, sgd) == pytest.approx(1, abs=1e-6)
    assert distance(EVERYTHING, sgd, {**sgd, "momentum": 0.99}) == pytest.approx(0.5)


def test_a_branch_of_a_fixed_or_an_integer_parent_exists_as_in_the_space():
    space = Space(
        "s",
        (
            parameter("layers", default=1, low=1, high=3, integer=True),
            parameter("second", default=0.5, low=0.0, high=1.0, condition=("layers", (2, 3))),
            parameter("of_fixed", default=0.5, low=0.0, high=1.0, condition=("kind", ("a",))),
            parameter("never", default=1, values=(1,), condition=("layers", (3,))),
        ),
        fixed=(("kind", "a"),),
    )
    numbers = np.random.default_rng(0).random((64, 4))
    expected = [space.unit(space.point(row)) for row in numbers.tolist()]
    np.testing.assert_allclose(Encoding(space).placed(numbers), as_floats(expected), atol=1e-9)
    assert Encoding(space).columns == 3
