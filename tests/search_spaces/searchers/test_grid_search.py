"""Grid search: all combinations, no more, and no more than anybody means."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.searchers.grid_search import GridSearch, grid_values
from tests.search_spaces.conftest import EVERYTHING, parameter


def all_points(searcher):
    return [searcher.point(index) for index in range(searcher.size)]


def test_the_grid_of_a_branch_has_only_the_hyperparameters_of_the_branch():
    searcher = GridSearch(EVERYTHING)
    # rate 2 · layers 3 · units 2 · batch 3 · sizes 2, then sgd with 2 momenta, adam, rms with 3.
    assert searcher.size == 2 * 3 * 2 * 3 * 2 * (2 + 1 + 3)
    points = all_points(searcher)
    assert len({json.dumps(point) for point in points}) == len(points)
    adam = [point for point in points if point["optimizer"] == "adam"]
    assert len(adam) == 72
    assert all("momentum" not in point for point in adam)
    rms = {point["momentum"] for point in points if point["optimizer"] == "rms"}
    assert rms == {0.0, 0.2, 0.4}


def test_a_grid_without_conditions_is_the_product_in_order():
    space = EVERYTHING.fix(rate=0.1, units=8, sizes=(8,), optimizer="adam")
    points = [(p["layers"], p["batch"]) for p in all_points(GridSearch(space))]
    assert points == list(itertools.product((1, 3, 6), (32, 64, 128)))


def test_grid_points_are_even_on_the_scale_and_lists_are_whole():
    rate, layers, units, batch = EVERYTHING.parameters[:4]
    assert grid_values(rate, 5) == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1])
    assert grid_values(layers, 3) in ([1, 3, 6], [1, 4, 6])
    assert grid_values(layers, 50) == [1, 2, 3, 4, 5, 6]
    assert grid_values(units, 3)[1] in range(55, 75)
    assert grid_values(batch, 2) == [32, 64, 128]


@given(st.lists(st.sampled_from(all_points(GridSearch(EVERYTHING))), max_size=3), st.booleans())
def test_start_points_come_before_the_grid_and_are_not_tried_again(among, defaults):
    starts = [*among, *([{}] * defaults)]
    grid, searcher = GridSearch(EVERYTHING), GridSearch(EVERYTHING, start_points=starts)
    points, first = all_points(searcher), searcher.start_points
    assert all(EVERYTHING.complete(start) in first for start in starts)
    assert points[: len(first)] == first
    assert points[len(first) :] == [point for point in all_points(grid) if point not in first]


@given(st.integers(2, 40))
def test_the_ends_of_a_range_are_in_its_grid(points):
    for entry in EVERYTHING.parameters[:3]:
        values = grid_values(entry, points)
        assert values == sorted({float(value) for value in values})
        assert (values[0], values[-1]) == pytest.approx((entry.low, entry.high))
        assert len(values) <= points


def test_too_many_points_are_an_error_that_says_how_many():
    # As above; sgd and rms have 40 momenta each.
    size = 40 * 6 * 40 * 3 * 2 * 81
    message = rf"the grid has {size:,} points .rate 40 × layers 6 × .*momentum .optimizer sgd. 40"
    with pytest.raises(ValueError, match=message):
        GridSearch(EVERYTHING, grid_points=40)
    assert GridSearch(EVERYTHING, grid_points=40, limit=size).size == size


def test_a_range_without_a_grid_asks_for_points():
    space = EVERYTHING.fix(rate=0.1)
    bare = parameter("width", default=0.5, low=0.0, high=1.0)
    space = type(space)("bare", (bare,))
    with pytest.raises(ValueError, match="width is a range without a grid: give --grid-points"):
        GridSearch(space)
    assert [p["width"] for p in all_points(GridSearch(space, grid_points=3))] == [0.0, 0.5, 1.0]
    with pytest.raises(ValueError, match="--grid-points must be from 2 to 10,000, got 1"):
        GridSearch(space, grid_points=1)
