"""Splits: a test set, one stratified split of the rest for all trials, or folds."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trainables.data.dataset import (
    Dataset,
    Part,
    RawDataset,
    S,
    SearchData,
    Targets,
    fingerprint,
)

# Share of the test set where the data has none. Its seed does not depend on the study, so that test
# results of all studies are comparable.
TEST_SHARE = 0.2
TEST_SEED = 0

BINS = 10
"""Number of bins, of equally many samples, by which numbers are stratified."""


def groups_of(targets: Targets) -> NDArray[np.int64]:
    """Return the group of each sample by which splits are stratified, int64 `[n]`: its class, or
    the tenth of the numbers that its number is in."""
    if targets.dtype.kind == "i":
        return targets.astype(np.int64, copy=False)
    inner = np.quantile(targets, np.arange(1, BINS) / BINS)
    return np.searchsorted(inner, targets).astype(np.int64)


def stratified_order(labels: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
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


def with_test_set(
    whole: Part[S], *, class_names: tuple[str, ...], source: str, notice: str = ""
) -> RawDataset[S]:
    """Set `TEST_SHARE` of the samples aside as a test set, stratified."""
    order = stratified_order(groups_of(whole.targets), TEST_SEED)
    count = round(len(order) * (1 - TEST_SHARE))
    train, test = order[:count], order[count:]
    return RawDataset(
        train=Part(whole.inputs[train], whole.targets[train]),
        test=Part(whole.inputs[test], whole.targets[test]),
        class_names=class_names,
        source=source,
        notice=notice,
    )


def split(
    name: str, whole: Part[S], *, class_names: tuple[str, ...], seed: int, train_ratio: float
) -> SearchData[S]:
    """Split samples into a training and a validation part, both stratified.

    Args:
        name: name of the dataset.
        whole: all samples of a search.
        class_names: name of each class; empty where the targets are numbers.
        seed: seed of the order of the samples.
        train_ratio: share of the samples in the training part, between 0 and 1.

    Raises:
        ValueError: the ratio leaves a part empty, or the seed is negative.
    """
    if seed < 0:
        raise ValueError(f"the seed of the split must be at least 0, got {seed}")
    total = len(whole.targets)
    count = round(total * train_ratio)
    if not 0 < train_ratio < 1 or not 0 < count < total:
        raise ValueError(
            f"train_ratio must be above 0 and below 1 and leave samples in both parts of the split "
            f"of {total}, got {train_ratio}"
        )
    order = stratified_order(groups_of(whole.targets), seed)
    return SearchData(
        name=name,
        inputs=whole.inputs[order],
        targets=whole.targets[order],
        class_names=class_names,
        train_count=count,
        train_ratio=train_ratio,
    )


def split_again(data: SearchData[S], seed: int) -> SearchData[S]:
    """Split the samples of a search anew, into parts of the same size: a copy in another order.

    Args:
        data: training and validation part, which are put together.
        seed: seed of the order of the samples, at least 0.
    """
    order = order_again(data, seed)
    return replace(data, inputs=data.inputs[order], targets=data.targets[order])


def order_again(data: SearchData[S], seed: int) -> NDArray[np.int64]:
    """Return the row of each sample of `split_again` in the data that it splits, int64 `[n]`."""
    return stratified_order(groups_of(data.targets), seed)


def prepared(
    name: str, raw: RawDataset[S], *, seed: int, train_ratio: float, own: bool = False
) -> Dataset[S]:
    """Split a dataset for a search.

    Args:
        name: name of the dataset, or the path of the user's own.
        raw: its files' content.
        seed: seed of the split into training and validation part, at least 0.
        train_ratio: share of the training samples that trials may train on; the rest is the
            validation set.
        own: whether `name` is a path, on which the fingerprint does not depend: the same data
            elsewhere is the same dataset.

    Raises:
        ValueError: the split is impossible, or leaves a class without a training sample.
    """
    search = split(name, raw.train, class_names=raw.class_names, seed=seed, train_ratio=train_ratio)
    if search.classes:
        labels = search.train.targets.astype(np.int64, copy=False)
        counts = np.bincount(labels, minlength=search.classes)
        if not counts.all():
            missing = search.class_names[int(counts.argmin())]
            raise ValueError(
                f"dataset {name}: no sample of class {missing} is among the {len(labels)} training "
                "samples: add samples, or raise train_ratio"
            )
    return Dataset(
        name=name,
        search=search,
        test=raw.test,
        notice=raw.notice,
        source=raw.source,
        fingerprint=fingerprint(replace(search, name="own") if own else search, raw.test),
    )


@dataclass(frozen=True)
class Partition:
    """Indices of samples of a `SearchData`, in consecutive blocks."""

    train: tuple[range, ...]
    validation: range

    @property
    def samples(self) -> int:
        """Number of samples to train on."""
        return sum(map(len, self.train))


def partitions(data: SearchData[S], *, train_ratio: float, folds: int) -> list[Partition]:
    """Return one partition, or one per fold.

    Without folds, a trial trains on the first `train_ratio` of all samples and is validated on the
    validation part, the same for all trials. With k folds, all samples, both parts together, form k
    blocks, each of which is the validation part of one partition.

    Args:
        data: the samples.
        train_ratio: share of all samples to train on; ignored with folds.
        folds: number of folds, at least 2, or 0 for the single split.

    Raises:
        ValueError: the ratio is above the split's own or leaves no sample, or there are more folds
            than samples.
    """
    total = len(data.targets)
    if folds:
        blocks = data.blocks(folds)
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
            f"train_ratio {train_ratio} leaves no sample of {data.name} to train on; raise it"
        )
    return [Partition((range(count),), range(data.train_count, total))]
