"""Random search: point i depends on seed and i alone."""

from hypothesis import given
from hypothesis import strategies as st

from search_spaces.searchers.random_search import RandomSearch
from search_spaces.spaces import LR_BATCH
from tests.search_spaces.conftest import EVERYTHING


@given(seed=st.integers(0, 2**31), index=st.integers(0, 10_000))
def test_a_point_does_not_depend_on_earlier_calls(seed, index):
    used, fresh = RandomSearch(LR_BATCH, seed=seed), RandomSearch(LR_BATCH, seed=seed)
    used.point(0)
    used.point(1)
    assert used.point(index) == fresh.point(index)


def test_two_seeds_give_different_points():
    first, second = RandomSearch(LR_BATCH, seed=0), RandomSearch(LR_BATCH, seed=1)
    assert [first.point(i) for i in range(4)] != [second.point(i) for i in range(4)]
    # With seed + index as a seed, the second search would be the first one, shifted.
    assert first.point(1) != second.point(0)


DEFAULTS = EVERYTHING.complete({})


def kept(config):
    """The names of the hyperparameters that have the default which they have there."""
    return {name for name, value in config.items() if DEFAULTS.get(name) == value} - {"model"}


@given(seed=st.integers(0, 2**31), index=st.integers(0, 10_000))
def test_a_point_around_the_defaults_lies_in_the_space_and_changes_two_hyperparameters(seed, index):
    alone = RandomSearch(EVERYTHING, seed=seed).point(index)
    point = RandomSearch(EVERYTHING, seed=seed, around_defaults=True).point(index)
    EVERYTHING.unit(point)
    always = ("rate", "layers", "units", "batch", "sizes", "optimizer")
    assert all(point[name] in (alone[name], DEFAULTS[name]) for name in always)
    assert sum(point[name] == alone[name] for name in always) >= 2


def test_points_are_around_the_defaults_at_first_and_anywhere_later():
    searcher = RandomSearch(EVERYTHING, seed=0, around_defaults=True)

    def share(first):
        found = [kept(searcher.point(index)) for index in range(first, first + 200)]
        return sum("rate" in names for names in found) / 200

    assert share(0) > 0.2 > share(2_000) > share(100_000)
    assert share(100_000) == 0


def test_in_a_space_of_two_hyperparameters_points_around_the_defaults_are_plain_random_points():
    plain = RandomSearch(LR_BATCH.fix(epochs=9), seed=0)
    around = RandomSearch(LR_BATCH.fix(epochs=9), seed=0, around_defaults=True)
    assert len(LR_BATCH.parameters) == 2
    assert [plain.point(i) for i in range(50)] == [around.point(i) for i in range(50)]
