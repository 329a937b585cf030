"""The epochs of a trial: which one a report is of, and what a checkpoint keeps of those before it.

An epoch is what a trainable says itself, or one more than the report before: a number above 0, and
larger than that of the report before. That is 1, 2, 3, but also 10, 20, 30 of a trainable that
reports now and then, or 0.5, 1, 1.5 of one that reports twice an epoch. One that counts from 0, as
`for epoch in range(n)` does, is counted from 1 here.

The journal of a study in a bucket is some seconds behind the checkpoints. A head that dies takes
those seconds with it: on another one the journal may end at epoch 3 of a trial whose checkpoint is
of epoch 9. So a checkpoint there keeps what its trial reported before it, and its configuration.
Whoever resumes from it reports first what the journal lacks, one epoch after the other, and trains
none of them again. A trial that the journal has lost altogether is suggested anew. That may be
another configuration, which does not resume from the old one's checkpoint.
"""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from search_spaces.trial_events import Epochs
from tune_cluster.storage.checkpoints import Checkpoint
from tune_cluster.trial.metrics import as_number

NOT_KEPT = ("step_losses", "done")
"""What a checkpoint does not keep of earlier results."""

DIGITS = 6
"""Of the fraction of an epoch; the rest is rounding errors of a sum."""

MOST = 10**12
"""The largest epoch: TensorBoard's steps have an end."""


class EpochCount:
    """Counts the epochs of a trial since it began, or since it resumed from a checkpoint.

    Args:
        after: the epoch of that checkpoint, 0 without one.
        from_zero: whether it says 0 for its first epoch, which the checkpoint knows.
    """

    def __init__(self, after: Epochs = 0, *, from_zero: bool = False) -> None:
        self.last = after
        """The last one that was reported, or the checkpoint's."""
        self.from_zero = from_zero
        self.begun = False
        """Whether it has reported since."""

    def of(self, reported: Any) -> Epochs:
        """Return the epoch of a report.

        Args:
            reported: what the report says of its epoch, None where it says nothing.

        Raises:
            ValueError: it is no number, or not larger than the one before it.
        """
        if reported is None:
            epoch: Epochs = self.last + 1
        else:
            epoch = self._as_said(reported)
        self.last, self.begun = epoch, True
        return epoch

    def _as_said(self, reported: Any) -> Epochs:
        said = None if isinstance(reported, bool) else as_number(reported)
        if said is None or not 0 <= said <= MOST:
            raise ValueError(
                f"reported epoch {reprlib.repr(reported)}: an epoch is a number from 0 on; without "
                "one each report counts as one"
            )
        if not self.begun and said == 0:
            self.from_zero = True
        epoch = round(said + self.from_zero, DIGITS)
        if epoch <= 0 or (self.begun and epoch <= self.last):
            raise ValueError(
                f"reported epoch {said:g} after epoch {self.last - self.from_zero:g}: each report "
                "has a larger one than the report before; report once an epoch, or the fraction "
                "that is done, or no epoch at all: each report then counts as one"
            )
        return int(epoch) if math.isfinite(epoch) and epoch == int(epoch) else epoch


@dataclass
class History:
    """What a trial has reported, for its checkpoints and from them.

    Args:
        config: of the trial.
    """

    config: Mapping[str, Any]
    results: list[dict[str, Any]] = field(default_factory=list)
    """By epoch, those before its last resume included."""

    def to_keep(self) -> dict[str, Any]:
        """Return what the next checkpoint keeps, as `TrialCheckpoints.write` takes it."""
        return {"past": list(self.results), "config": as_json(self.config)}

    def add(self, result: Mapping[str, Any]) -> None:
        """Add what the trial reports."""
        self.results.append({k: v for k, v in result.items() if k not in NOT_KEPT})

    def is_of(self, checkpoint: Checkpoint) -> bool:
        """Return whether the checkpoint was trained with this configuration, as far as it says."""
        return checkpoint.config is None or checkpoint.config == as_json(self.config)

    def restore(self, checkpoint: Checkpoint, known: float) -> list[dict[str, Any]]:
        """Take over the results of a checkpoint; return those to report before the trial trains
        on, of which the checkpoint's own is the last.

        Args:
            known: epochs that the driver knows; infinite where none can be lost.
        """
        self.results = [*checkpoint.past]
        self.add(checkpoint.result)
        lost = [result for result in checkpoint.past if result["epoch"] > known]
        return [*lost, checkpoint.result]


def as_json(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration as it is read back: tuples are lists, NumPy's numbers Python's own."""
    read: dict[str, Any] = json.loads(json.dumps(config, default=lambda value: value.item()))
    return read
