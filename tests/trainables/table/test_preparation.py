"""What a network sees of a table: fitted on the training rows, and on nothing else."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import StandardScaler

from tests.trainables.table.made_up import mixed, table
from trainables.data.splits import partitions
from trainables.table import preparation as module
from trainables.table.preparation import (
    ABSENT,
    SPECIAL,
    UNKNOWN,
    Preparation,
    fitted,
    prepared_by,
)
from trainables.table.selection import chosen, scores_of

IMPUTATIONS = ("mean", "median", "most_frequent", "flag")

TABLES = arrays.arrays(
    np.float64,
    st.tuples(st.integers(1, 20), st.integers(1, 4)),
    elements=st.one_of(
        st.just(np.nan), st.integers(-3, 3), st.floats(-1e6, 1e6, allow_subnormal=False)
    ),
)


@given(TABLES, st.sampled_from(IMPUTATIONS))
def test_missing_numbers_become_what_scikit_learn_makes_of_them(numbers, imputation):
    strategy = "mean" if imputation == "flag" else imputation
    theirs = SimpleImputer(strategy=strategy, keep_empty_features=True).fit(numbers)
    ours = fitted(table(numbers), imputation, 1e-9)
    np.testing.assert_allclose(ours.fill, theirs.statistics_, rtol=1e-9, atol=1e-9)


@given(TABLES, st.sampled_from(IMPUTATIONS))
def test_what_is_prepared_is_finite_and_has_a_name_for_each_column(numbers, imputation):
    found = fitted(table(numbers), imputation, 1e-9)
    prepared = found.prepared(table(numbers))
    assert prepared.isfinite().all()
    assert prepared.shape == (len(numbers), len(found.features))


@given(arrays.arrays(np.float64, (12, 3), elements=st.floats(-1e3, 1e3, width=32)))
def test_numbers_are_standardised_as_by_scikit_learn(numbers):
    theirs = StandardScaler().fit(numbers)
    ours = fitted(table(numbers), "mean", 1e-3)
    np.testing.assert_allclose(ours.mean, theirs.mean_, atol=1e-9)
    np.testing.assert_allclose(ours.std, np.maximum(np.sqrt(theirs.var_), 1e-3), atol=1e-9)


def test_a_flag_is_one_where_a_number_is_missing():
    numbers = [[1.0, np.nan], [2.0, 4.0], [3.0, 6.0]]
    found = fitted(table(numbers), "flag", 1e-9)
    assert found.features == ("x0", "x1", "x1 missing")
    assert found.prepared(table(numbers))[:, 2].tolist() == [1, 0, 0]
    assert found.prepared(table(numbers))[0, 1] == 0, "the mean"


CODES = arrays.arrays(np.int32, st.integers(1, 20), elements=st.integers(-1, 4))


@given(CODES, CODES)
def test_categories_that_were_seen_have_an_index_and_others_none(train, other):
    def of(codes):
        return table(np.empty((len(codes), 0)), codes[:, None], (5,))

    found = fitted(of(train), "mean", 1e-9).prepared(of(other))[:, 0].long().tolist()
    for code, index in zip(other.tolist(), found, strict=True):
        if code not in train:
            assert index == UNKNOWN
        else:
            assert index == (ABSENT if code == -1 else code + SPECIAL)


@given(CODES)
def test_a_missing_category_can_become_the_most_frequent_one(codes):
    of = table(np.empty((len(codes), 0)), codes[:, None], (5,))
    found = fitted(of, "most_frequent", 1e-9).prepared(of)[:, 0].long().numpy()
    present = codes[codes >= 0]
    if len(present):
        assert set(found[codes < 0]) <= {np.bincount(present).argmax() + SPECIAL}


def assert_held_out_rows_change_nothing(imputation):
    """Fail if what a network trains on depends on rows that validate it, in a single split or a
    fold."""
    data = mixed("numbers")
    for part in partitions(data, train_ratio=0.8, folds=0) + partitions(
        data, train_ratio=0.8, folds=3
    ):
        rows = np.concatenate([np.arange(block.start, block.stop) for block in part.train])
        held_out = np.arange(part.validation.start, part.validation.stop)
        numbers, codes = data.inputs.numbers.copy(), data.inputs.codes.copy()
        numbers[held_out] = 1e6
        codes[held_out] = 2
        targets = data.targets.copy()
        targets[held_out] = -1e6
        changed = replace(
            data, inputs=replace(data.inputs, numbers=numbers, codes=codes), targets=targets
        )
        for kind in ("variance", "mutual_information"):
            scores = [scores_of(kind, of, part.train, imputation, 1e-9) for of in (data, changed)]
            np.testing.assert_array_equal(*scores)
        prepared = [prepared_by(of, part.train, imputation, 1e-9)[1] for of in (data, changed)]
        assert torch.equal(prepared[0][rows], prepared[1][rows])


@pytest.mark.parametrize("imputation", IMPUTATIONS)
def test_nothing_is_learned_from_rows_that_validate(imputation):
    assert_held_out_rows_change_nothing(imputation)


@pytest.mark.parametrize("imputation", IMPUTATIONS)
def test_a_preparation_that_saw_all_rows_would_be_seen(monkeypatch, imputation):
    def leaking(data, train, imputation, min_std):
        found: Preparation = fitted(data.inputs, imputation, min_std)
        return found, found.prepared(data.inputs)

    monkeypatch.setattr(module, "prepared_by", leaking)
    monkeypatch.setitem(globals(), "prepared_by", leaking)
    with pytest.raises(AssertionError):
        assert_held_out_rows_change_nothing(imputation)


def test_the_feature_that_decides_has_the_highest_mutual_information():
    data = mixed("classes", rows=600)
    (part,) = partitions(data, train_ratio=0.8, folds=0)
    scores = scores_of("mutual_information", data, part.train, "mean", 1e-9)
    assert set(np.argsort(-scores)[:2]) == {0, 1}
    assert chosen(scores, 0.4).tolist() == [1, 1, 0, 0, 0]


def test_variance_does_not_depend_on_the_unit():
    data = mixed("numbers")
    (part,) = partitions(data, train_ratio=0.8, folds=0)
    other = replace(data, inputs=replace(data.inputs, numbers=data.inputs.numbers * 1000))
    scores = [scores_of("variance", of, part.train, "mean", 1e-9) for of in (data, other)]
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-4)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0.01, 1))
def test_the_share_that_is_asked_for_is_kept_and_at_least_one(scores, share):
    given = np.array(scores)
    kept = chosen(given, share).bool().numpy()
    assert kept.sum() == max(1, round(share * len(scores)))
    assert given[kept].min() >= max([*given[~kept], 0])
