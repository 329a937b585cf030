"""Image datasets that a test makes up."""

import numpy as np
from numpy.typing import NDArray

from trainables.data.dataset import Part, SearchData
from trainables.data.splits import split
from trainables.image.images import Images


def split_images(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    classes: int,
    *,
    name: str = "made up",
    seed: int = 0,
    train_ratio: float = 0.8,
) -> SearchData[Images]:
    """Split images, uint8 `[n, channels, height, width]`, with int64 labels `[n]`."""
    names = tuple(map(str, range(classes)))
    whole = Part(Images(images), labels)
    return split(name, whole, class_names=names, seed=seed, train_ratio=train_ratio)
