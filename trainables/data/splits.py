"""Datasets as trials see them: compact arrays with one stratified split, or folds."""

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

# Share of the test set where the data has none. Its seed does not depend on the study, so that test
# results of all studies are comparable.
TEST_SHARE = 0.2
TEST_SEED = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class SearchData:
    """The part of an image dataset that a search may use: no test images.

    Plain arrays, so that Ray's object store maps them into every trial without a copy (there they
    are read-only).
    """

    name: str
    """Name of the dataset, such as "fashion_mnist"."""
    images: Images
    """uint8 `[n, channels, height, width]`."""
    labels: Labels
    """int64 `[n]`, 0 to `classes - 1`, training part first; every prefix, and therefore every
    block, is stratified by class."""
    train_count: int
    """Number of images in the training part; the others are the validation set of all trials."""
    classes: int
    train_ratio: float
    """Share of the images in the training part."""

    @property
    def train_labels(self) -> Labels:
        """Labels of the training part, int64 `[train_count]`."""
        return self.labels[: self.train_count]

    @property
    def validation_labels(self) -> Labels:
        """Labels of the validation part, int64 `[n - train_count]`."""
        return self.labels[self.train_count :]

    @property
    def train_images(self) -> Images:
        """View of the training part."""
        return self.images[: self.train_count]

    @property
    def validation_images(self) -> Images:
        """View of the validation part."""
        return self.images[self.train_count :]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(channels, height, width)` of one image."""
        _, channels, height, width = self.images.shape
        return channels, height, width


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """A dataset as the driver holds it, with the test set."""

    name: str
    """Name of the dataset, such as "fashion_mnist"."""
    search: SearchData
    """Part that trials use."""
    test_images: Images
    """uint8 `[k, channels, height, width]`, only for the final evaluation."""
    test_labels: Labels
    """int64 `[k]`."""
    notice: str
    """Notice for the user (a fallback, files that could not be verified); may be empty."""
    source: str
    """Place where the dataset was found."""
    fingerprint: str
    """Twelve hexadecimal digits of a hash over content and split."""


def stratified_order(labels: Labels, seed: int) -> NDArray[np.int64]:
    """Order samples at random so that every prefix is stratified.

    In each prefix of length k, each class c of n_c out of n samples occurs k * n_c / n times, with
    an error below 1, however uneven the classes are. (Sorting by each sample's fractional rank in
    its class does not guarantee this: ten small classes with equal ranks displace a big one.)
    The classes take turns by the earliest deadline, which keeps that bound if any order does
    (Steiner and Yeomans 1993, "Level schedules for mixed-model, just-in-time processes"), and
    some order always does (Tijdeman 1980, "The chairman assignment problem").

    Args:
        labels: int64 `[n]`.
        seed: seed of the order inside each class and of ties between classes.

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
        # No class may exceed its share by 1; of the eligible ones, take the class whose next sample
        # would be the first to fall behind by 1.
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
    """A dataset as its files contain it, before any split for a search."""

    train_images: Images
    """uint8 `[n, channels, height, width]`."""
    train_labels: Labels
    """int64 `[n]`."""
    test_images: Images
    """uint8 `[k, channels, height, width]`."""
    test_labels: Labels
    """int64 `[k]`."""
    source: str
    """Place where it was found."""
    notice: str = ""
    """Notice about files that could not be verified; may be empty."""


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
        name: name of the dataset.
        images: uint8 `[n, channels, height, width]`.
        labels: int64 `[n]`, below `classes`.
        classes: number of classes.
        seed: seed of the order of the images.
        train_ratio: share of the images in the training part, between 0 and 1.

    Raises:
        ValueError: the ratio leaves a part empty, or the seed is negative.
    """
    if seed < 0:
        raise ValueError(f"the seed of the split must be at least 0, got {seed}")
    count = round(len(labels) * train_ratio)
    if not 0 < train_ratio < 1 or not 0 < count < len(labels):
        raise ValueError(
            f"train_ratio must be above 0 and below 1 and leave images in both parts of the split "
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
    """Indices of images of a `SearchData`, in consecutive blocks."""

    train: tuple[range, ...]
    validation: range

    @property
    def samples(self) -> int:
        """Number of images to train on."""
        return sum(map(len, self.train))


def partitions(data: SearchData, *, train_ratio: float, folds: int) -> list[Partition]:
    """Return one partition, or one per fold.

    Without folds, a trial trains on the first `train_ratio` of all images and is validated on the
    validation part, the same for all trials. With k folds, all images, both parts together, form k
    blocks, each of which is the validation part of one partition. The blocks are stratified by
    class as the order of the images is (Kohavi 1995, *A Study of Cross-Validation and Bootstrap*).

    Args:
        data: the images.
        train_ratio: share of all images to train on; ignored with folds.
        folds: number of folds, at least 2, or 0 for the single split.

    Raises:
        ValueError: the ratio is above the split's own or leaves no image, or there are more folds
            than images.
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
            f"train_ratio must be at most {data.train_ratio}, the share of the training part of "
            f"{data.name}, got {train_ratio}: split the dataset with a larger ratio or lower "
            "this one"
        )
    count = round(total * train_ratio)
    if count == 0:
        raise ValueError(
            f"train_ratio {train_ratio} leaves no image of {data.name} to train on; raise it"
        )
    return [Partition((range(count),), range(data.train_count, total))]


def as_tensor(array: NDArray[np.generic]) -> Tensor:
    """Wrap an array without a copy; the result must not be written to.

    PyTorch warns that arrays mapped from Ray's object store are read-only; no code here writes.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable", category=UserWarning)
        return torch.from_numpy(array)


def fingerprint(search: SearchData, test_images: Images, test_labels: Labels) -> str:
    """Return twelve hexadecimal digits of the SHA-256 of all arrays and the position of the
    split."""
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
