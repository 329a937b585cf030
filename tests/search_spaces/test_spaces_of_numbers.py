"""Spaces adapted to targets that are numbers."""

import pytest

from search_spaces.searchers.random_search import RandomSearch
from search_spaces.spaces import FINE_TUNING, FULL_RECIPE, LOSS, for_targets
from tests.search_spaces.conftest import SPACES
from trainables.image.config import ImageConfig
from trainables.prediction.config import NUMBER_LOSSES

ALL = [space for space in SPACES if space is not FINE_TUNING]


@pytest.mark.parametrize("space", ALL, ids=lambda space: space.name)
def test_points_of_a_space_for_numbers_have_a_loss_of_numbers(space):
    searcher = RandomSearch(for_targets(space, 0).fix(epochs=27), seed=0)
    for index in range(20):
        config = ImageConfig.from_dict(searcher.point(index))
        assert config.loss in NUMBER_LOSSES
        assert (config.class_weights, config.label_smoothing) == ("none", 0)


def test_a_searched_loss_is_still_searched_for_numbers():
    for space in (LOSS, FULL_RECIPE):
        searcher = RandomSearch(for_targets(space, 0).fix(epochs=27), seed=0)
        points = [searcher.point(index) for index in range(30)]
        assert {p["loss"] for p in points} == {"squared_error", "absolute_error", "huber"}
        assert all(("huber_delta" in p) == (p["loss"] == "huber") for p in points)


@pytest.mark.parametrize("space", ALL, ids=lambda space: space.name)
def test_a_space_of_classes_stays_as_it_is(space):
    assert for_targets(space, 10) is space
