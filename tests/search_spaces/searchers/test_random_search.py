"""Random search: point i depends on seed and i alone."""

from hypothesis import given
from hypothesis import strategies as st

from search_spaces.searchers.random_search import RandomSearch
from search_spaces.spaces import LR_BATCH


@given(seed=st.integers(0, 2**31), index=st.integers(0, 10_000))
def test_a_point_does_not_depend_on_what_was_asked_before(seed, index):
    used, fresh = RandomSearch(LR_BATCH, seed=seed), RandomSearch(LR_BATCH, seed=seed)
    used.point(0)
    used.point(1)
    assert used.point(index) == fresh.point(index)


def test_two_seeds_give_two_searches():
    first, second = RandomSearch(LR_BATCH, seed=0), RandomSearch(LR_BATCH, seed=1)
    assert [first.point(i) for i in range(4)] != [second.point(i) for i in range(4)]
    # With seed + index as a seed, the second search would be the first one, shifted.
    assert first.point(1) != second.point(0)
