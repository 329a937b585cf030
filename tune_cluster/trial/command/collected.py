"""Which of the metrics that come in one after the other are an epoch's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tune_cluster.trial.command.printed import EPOCH
from tune_cluster.trial.results import as_number


class CollectedEpochs:
    """Collects metrics to one report an epoch.

    An epoch ends with the study's metric: what has come since the one before, and what comes at
    once after it under other names, belongs to it. Of a command that also says its epochs the first
    value of the metric in each epoch counts, so that a summary at the end is no epoch more.

    Args:
        metric: of the study.
        last: the epoch that was reported before; None where none was said.
    """

    def __init__(self, metric: str, last: float | None = None) -> None:
        self._metric = metric
        self.last = last
        """The epoch that the command said in its last report."""
        self._epoch: float | None = None
        """The one that it said last."""
        self._pending: dict[str, Any] = {}
        self._of: float | None = None
        """The epoch that was under way as the metric came."""
        self.seen: set[str] = set()
        """All names that have come."""

    @property
    def waits(self) -> bool:
        """Whether a report is ready, but for what may come at once."""
        return self._metric in self._pending

    def add(self, found: Mapping[str, Any]) -> dict[str, Any] | None:
        """Add metrics; return the report of the epoch that ends by that they are another one's."""
        self.seen.update(found)
        values = {name: value for name, value in found.items() if name != EPOCH}
        epoch = as_number(found[EPOCH]) if EPOCH in found else None
        report = None
        if self.waits:
            begun = epoch is not None and self._is_new(self._of) and epoch != self._of
            if begun or not self._pending.keys().isdisjoint(values):
                report = self.take()
        if epoch is not None:
            self._epoch = epoch
        self._pending.update(values)
        if self._metric in values:
            self._of = self._epoch
        return report

    def take(self) -> dict[str, Any] | None:
        """Return the report of the epoch that has ended; None if its epoch was reported before."""
        if not self.waits:
            return None
        report, self._pending = self._pending, {}
        epoch = self._of if self._is_new(self._of) else self._epoch
        if epoch is None:
            return report
        if not self._is_new(epoch):
            return None
        self.last = epoch
        return {**report, EPOCH: epoch}

    def _is_new(self, epoch: float | None) -> bool:
        return epoch is not None and (self.last is None or epoch > self.last)
