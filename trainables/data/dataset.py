"""A dataset of any kind: as its files contain it, as the driver holds it, and as trials see it."""

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import Self

Rows: TypeAlias = NDArray[np.int64] | slice
"""Indices of samples, int64 `[k]`, or a slice of all."""

Targets: TypeAlias = NDArray[np.int64] | NDArray[np.float64]
"""A class index or a number of each sample, `[n]`."""


class Samples(Protocol):
    """Inputs of a task: compact arrays, so that Ray's object store maps them into every trial
    without a copy (there they are read-only)."""

    def __len__(self) -> int:
        """Return the number of samples."""

    def __getitem__(self, rows: Rows) -> Self:
        """Return some of the samples; those of a slice share their memory with these."""

    def arrays(self) -> Sequence[NDArray[Any]]:
        """Return the arrays that hold the content, for the fingerprint."""


S = TypeVar("S", bound=Samples)


@dataclass(frozen=True, eq=False)
class Part(Generic[S]):
    """Some samples with their targets."""

    inputs: S
    targets: Targets
    """int64 class indices from 0, or finite float64 numbers, `[n]`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RawDataset(Generic[S]):
    """A dataset as its files contain it, before any split for a search."""

    train: Part[S]
    test: Part[S]
    class_names: tuple[str, ...]
    """Name of each class; empty where the targets are numbers."""
    source: str
    """Place where it was found."""
    notice: str = ""
    """Notice for the user, such as files that could not be verified; may be empty."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SearchData(Generic[S]):
    """The part of a dataset that a search may use: no test samples."""

    name: str
    """Name of the dataset, such as "fashion_mnist"."""
    inputs: S
    """Training part first; every prefix, and therefore every block, is stratified."""
    targets: Targets
    """Target of each sample, `[n]`."""
    class_names: tuple[str, ...]
    """Name of each class; empty where the targets are numbers."""
    train_count: int
    """Number of samples in the training part; the others are the validation set of all trials."""
    train_ratio: float
    """Share of the samples in the training part."""

    @property
    def classes(self) -> int:
        """Number of classes; 0 where the targets are numbers."""
        return len(self.class_names)

    @property
    def train(self) -> Part[S]:
        """View of the training part."""
        return Part(self.inputs[: self.train_count], self.targets[: self.train_count])

    @property
    def validation(self) -> Part[S]:
        """View of the validation part."""
        return Part(self.inputs[self.train_count :], self.targets[self.train_count :])

    def blocks(self, folds: int) -> list[range]:
        """Return the rows of each of `folds` blocks, which together are all samples; each is
        stratified as the order of the samples is (Kohavi 1995, *A Study of Cross-Validation and
        Bootstrap*).

        Raises:
            ValueError: there are fewer than 2 folds, or more than samples.
        """
        total = len(self.targets)
        if folds < 2:
            raise ValueError(f"folds must be at least 2, got {folds}")
        if folds > total:
            raise ValueError(
                f"folds must be at most the {total} samples of {self.name}, got {folds}"
            )
        ends = [round(total * fold / folds) for fold in range(folds + 1)]
        return [range(start, stop) for start, stop in pairwise(ends)]

    def fold(self, index: int, folds: int) -> tuple[Part[S], Part[S]]:
        """Return the training and the validation part of one fold of a cross-validation over all
        samples of the search: each sample is in the validation part of one fold. Its rows are
        `blocks(folds)[index]`.

        Args:
            index: number of the fold, from 0.
            folds: number of folds, at least 2.

        Raises:
            ValueError: there is no such fold, or as `blocks`.
        """
        blocks = self.blocks(folds)
        if not 0 <= index < folds:
            raise ValueError(f"fold must be from 0 to {folds - 1}, got {index}")
        block = blocks[index]
        rows = np.r_[0 : block.start, block.stop : len(self.targets)]
        held_out = slice(block.start, block.stop)
        return (
            Part(self.inputs[rows], self.targets[rows]),
            Part(self.inputs[held_out], self.targets[held_out]),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset(Generic[S]):
    """A dataset as the driver holds it, with the test set."""

    name: str
    """Name of the dataset, such as "fashion_mnist"."""
    search: SearchData[S]
    """Part that trials use."""
    test: Part[S]
    """Only for the final evaluation."""
    notice: str
    """Notice for the user (a fallback, files that could not be verified); may be empty."""
    source: str
    """Place where the dataset was found."""
    fingerprint: str
    """Twelve hexadecimal digits of a hash over content and split."""
    notes: tuple[str, ...] = ()
    """Sentences on what was found in the data, for the plan of a study."""


def fingerprint(search: SearchData[S], test: Part[S]) -> str:
    """Return twelve hexadecimal digits of the SHA-256 of all arrays and the position of the
    split."""
    digest = hashlib.sha256(search.name.encode())
    for part in (search.train, search.validation, test):
        for array in (*part.inputs.arrays(), part.targets):
            digest.update(str(array.shape).encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:12]


def as_tensor(array: NDArray[Any]) -> Tensor:
    """Wrap an array without a copy; the result must not be written to.

    PyTorch warns that arrays mapped from Ray's object store are read-only; no code here writes.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable", category=UserWarning)
        return torch.from_numpy(array)
