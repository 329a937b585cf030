"""Rows of another file are read as those of the training file."""

import numpy as np
import pandas as pd
import pytest

from trainables.table.columns import tables_of
from trainables.table.files import read_file
from trainables.table.preparation import UNKNOWN, Preparation, fitted
from trainables.table.values import File, table_of

COLUMNS = {
    "size": [1.5, 2.0, np.nan, 4.25],
    "key": ["007", "x", "12", "007"],
    "sold": ["2012-01-31", "2013/02/01", "2014-03-05", "2015-12-24"],
    "sold.month": [3, 1, 4, 1],
    "ready": [True, False, True, True],
    "target": [1, 2, 3, 4],
}


def of_training(frame):
    (table,), _ = tables_of([File("train", frame)], target="target", categories=(), drop=())
    return table


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_same_rows_give_the_same_arrays(tmp_path, suffix):
    frame = pd.DataFrame(COLUMNS)
    train = of_training(frame)
    assert train.columns.numbers.count("sold.month") == 2
    path = tmp_path / f"rows{suffix}"
    some = frame.iloc[[3, 0]].assign(more=1).drop(columns="target")
    some.to_csv(path, index=False) if suffix == ".csv" else some.to_parquet(path)
    found = table_of(read_file(path, train.columns.categories), train.columns)
    assert np.array_equal(found.numbers, train.numbers[[3, 0]])
    # A file with numbers alone in it has no zeros before them, unless they are read as written.
    assert np.array_equal(found.codes, train.codes[[3, 0]])


def test_a_new_category_is_unknown_and_a_missing_one_is_not():
    train = of_training(pd.DataFrame({"city": ["a", "b", None, "a"], "target": [1, 2, 3, 4]}))
    rows = File("rows", pd.DataFrame({"city": ["b", "new", None, "a"]}))
    stored = fitted(train, "mean", 1e-9).stored()
    found = Preparation.from_stored(train.columns, stored).prepared(table_of(rows, train.columns))
    known = fitted(train, "mean", 1e-9).prepared(train)
    assert found[:, 0].tolist() == [known[1, 0], UNKNOWN, known[2, 0], known[0, 0]]


def test_a_category_that_is_a_number_is_found_however_it_is_written():
    train = of_training(pd.DataFrame({"level": [1.0, 2.0, None, "x"], "target": [1, 2, 3, 4]}))
    for level in (["2.0"], [2], ["2"], [2.0]):
        rows = File("rows", pd.DataFrame({"level": level}))
        assert table_of(rows, train.columns).codes[0, 0] == train.codes[1, 0]


def test_all_missing_columns_are_named_at_once():
    train = of_training(pd.DataFrame(COLUMNS))
    with pytest.raises(
        ValueError, match=r"no column size, sold, .*; it has key, and needs size, sold"
    ):
        table_of(File("rows", pd.DataFrame({"key": ["x"]})), train.columns)
