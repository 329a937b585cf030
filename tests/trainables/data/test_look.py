"""What a look at a dataset finds, in data with planted faults."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.data import look as module
from trainables.data.arrays import Array
from trainables.data.dataset import Part, RawDataset
from trainables.data.look import OwnLook, look_at, row_keys, shortened
from trainables.data.splits import prepared

OWN = OwnLook(lambda array: row_keys(array.values), lambda _: [])


def dataset_of(labels, values=None, *, test=None, names=("good", "bad")):
    """A dataset of different rows, or of the given ones; the test set has rows of its own."""
    labels = np.asarray(labels)
    if values is None:
        values = np.arange(len(labels), dtype=np.float32)[:, None]
    test = (
        Part(Array(-1 - np.arange(20, dtype=np.float32)[:, None]), labels[:20])
        if test is None
        else test
    )
    raw = RawDataset(
        train=Part(Array(values), labels), test=test, class_names=names, source="made up"
    )
    return prepared("made up", raw, seed=0, train_ratio=0.8)


def warnings_of(dataset):
    return look_at(dataset, OWN).warnings


def rows_of(dataset, title):
    section = next(one for one in look_at(dataset, OWN).sections if one.title == title)
    return {row[0]: row[1:] for row in section.rows}


def test_balanced_and_different_samples_need_no_warning():
    dataset = dataset_of(np.arange(200) % 2)
    assert warnings_of(dataset) == []
    assert rows_of(dataset, "Classes") == {
        "good": ("80", "20", "10", "50.0%"),
        "bad": ("80", "20", "10", "50.0%"),
    }


@pytest.mark.parametrize(("rare", "told"), [(12, True), (40, False)])
def test_beyond_one_to_ten_the_imbalance_is_told_with_what_accuracy_hides(rare, told):
    labels = np.array([0] * (200 - rare) + [1] * rare, dtype=np.int64)
    dataset = dataset_of(labels)
    found = [w for w in warnings_of(dataset) if "not balanced" in w]
    assert bool(found) == told
    if told:
        assert "of good for each of bad" in found[0]
        accuracy = (dataset.search.train.targets == 0).mean()
        assert f"{accuracy:.3f}" in found[0], "the accuracy of one class alone"
        assert "0.500" in found[0], "and its recall"


def test_a_class_that_a_part_lacks_is_named():
    whole = dataset_of((np.arange(200) % 2).astype(np.int64))
    targets = whole.search.targets.copy()
    targets[whole.search.train_count :] = 0
    test = Part(whole.test.inputs[:3], np.zeros(3, dtype=np.int64))
    one_class = replace(whole, search=replace(whole.search, targets=targets), test=test)
    found = " ".join(warnings_of(one_class))
    assert "the validation part has no sample of bad" in found
    assert "the test part has no sample of bad" in found


def test_copies_are_counted_inside_and_across_the_borders():
    values = np.arange(200, dtype=np.float32)[:, None]
    labels = (np.arange(200) % 2).astype(np.int64)
    clean = dataset_of(labels, values)
    search = clean.search
    copied = search.inputs.values.copy()
    copied[160:170] = copied[:10]  # validation samples of the training part
    copied[20:40] = copied[40:60]  # copies inside
    test = Part(Array(copied[[0, 1, 199]]), search.targets[[0, 1, 199]])
    targets = search.targets.copy()
    targets[160:170], targets[20:40] = targets[:10], targets[40:60]
    dataset = replace(
        clean, search=replace(search, inputs=Array(copied), targets=targets), test=test
    )
    found = rows_of(dataset, "Duplicates")
    assert found["copies inside the training part"] == ("20 of 160", "12.50%")
    assert found["validation samples that are training samples too"][0] == "10 of 40"
    assert found["test samples that are training samples too"][0] == "2 of 3"
    assert found["test samples that are validation samples too"][0] == "3 of 3"
    assert found["equal samples with different targets"][0] == "0 of 203"
    told = " ".join(warnings_of(dataset))
    assert "20 of 160 training samples are copies" in told
    assert "10 of 40 validation samples are training samples too" in told
    assert "2 of 3 test samples" in told
    assert look_at(dataset, OWN).leakage == {
        "validation in training": 10 / 40,
        "test in training": 2 / 3,
        "test in validation": 1.0,
    }


def test_equal_samples_with_different_targets_are_told():
    values = (np.arange(200) // 2).astype(np.float32)[:, None]
    labels = np.zeros(200, dtype=np.int64)
    labels[:20:2] = 1
    dataset = dataset_of(labels, values)
    assert rows_of(dataset, "Duplicates")["equal samples with different targets"][0] == "20 of 220"
    assert any("no model can predict both" in warning for warning in warnings_of(dataset))


def test_numbers_are_told_by_their_quantiles_and_a_constant_by_a_warning():
    numbers = np.linspace(0, 100, 200)
    dataset = dataset_of(numbers, names=())
    assert rows_of(dataset, "Targets")["training"][0] == "160"
    assert warnings_of(dataset) == []
    constant = dataset_of(np.full(200, 7.0), names=())
    assert any("all training targets are 7" in warning for warning in warnings_of(constant))


def test_of_a_large_dataset_a_part_is_looked_at_and_that_is_told(monkeypatch):
    monkeypatch.setattr(module, "MOST_SAMPLES", 100)
    dataset = dataset_of((np.arange(1000) % 2).astype(np.int64))
    few, told = shortened(dataset)
    assert "of 1,020 samples" in told
    assert 95 <= len(few.search.targets) + len(few.test.targets) <= 105
    assert few.search.train_count / len(few.search.targets) == pytest.approx(0.8, abs=0.02)
    found = look_at(dataset, OWN)
    assert any(told in section.text for section in found.sections)
    # Counts of classes are of all samples.
    assert rows_of(dataset, "Classes")["good"][0] == "400"


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_rows_have_one_key_exactly_if_they_are_equal(rows):
    first, second = (np.array(column) for column in zip(*rows, strict=True))
    keys = row_keys(first.astype(np.float32)[:, None], second.astype(np.int32))
    assert len(keys) == len(rows)
    for i, one in enumerate(rows):
        assert [other == one for other in rows] == (keys == keys[i]).tolist()


def test_the_page_is_whole_and_escapes_what_the_data_says():
    labels = np.array([0] * 190 + [1] * 10, dtype=np.int64)
    dataset = dataset_of(labels, names=("<script>alert(1)</script>", "bad"))
    page = look_at(dataset, OWN).page
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert 'class="warning"' in page
    assert "http" not in page, "no other file is needed"


def test_a_dataset_of_no_known_kind_is_looked_at_by_its_targets():
    found = look_at(dataset_of((np.arange(200) % 2).astype(np.int64)))
    assert [section.title for section in found.sections] == ["Classes"]
    assert isinstance(found.seconds, float)
