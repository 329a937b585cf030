"""Assignment of metrics that arrive one after the other to epochs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tune_cluster.trial.command.printed import EPOCH
from tune_cluster.trial.results import as_number


class CollectedEpochs:
    """Collects metrics to one report per epoch.

    An epoch ends with the study's metric: metrics since the previous one, and those with other
    names that follow at once, belong to it. If a command also prints its epochs, the first value of
    the metric in each epoch counts, so that a summary at the end adds no epoch.

    Args:
        metric: metric of the study.
        last: epoch of the previous report; None if it had none.
    """

    def __init__(self, metric: str, last: float | None = None) -> None:
        self._metric = metric
        self.last = last
        """Epoch in the command's last report."""
        self._epoch: float | None = None
        """Epoch that the command printed last."""
        self._pending: dict[str, Any] = {}
        self._of: float | None = None
        """Epoch in progress when the metric arrived."""
        self.seen: set[str] = set()
        """All names that have arrived."""

    @property
    def waits(self) -> bool:
        """Whether a report is complete, except for metrics that may follow at once."""
        return self._metric in self._pending

    def add(self, found: Mapping[str, Any]) -> dict[str, Any] | None:
        """Add metrics; return the report of the previous epoch if they belong to another one."""
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
        """Return the report of the ended epoch; None if this epoch was reported before."""
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
