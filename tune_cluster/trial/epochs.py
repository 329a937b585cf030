"""Which epoch a report is of: what a trainable says itself, or one more than the report before.

An epoch is a number above 0, and larger than that of the report before: 1, 2, 3, but also 10, 20,
30 of a trainable that reports now and then, or 0.5, 1, 1.5 of one that reports twice an epoch. One
that counts from 0, as `for epoch in range(n)` does, is counted from 1 here.
"""

from __future__ import annotations

import math
import reprlib
from typing import Any

from tune_cluster.study.journal import Epoch
from tune_cluster.trial.reported import as_number

DIGITS = 6
"""Of the fraction of an epoch; the rest is rounding errors of a sum."""

MOST = 10**12
"""Epochs of a trial: what is more is no epoch, and TensorBoard's steps have an end."""


class EpochCount:
    """Counts the epochs of a trial since it began, or since it went on from a checkpoint.

    Args:
        after: the epoch of that checkpoint, 0 without one.
        from_zero: whether it says 0 for its first epoch, which the checkpoint knows.
    """

    def __init__(self, after: Epoch = 0, *, from_zero: bool = False) -> None:
        self.last = after
        """The last one that was reported, or the checkpoint's."""
        self.from_zero = from_zero
        self.begun = False
        """Whether it has reported since."""

    def of(self, reported: Any) -> Epoch:
        """The epoch of a report.

        Args:
            reported: what the report says of its epoch, None where it says nothing.

        Raises:
            ValueError: it is no number, or not larger than the one before it.
        """
        if reported is None:
            epoch: Epoch = self.last + 1
        else:
            epoch = self._as_said(reported)
        self.last, self.begun = epoch, True
        return epoch

    def _as_said(self, reported: Any) -> Epoch:
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
