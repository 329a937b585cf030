"""What trials see of a dataset: compact arrays, one stratified split or folds."""

import hashlib
import warnings
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]

# Where data comes without a test set: by a seed that no study can change, so that test results of
# all studies can be compared.
TEST_SHARE = 0.2
TEST_SEED = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class SearchData:
    """The part of a dataset of images that a search may look at: no test images.

    Plain arrays, so that Ray's object store maps them into every trial without a copy (there they
    are read-only).
    """

    name: str
    """Of the dataset, such as "fashion_mnist"."""
    images: Images
    """uint8 `[n, channels, height, width]`."""
    labels: Labels
    """int64 `[n]`, 0 to `classes - 1`, training part first; of every prefix, and so of every block
    too, the classes have their share."""
    train_count: int
    """Images of the training part; the rest is for validation, the same for every trial."""
    classes: int
    train_ratio: float
    """Share of the images that went into the training part."""

    @property
    def train_labels(self) -> Labels:
        """int64 `[train_count]`."""
        return self.labels[: self.train_count]

    @property
    def validation_labels(self) -> Labels:
        """int64 `[n - train_count]`."""
        return self.labels[self.train_count :]

    @property
    def train_images(self) -> Images:
        """A view of the training part."""
        return self.images[: self.train_count]

    @property
    def validation_images(self) -> Images:
        """A view of the rest."""
        return self.images[self.train_count :]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(channels, height, width)` of one image."""
        _, channels, height, width = self.images.shape
        return channels, height, width


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """A dataset as the driver holds it."""

    name: str
    """Of the dataset, such as "fashion_mnist"."""
    search: SearchData
    """What trials see."""
    test_images: Images
    """uint8 `[k, channels, height, width]`, for the final evaluation alone."""
    test_labels: Labels
    """int64 `[k]`."""
    notice: str
    """What the person must know (a fallback, files that could not be verified), or empty."""
    source: str
    """Where the dataset was found."""
    fingerprint: str
    """Twelve hexadecimal digits of a hash over content and split."""


def stratified_order(labels: Labels, seed: int) -> NDArray[np.int64]:
    """Order samples at random so that every prefix is stratified.

    In each prefix of length k, each class c of n_c out of n samples occurs k * n_c / n times, give
    or take less than 1, however uneven the classes are. (Sorting by each sample's fractional rank
    in its class does not promise that: ten small classes whose ranks coincide displace a big one.)
    The classes take turns by the earliest deadline, which keeps that bound where any order does
    (Steiner and Yeomans 1993, "Level schedules for mixed-model, just-in-time processes"), and
    some order always does (Tijdeman 1980, "The chairman assignment problem").

    Args:
        labels: int64 `[n]`.
        seed: of the order inside each class and of ties between classes.

    Returns:
        Indices into `labels`, int64 `[n]`.
    """
    generator = np.random.default_rng(seed)
    classes = generator.permutation(np.unique(labels))
    members = [generator.permutation(np.flatnonzero(labels == c)) for c in classes]
    sizes = [len(m) for m in members]
    turns = np.empty(len(labels), dtype=np.int64)
    taken = [0] * len(sizes)
    for position in range(len(labels)):
        # A class may not run ahead of its share by 1; of those that may come, the one whose next
        # sample would first fall behind by 1 comes.
        earliest, turn = 2.0, -1
        for c, size in enumerate(sizes):
            if taken[c] * len(labels) < (position + 1) * size:
                deadline = (taken[c] + 1) / size
                if deadline < earliest:
                    earliest, turn = deadline, c
        taken[turn] += 1
        turns[position] = turn
    order = np.empty(len(labels), dtype=np.int64)
    for c, indices in enumerate(members):
        order[turns == c] = indices
    return order


@dataclass(frozen=True)
class RawDataset:
    """A dataset as its files hold it, before any split for a search."""

    train_images: Images
    """uint8 `[n, channels, height, width]`."""
    train_labels: Labels
    """int64 `[n]`."""
    test_images: Images
    """uint8 `[k, channels, height, width]`."""
    test_labels: Labels
    """int64 `[k]`."""
    source: str
    """Where it was found."""
    notice: str = ""
    """What could not be verified, or empty."""


def with_test_set(images: Images, labels: Labels, *, source: str) -> RawDataset:
    """Set `TEST_SHARE` of the images aside as a test set, stratified by class."""
    order = stratified_order(labels, TEST_SEED)
    count = round(len(labels) * (1 - TEST_SHARE))
    train, test = order[:count], order[count:]
    return RawDataset(images[train], labels[train], images[test], labels[test], source)


def split(
    name: str, images: Images, labels: Labels, *, classes: int, seed: int, train_ratio: float
) -> SearchData:
    """Split images into a training and a validation part, both stratified by class.

    Args:
        seed: of the order of the images.
        train_ratio: share of the images that goes into the training part, between 0 and 1.

    Raises:
        ValueError: a ratio that leaves either part empty, or a negative seed.
    """
    if seed < 0:
        raise ValueError(f"the seed of the split must be at least 0, got {seed}")
    count = round(len(labels) * train_ratio)
    if not 0 < train_ratio < 1 or not 0 < count < len(labels):
        raise ValueError(
            f"train_ratio must be above 0 and below 1 and leave images on both sides of the split "
            f"of {len(labels)}, got {train_ratio}"
        )
    order = stratified_order(labels, seed)
    return SearchData(
        name=name,
        images=images[order],
        labels=labels[order],
        train_count=count,
        classes=classes,
        train_ratio=train_ratio,
    )


@dataclass(frozen=True)
class Partition:
    """Indices of images of a `SearchData`, in blocks that follow each other."""

    train: tuple[range, ...]
    validation: range

    @property
    def samples(self) -> int:
        """To train on."""
        return sum(map(len, self.train))


def partitions(data: SearchData, *, train_ratio: float, folds: int) -> list[Partition]:
    """One partition, or one a fold.

    Without folds, a trial is trained on the first `train_ratio` of all images and validated on the
    validation part, which is the same for all. With k folds, each of k blocks of all images, both
    parts together, is the validation part of one of them. The blocks are stratified by class as
    the order of the images is (Kohavi 1995, *A Study of Cross-Validation and Bootstrap*).

    Args:
        train_ratio: share of all images to train on; without a meaning under folds.
        folds: at least 2, or 0 for the one split.

    Raises:
        ValueError: a ratio above the split's own or one that leaves no image, or more folds than
            images.
    """
    total = len(data.labels)
    if folds:
        if folds > total:
            raise ValueError(
                f"folds must be at most the {total} images of {data.name}, got {folds}"
            )
        ends = [round(total * fold / folds) for fold in range(folds + 1)]
        blocks = [range(start, stop) for start, stop in pairwise(ends)]
        return [
            Partition(tuple(block for block in blocks if block != held_out), held_out)
            for held_out in blocks
        ]
    if train_ratio > data.train_ratio:
        raise ValueError(
            f"train_ratio must be at most {data.train_ratio}, the share that {data.name} was split "
            f"by, got {train_ratio}: split the dataset at a larger ratio or lower this one"
        )
    count = round(total * train_ratio)
    if count == 0:
        raise ValueError(f"train_ratio {train_ratio} leaves no image of {data.name} to train on")
    return [Partition((range(count),), range(data.train_count, total))]


def as_tensor(array: NDArray[np.generic]) -> Tensor:
    """Wrap an array without a copy; never write to the result.

    PyTorch warns that arrays mapped from Ray's object store are read-only; nothing here writes.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable", category=UserWarning)
        return torch.from_numpy(array)


def fingerprint(search: SearchData, test_images: Images, test_labels: Labels) -> str:
    """Twelve hexadecimal digits of SHA-256 over all arrays and where the split lies."""
    digest = hashlib.sha256(search.name.encode())
    for array in (
        search.train_images,
        search.train_labels,
        search.validation_images,
        search.validation_labels,
        test_images,
        test_labels,
    ):
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:12]
