"""The epoch of a report, from what a trainable says of it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune_cluster.storage.checkpoints import name_of
from tune_cluster.trial.epochs import MOST, EpochCount

numbers = st.floats(-1, 50, allow_nan=False) | st.integers(-1, 50)
said = st.none() | numbers | st.sampled_from(["1", True, math.nan, math.inf, [1], MOST + 1])


def counted(reports, **begun):
    count = EpochCount(**begun)
    return [count.of(report) for report in reports]


@pytest.mark.parametrize(
    ("reports", "epochs"),
    [
        ([None, None, None], [1, 2, 3]),
        ([1, 2, 3.0], [1, 2, 3]),
        ([0, 1, 2], [1, 2, 3]),
        ([0.0, 0.5, 1.0], [1, 1.5, 2]),
        ([10, 20, 30], [10, 20, 30]),
        ([1 / 3, 2 / 3, 1], [0.333333, 0.666667, 1]),
    ],
)
def test_a_trainable_counts_from_0_or_1_in_steps_of_its_own_or_not_at_all(reports, epochs):
    found = counted(reports)
    assert found == epochs
    assert [type(epoch) for epoch in found] == [type(epoch) for epoch in epochs]


def test_what_goes_on_from_a_checkpoint_counts_on():
    assert counted([None, None], after=4) == [5, 6]
    assert counted([5, 6], after=4) == [5, 6]
    assert counted([4, 5], after=4, from_zero=True) == [5, 6]


def test_what_says_after_a_checkpoint_that_it_is_in_an_earlier_epoch_is_believed():
    assert counted([1, 2], after=4) == [1, 2]
    assert counted([0, 1], after=4) == [1, 2]


@given(st.lists(said, max_size=12), st.integers(0, 9))
def test_epochs_grow_or_the_report_is_refused_with_what_it_said(reports, after):
    count, last = EpochCount(after), 0
    for report in reports:
        try:
            epoch = count.of(report)
        except ValueError as error:
            refusal = str(error)
        else:
            refusal = ""
        if refusal:
            assert report is not None
            assert "epoch" in refusal
            continue
        assert epoch > last
        assert math.isfinite(epoch)
        last = epoch


epochs = st.integers(1, 10**6 - 1) | st.floats(1e-6, 999, exclude_min=True).map(
    lambda epoch: round(epoch, 6)
)


@given(epochs, epochs)
def test_the_folders_of_checkpoints_sort_as_their_epochs(one, another):
    assert (name_of(one) < name_of(another)) == (one < another)
    assert (name_of(one) == name_of(another)) == (one == another)
