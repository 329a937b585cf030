"""Predictions of a checkpoint for held-out samples: the result of a trainable's `predict`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

FIELDS = ("rows", "targets", "predicted")

SUM_TOLERANCE = 1e-3
"""Largest difference of a sum of probabilities from 1: predictions may be in float16."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """Samples with their targets, and what was predicted for them."""

    rows: NDArray[np.int64]
    """Index of each sample, ascending, `[n]`."""
    targets: NDArray[Any]
    """Class indices from 0, int64, or numbers, float64, `[n]`."""
    predicted: NDArray[np.float64]
    """Probability of each class, `[n, classes]`, or numbers, `[n]`."""

    @classmethod
    def of(cls, found: object) -> Predictions:
        """Return what a `predict` has returned, checked.

        Args:
            found: a mapping of `rows`, `targets` and `predicted`.

        Raises:
            ValueError: it is none, or its arrays do not belong together.
        """
        if not isinstance(found, Mapping) or not set(FIELDS) <= set(found):
            raise ValueError(
                f"predict() must return a dictionary of {', '.join(FIELDS)}; got {_kind(found)}"
            )
        rows, targets, predicted = (np.asarray(found[name]) for name in FIELDS)
        predicted = predicted.astype(np.float64)
        if rows.ndim != 1 or targets.shape != rows.shape or len(predicted) != len(rows):
            raise ValueError(
                "predict(): rows [n], targets [n] and predicted [n] or [n, classes] are needed; "
                f"got {rows.shape}, {targets.shape} and {predicted.shape}"
            )
        if not len(rows) or len(np.unique(rows)) < len(rows):
            raise ValueError("predict(): rows must be different indices of at least one sample")
        if not np.isfinite(predicted).all():
            raise ValueError("predict(): predicted has numbers that are not finite")
        if predicted.ndim == 1:
            targets = targets.astype(np.float64)
        else:
            targets = _checked_classes(targets, predicted)
        order = np.argsort(rows, kind="stable")
        return cls(rows[order].astype(np.int64), targets[order], predicted[order])

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def classes(self) -> int:
        """Number of classes; 0 for numbers."""
        return self.predicted.shape[1] if self.predicted.ndim == 2 else 0


def _checked_classes(targets: NDArray[Any], predicted: NDArray[np.float64]) -> NDArray[np.int64]:
    if predicted.ndim != 2 or predicted.shape[1] < 2:
        raise ValueError(f"predict(): predicted must be [n] or [n, classes], got {predicted.shape}")
    sums = predicted.sum(axis=1)
    if predicted.min() < 0 or abs(sums - 1).max() > SUM_TOLERANCE:
        raise ValueError(
            "predict(): predicted must be probabilities, whose sum over the classes is 1; got sums "
            f"from {sums.min():.4g} to {sums.max():.4g}"
        )
    if targets.dtype.kind not in "iu" or targets.min() < 0 or targets.max() >= predicted.shape[1]:
        raise ValueError(
            f"predict(): targets must be class indices from 0 to {predicted.shape[1] - 1}, got "
            f"{targets.dtype} from {targets.min()} to {targets.max()}"
        )
    return targets.astype(np.int64)


def stacked(members: Sequence[Predictions]) -> tuple[Predictions, NDArray[np.float64]]:
    """Return the predictions of several members for the samples that all of them have predicted.

    Returns:
        The first member's predictions of these samples, and those of all, `[members, n, …]`.

    Raises:
        ValueError: the members have no sample in common, or predict different targets.
    """
    rows = members[0].rows
    for member in members[1:]:
        rows = np.intersect1d(rows, member.rows, assume_unique=True)
    if not len(rows):
        raise ValueError("the checkpoints were validated on different samples: none is common")
    at = [np.searchsorted(member.rows, rows) for member in members]
    first = Predictions(rows, members[0].targets[at[0]], members[0].predicted[at[0]])
    for member, here in zip(members, at, strict=True):
        same_shape = member.predicted.shape[1:] == first.predicted.shape[1:]
        if not same_shape or (member.targets[here] != first.targets).any():
            raise ValueError("the checkpoints do not predict the same targets")
    return first, np.stack([m.predicted[here] for m, here in zip(members, at, strict=True)])


def write_predictions(
    path: Path, found: Mapping[int, Predictions], class_names: Sequence[str]
) -> None:
    """Write a Parquet file with a line for each trial and sample: `trial`, `row`, `target`, and
    `predicted`, or `p_<class>` for each class.

    Args:
        path: path of the file, in a folder of this process.
        found: predictions by trial.
        class_names: name of each class; by default their indices.
    """
    many = list(found.values())
    columns = {
        "trial": np.concatenate([np.full(len(one), index) for index, one in found.items()]),
        "row": np.concatenate([one.rows for one in many]),
        "target": np.concatenate([one.targets for one in many]),
    }
    predicted = np.concatenate([one.predicted for one in many])
    if many[0].classes:
        for index, name in enumerate(named(class_names, many[0].classes)):
            columns[f"p_{name}"] = predicted[:, index]
    else:
        columns["predicted"] = predicted
    pq.write_table(pa.table(columns), path, compression="zstd")


def named(class_names: Sequence[str], classes: int) -> list[str]:
    """Return the names of the classes; their indices where the dataset has no names."""
    return [*class_names] if len(class_names) == classes else [*map(str, range(classes))]


def _kind(found: object) -> str:
    if isinstance(found, Mapping):
        return f"one of {', '.join(map(str, found)) or 'nothing'}"
    return type(found).__name__
