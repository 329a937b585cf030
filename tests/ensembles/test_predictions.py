import numpy as np
import pyarrow.parquet as pq
import pytest

from tune_cluster.ensembles.predictions import Predictions, stacked, write_predictions

GOOD = {"rows": [3, 1, 2], "targets": [0, 1, 1], "predicted": [[1, 0], [0.2, 0.8], [0.5, 0.5]]}


def test_predictions_are_in_the_order_of_the_rows_whatever_the_trainable_gives():
    found = Predictions.of(GOOD)
    assert found.rows.tolist() == [1, 2, 3]
    assert found.targets.tolist() == [1, 1, 0]
    assert found.predicted[:, 1].tolist() == [0.8, 0.5, 0.0]
    assert found.classes == 2


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"rows": [1, 2]}, r"rows \[n\]"),
        ({"rows": [1, 1, 2]}, "different indices"),
        ({"targets": [0, 1, 2]}, "from 0 to 1"),
        ({"targets": [0.0, 1.0, 1.0]}, "class indices"),
        ({"predicted": [[1, 0], [2.0, 0.8], [0.5, 0.5]]}, "sum over the classes is 1"),
        ({"predicted": [[-3.0, 4.0], [0.2, 0.8], [0.5, 0.5]]}, "probabilities"),
        ({"predicted": [[np.nan, 0], [0.2, 0.8], [0.5, 0.5]]}, "not finite"),
        ({"predicted": [[1], [1], [1]]}, r"\[n, classes\]"),
        ({"rows": [], "targets": [], "predicted": []}, "at least one"),
    ],
)
def test_what_does_not_belong_together_is_refused(changed, rule):
    with pytest.raises(ValueError, match=rule):
        Predictions.of({**GOOD, **changed})


@pytest.mark.parametrize("found", [None, [1, 2], {"rows": [1]}])
def test_something_else_is_refused(found):
    with pytest.raises(ValueError, match="must return a dictionary of rows, targets, predicted"):
        Predictions.of(found)


def test_only_samples_that_all_have_predicted_are_compared():
    other = Predictions.of(
        {"rows": [4, 3, 2], "targets": [0, 0, 1], "predicted": [[1, 0], [0.9, 0.1], [0, 1]]}
    )
    truth, stack = stacked([Predictions.of(GOOD), other])
    assert truth.rows.tolist() == [2, 3]
    assert truth.targets.tolist() == [1, 0]
    assert stack[:, :, 1].tolist() == [[0.5, 0.0], [1.0, 0.1]]


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"rows": [7, 8, 9]}, "none is common"),
        ({"targets": [1, 1, 1]}, "same targets"),
        ({"predicted": [[1, 0, 0]] * 3}, "same targets"),
        ({"predicted": [1.0, 2.0, 3.0]}, "same targets"),
    ],
)
def test_predictions_of_something_else_are_not_combined(changed, rule):
    members = [Predictions.of(GOOD), Predictions.of({**GOOD, **changed})]
    with pytest.raises(ValueError, match=rule):
        stacked(members)


def test_the_file_has_a_line_for_each_trial_and_sample(tmp_path):
    found = {7: Predictions.of(GOOD), 2: Predictions.of(GOOD)}
    write_predictions(tmp_path / "p.parquet", found, ("cat", "dog"))
    table = pq.read_table(tmp_path / "p.parquet").to_pydict()
    assert [*table] == ["trial", "row", "target", "p_cat", "p_dog"]
    assert table["trial"] == [7, 7, 7, 2, 2, 2]
    assert table["row"] == [1, 2, 3] * 2
    assert table["p_dog"] == [0.8, 0.5, 0.0] * 2


def test_numbers_have_one_column(tmp_path):
    found = Predictions.of({"rows": [0, 1], "targets": [2, 3], "predicted": [2.5, 3.5]})
    write_predictions(tmp_path / "p.parquet", {0: found}, ())
    table = pq.read_table(tmp_path / "p.parquet").to_pydict()
    assert table["predicted"] == [2.5, 3.5]
    assert table["target"] == [2.0, 3.0]
