"""Batch norm needs two samples in each part of a batch: of one it has no deviation."""

from collections.abc import Sequence
from typing import Any

from trainables.data.dataset import SearchData
from trainables.data.splits import Partition
from trainables.prediction.config import PredictionConfig
from trainables.training.config import refuse


def smallest_batch(norm: str | None) -> int:
    """Return the fewest samples that a network with this normalisation trains on at once."""
    return 2 if norm == "batch" else 1


def check_batches(config: PredictionConfig, norm: str | None) -> None:
    """Raise a ValueError if a part of a batch has fewer samples than `norm` needs."""
    least, parts = smallest_batch(norm), config.accumulation_steps
    smallest = min(config.batch_size, config.batch_size_in(config.epochs)) // parts
    refuse(
        {
            f"norm {norm!r} needs {least} samples in a part of a batch: got batch_size "
            f"{config.batch_size} in {parts} accumulation_steps": least > 1 and smallest < least
        }
    )


def check_partitions(
    config: PredictionConfig,
    norm: str | None,
    data: SearchData[Any],
    found: Sequence[Partition],
) -> None:
    """Raise a ValueError if the split leaves fewer samples to train on than `norm` needs."""
    least, left = smallest_batch(norm), found[0].samples
    if left < least and not config.folds:
        raise ValueError(
            f"train_ratio {config.train_ratio} leaves one sample of {data.name} to train on: norm "
            f"{norm!r} needs {least}; raise the ratio or choose another norm"
        )
