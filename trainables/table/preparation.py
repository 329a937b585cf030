"""Preparation of a table for a network, fitted on training rows alone: imputation, standardisation,
and codes of the categories that were seen."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.table.tables import MISSING, Columns, Table

if TYPE_CHECKING:
    from trainables.data.dataset import SearchData
    from trainables.data.splits import Partition

UNKNOWN = 0
"""Index of a category that no training row has; its embedding is zero and stays so."""

ABSENT = 1
"""Index of a missing category; the categories follow."""

SPECIAL = 2
"""Number of indices before those of the categories."""

CACHED = 8
"""Number of prepared tables that a process keeps for the next trials."""


@dataclass(frozen=True, eq=False)
class Preparation:
    """Statistics of training rows, by which all rows are prepared."""

    columns: Columns
    fill: NDArray[np.float64]
    """Value of a missing number of each column, in its unit, `[numbers]`."""
    mean: NDArray[np.float64]
    """Mean of each column over the numbers that are there, `[numbers]`."""
    std: NDArray[np.float64]
    """Standard deviation of each, at least `min_std`, `[numbers]`."""
    flagged: NDArray[np.int64]
    """Columns of numbers that have a second column, 1 where the number is missing."""
    indices: tuple[NDArray[np.int64], ...]
    """For each column of categories, the index of each code, that of `MISSING` last."""

    @property
    def features(self) -> tuple[str, ...]:
        """Name of each prepared column: numbers, flags of missing numbers, categories."""
        numbers = self.columns.numbers
        flags = tuple(f"{numbers[column]} missing" for column in self.flagged)
        return numbers + flags + self.columns.categories

    def prepared(self, table: Table) -> Tensor:
        """Return float32 `[n, features]`: standardised numbers, flags of 0 and 1, and indices of
        categories, which float32 has exactly up to 2**24."""
        missing = np.isnan(table.numbers)
        numbers = np.where(missing, self.fill, table.numbers)
        numbers = (numbers - self.mean) / self.std
        codes = [index[table.codes[:, column]] for column, index in enumerate(self.indices)]
        parts = [numbers, missing[:, self.flagged], *(code[:, None] for code in codes)]
        return torch.from_numpy(np.concatenate(parts, axis=1, dtype=np.float32))

    def stored(self) -> dict[str, Any]:
        """Return what was learned as plain JSON, without the columns."""
        return {
            **{name: getattr(self, name).tolist() for name in ("fill", "mean", "std", "flagged")},
            "indices": [index.tolist() for index in self.indices],
        }

    @classmethod
    def from_stored(cls, columns: Columns, content: dict[str, Any]) -> Preparation:
        """Make it again of what `stored` has returned; the code after the last of a column stands
        for a category that no training file has."""
        return cls(
            columns=columns,
            **{name: np.array(content[name], np.float64) for name in ("fill", "mean", "std")},
            flagged=np.array(content["flagged"], np.int64),
            indices=tuple(
                np.array([*index[:-1], UNKNOWN, index[-1]], np.int64)
                for index in content["indices"]
            ),
        )


def fitted(table: Table, imputation: str, min_std: float) -> Preparation:
    """Learn a preparation from training rows.

    Args:
        table: the training rows.
        imputation: what a missing number becomes: the "mean", the "median" or the "most_frequent"
            number of its column (the smallest of equally frequent ones), or "flag": the mean, with
            a second column that is 1 there. A missing category is a category of its own or, with
            "most_frequent", the most frequent one (the first of equally frequent ones).
        min_std: smallest standard deviation that divides a column.
    """
    there = ~np.isnan(table.numbers)
    count = there.sum(axis=0)
    # A column without a number in these rows becomes 0.
    mean = np.where(there, table.numbers, 0.0).sum(axis=0) / np.maximum(count, 1)
    squared = np.where(there, table.numbers - mean, 0.0) ** 2
    std = np.sqrt(squared.sum(axis=0) / np.maximum(count, 1))
    fill = mean
    if imputation in ("median", "most_frequent"):
        of_column = np.median if imputation == "median" else most_frequent
        fill = np.array(
            [
                float(of_column(column[known])) if known.any() else 0.0
                for column, known in zip(table.numbers.T, there.T, strict=True)
            ]
        )
    flagged = np.flatnonzero(count < len(table)) if imputation == "flag" else np.empty(0, np.int64)
    return Preparation(
        columns=table.columns,
        fill=fill,
        mean=mean,
        std=np.maximum(std, min_std),
        flagged=flagged.astype(np.int64),
        indices=tuple(
            _indices(table.codes[:, column], len(names), imputation)
            for column, names in enumerate(table.columns.levels)
        ),
    )


def most_frequent(values: NDArray[np.float64]) -> np.float64:
    """Return the most frequent of numbers, the smallest of several."""
    different, counts = np.unique(values, return_counts=True)
    found: np.float64 = different[counts.argmax()]
    return found


def _indices(codes: NDArray[np.int32], levels: int, imputation: str) -> NDArray[np.int64]:
    counts = np.bincount(codes[codes != MISSING], minlength=levels)
    indices = np.where(counts > 0, np.arange(levels) + SPECIAL, UNKNOWN)
    absent = ABSENT if (codes == MISSING).any() else UNKNOWN
    if imputation == "most_frequent" and counts.any():
        absent = int(counts.argmax()) + SPECIAL
    # The code of a missing category is -1: numpy counts it from the end.
    return np.append(indices, absent).astype(np.int64)


# All trials of a process share their data, and most of them its preparation.
@functools.lru_cache(maxsize=CACHED)
def prepared_by(
    data: SearchData[Table], train: Sequence[range], imputation: str, min_std: float
) -> tuple[Preparation, Tensor]:
    """Return the preparation that the rows of `train` give, and all rows prepared by it, float32
    `[n, features]`, which must not be written to."""
    rows = np.concatenate([np.arange(block.start, block.stop) for block in train])
    preparation = fitted(data.inputs[rows], imputation, min_std)
    return preparation, preparation.prepared(data.inputs)


def of_partition(
    data: SearchData[Table], partition: Partition, imputation: str, min_std: float
) -> tuple[Preparation, Tensor]:
    """Return `prepared_by` for the training rows of a partition."""
    return prepared_by(data, partition.train, imputation, min_std)
