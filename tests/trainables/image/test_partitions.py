"""The split and the folds."""

from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trainables.made_up import split_images
from trainables.image.config import ImageConfig
from trainables.image.task import ImageData


def data(count, classes=3):
    labels = np.arange(count) ** 2 % classes
    images = np.zeros((count, 1, 8, 8), np.uint8)
    return split_images(images, labels, classes)


def test_without_folds_it_is_the_first_of_the_training_part_and_all_of_the_validation_part():
    (whole,) = ImageData(data(100)).partitions(ImageConfig())
    assert (whole.train, whole.validation) == ((range(80),), range(80, 100))
    (half,) = ImageData(data(100)).partitions(ImageConfig(train_ratio=0.4))
    assert (half.train, half.validation, half.samples) == ((range(40),), range(80, 100), 40)


@given(st.integers(2, 10), st.integers(10, 200))
def test_each_image_is_held_out_by_one_fold_and_trained_on_by_all_others(folds, count):
    found = ImageData(data(count)).partitions(ImageConfig(folds=folds))
    assert len(found) == folds
    assert list(chain(*(p.validation for p in found))) == list(range(count))
    for partition in found:
        trained = list(chain(*partition.train))
        assert sorted([*trained, *partition.validation]) == list(range(count))
        assert partition.samples == len(trained)
        assert abs(len(partition.validation) - count / folds) <= 1


@given(st.integers(2, 8), st.integers(40, 300))
def test_folds_are_stratified(folds, count):
    made_up = data(count)
    of_all = np.bincount(made_up.targets, minlength=3) / count
    for partition in ImageData(made_up).partitions(ImageConfig(folds=folds)):
        held_out = made_up.targets[partition.validation.start : partition.validation.stop]
        expected = of_all * len(held_out)
        assert np.abs(np.bincount(held_out, minlength=3) - expected).max() < 2


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (ImageConfig(folds=11), "folds must be at most the 10 samples of made up, got 11"),
        (ImageConfig(train_ratio=0.9), r"train_ratio must be at most 0\.8"),
        (ImageConfig(train_ratio=0.01), "leaves no sample"),
        (ImageConfig(train_ratio=0.1, norm="batch"), "leaves one sample .* norm 'batch' needs 2"),
    ],
)
def test_what_does_not_fit_the_data_is_refused(config, said):
    with pytest.raises(ValueError, match=said):
        ImageData(data(10)).partitions(config)
