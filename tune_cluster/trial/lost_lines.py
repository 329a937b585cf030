"""Epochs that a trial has had and the journal has lost, told again from the trial's checkpoint.

The journal of a study in a bucket is some seconds behind the checkpoints. A head that dies takes
those seconds with it: on another one the journal may end at epoch 3 of a trial whose checkpoint is
of epoch 9. So a checkpoint there keeps what its trial reported before it, and its configuration.
Whoever goes on from it reports first what the journal lacks, one epoch after the other, and trains
none of them again. A trial that the journal has lost altogether is suggested anew. That may be
another configuration, which does not go on from the old one's checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tune_cluster.storage.checkpoints import Checkpoint

NOT_KEPT = ("step_losses", "done")


@dataclass
class Past:
    """What a trial has reported, for its checkpoints and from them.

    Args:
        config: of the trial.
    """

    config: Mapping[str, Any]
    results: list[dict[str, Any]] = field(default_factory=list)
    """By epoch, those of its earlier lives included."""

    def to_keep(self) -> dict[str, Any]:
        """What the next checkpoint keeps, as `TrialCheckpoints.write` takes it."""
        return {"past": list(self.results), "config": as_json(self.config)}

    def add(self, result: Mapping[str, Any]) -> None:
        """Takes in what the trial reports."""
        self.results.append({k: v for k, v in result.items() if k not in NOT_KEPT})

    def is_of(self, checkpoint: Checkpoint) -> bool:
        """Whether the checkpoint was trained with this trial's configuration, as far as it says."""
        return checkpoint.config is None or checkpoint.config == as_json(self.config)

    def take_up(self, checkpoint: Checkpoint, reported: float) -> list[dict[str, Any]]:
        """What is to be reported before the trial goes on from the checkpoint, whose own result is
        the last.

        Args:
            reported: epochs that are known; infinite where none can be lost.
        """
        self.results = [*checkpoint.past]
        self.add(checkpoint.result)
        lost = [result for result in checkpoint.past if result["epoch"] > reported]
        return [*lost, checkpoint.result]


def as_json(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration as it is read back: tuples are lists, NumPy's numbers Python's own."""
    read: dict[str, Any] = json.loads(json.dumps(config, default=lambda value: value.item()))
    return read
