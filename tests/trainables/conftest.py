"""Shared fixtures for the trainables: one thread, and a dataset small enough for any test."""

import numpy as np
import pytest
import torch

from tests.trainables.made_up import split_images
from trainables.data.dataset import SearchData
from trainables.image.images import Images


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny() -> SearchData[Images]:
    """250 images of 1 x 8 x 8 in 4 classes that a network can tell apart, half of it noise."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 4, 250).astype(np.int64)
    patterns = generator.integers(0, 128, (4, 1, 8, 8))
    images = patterns[labels] + generator.integers(0, 128, (250, 1, 8, 8))
    return split_images(images.astype(np.uint8), labels, 4, name="tiny")
