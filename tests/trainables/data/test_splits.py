import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.trainables.made_up import split_images
from trainables.data.dataset import Part, SearchData, as_tensor, fingerprint
from trainables.data.splits import order_again, split_again, stratified_order
from trainables.image.images import Images
from trainables.image.task import standardisation

SIZES = st.lists(st.integers(1, 60), min_size=2, max_size=12)


def labels_of(sizes, seed):
    labels = np.repeat(np.arange(len(sizes)), sizes).astype(np.int64)
    return np.random.default_rng(seed).permutation(labels)


@given(SIZES, st.integers(0, 2**32))
def test_every_prefix_of_the_order_is_stratified_within_one(sizes, seed):
    labels = labels_of(sizes, seed)
    order = stratified_order(labels, seed)
    seen = (labels[order][:, None] == np.arange(len(sizes))).cumsum(axis=0)
    share = np.arange(1, len(labels) + 1)[:, None] * np.array(sizes) / len(labels)
    assert np.abs(seen - share).max() < 1


def test_one_big_class_among_small_ones_is_stratified_too():
    labels = labels_of([900] + [10] * 10, 0)
    seen = (labels[stratified_order(labels, 0)] == 0).cumsum()
    assert np.abs(seen - np.arange(1, 1001) * 0.9).max() < 1


@given(SIZES, st.integers(0, 2**32), st.floats(0.1, 0.9))
def test_the_parts_are_disjoint_complete_and_stratified(sizes, seed, train_ratio):
    sizes = [size + 10 for size in sizes]
    labels = labels_of(sizes, seed)
    # Each image is its own index, over two channels of a pixel each.
    index = np.arange(len(labels))
    images = np.stack([index // 256, index % 256], axis=1).astype(np.uint8)[:, :, None, None]
    data = split_images(images, labels, len(sizes), seed=seed, train_ratio=train_ratio)
    train, validation = (
        part[:, 0, 0, 0].astype(int) * 256 + part[:, 1, 0, 0]
        for part in (data.train.inputs.pixels, data.validation.inputs.pixels)
    )
    assert sorted([*train, *validation]) == list(index)
    assert (labels[train] == data.train.targets).all()
    assert (labels[validation] == data.validation.targets).all()
    expected = np.array(sizes) * len(train) / len(labels)
    assert np.abs(np.bincount(data.train.targets, minlength=len(sizes)) - expected).max() < 1


@given(SIZES, st.integers(0, 2**31))
def test_another_split_has_the_same_samples_in_parts_of_the_same_size(sizes, seed):
    labels = labels_of([size + 10 for size in sizes], 0)
    images = np.arange(len(labels), dtype=np.uint16).view(np.uint8).reshape(-1, 2, 1, 1)
    data = split_images(images, labels, len(sizes), seed=1, train_ratio=0.8)
    again, order = split_again(data, seed), order_again(data, seed)
    assert sorted(order) == list(range(len(labels)))
    assert (again.train_count, again.train_ratio) == (data.train_count, data.train_ratio)
    assert np.array_equal(again.inputs.pixels, data.inputs.pixels[order])
    assert np.array_equal(again.targets, data.targets[order])
    expected = np.bincount(labels) * data.train_count / len(labels)
    assert np.abs(np.bincount(again.train.targets, minlength=len(sizes)) - expected).max() < 1


@given(SIZES, st.integers(0, 2**32))
def test_the_seed_alone_determines_the_order(sizes, seed):
    labels = labels_of(sizes, 0)
    assert (stratified_order(labels, seed) == stratified_order(labels, seed)).all()


def test_another_seed_gives_another_order():
    labels = labels_of([50] * 4, 0)
    assert (stratified_order(labels, 0) != stratified_order(labels, 1)).any()


@pytest.mark.parametrize("train_ratio", [0.0, 1.0, -1.0, 0.0001, 0.9999])
def test_a_split_with_an_empty_part_is_refused(train_ratio):
    labels = labels_of([10, 10], 0)
    with pytest.raises(ValueError, match=f"both parts.*got {train_ratio}"):
        split_images(np.zeros((20, 1, 2, 2), np.uint8), labels, 2, train_ratio=train_ratio)


def test_standardisation_is_of_the_images_in_use_and_has_a_floor():
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (40, 3, 4, 4)).astype(np.uint8)
    images[:, 2] = 51
    data = SearchData(
        name="x",
        inputs=Images(images),
        targets=np.zeros(40, np.int64),
        class_names=("all",),
        train_count=30,
        train_ratio=0.75,
    )
    blocks = range(5), range(20, 40)
    mean, std = standardisation(data, blocks, min_std=0.02)
    used = np.concatenate([images[:5], images[20:]]) / 255
    assert mean.dtype == std.dtype == torch.float32
    np.testing.assert_allclose(mean, used.mean(axis=(0, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(std[:2], used.std(axis=(0, 2, 3))[:2], rtol=1e-5)
    assert std[2] == pytest.approx(0.02)
    assert standardisation(data, blocks, min_std=0.5)[1].min() == 0.5


def test_an_array_is_wrapped_without_a_copy():
    array = np.arange(3)
    array.flags.writeable = False
    assert as_tensor(array).data_ptr() == array.ctypes.data


def test_the_fingerprint_tells_content_and_split_apart():
    labels = labels_of([20, 20], 0)
    images = np.arange(40, dtype=np.uint8).reshape(40, 1, 1, 1)

    def of(seed=0, train_ratio=0.8, test=0):
        data = split_images(images, labels, 2, seed=seed, train_ratio=train_ratio)
        others = Images(np.full((1, 1, 1, 1), test, np.uint8))
        return fingerprint(data, Part(others, np.zeros(1, np.int64)))

    assert of() == of()
    assert len({of(), of(seed=1), of(train_ratio=0.5), of(test=1)}) == 4


def indexed(labels):
    """Images of one pixel, the index of the sample."""
    return split_images(np.arange(len(labels), dtype=np.uint8)[:, None, None, None], labels, 4)


@pytest.mark.parametrize("folds", [2, 3, 7])
def test_each_sample_is_validated_in_one_fold_and_trained_on_in_all_others(folds):
    labels = np.arange(40) % 4
    data = indexed(labels)
    seen = []
    for index in range(folds):
        train, validation = data.fold(index, folds)
        rows = data.blocks(folds)[index]
        assert (validation.inputs.pixels == data.inputs.pixels[list(rows)]).all()
        both = np.concatenate([train.inputs.pixels, validation.inputs.pixels]).ravel()
        assert sorted(both) == list(range(40))
        assert len(train.targets) + len(validation.targets) == 40
        seen += [*rows]
    assert seen == list(range(40))


@pytest.mark.parametrize(
    ("index", "folds", "rule"),
    [
        (0, 1, "at least 2, got 1"),
        (0, 41, "at most the 40 samples"),
        (3, 3, "from 0 to 2, got 3"),
        (-1, 3, "from 0 to 2, got -1"),
    ],
)
def test_a_fold_that_there_is_not_is_refused(index, folds, rule):
    with pytest.raises(ValueError, match=rule):
        indexed(np.arange(40) % 4).fold(index, folds)
