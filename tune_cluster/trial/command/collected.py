"""Assignment of metrics that arrive one after the other to epochs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tune_cluster.trial.command.printed import EPOCH
from tune_cluster.trial.results import as_number


class _Drawn(NamedTuple):
    """Metric in the last state of a progress bar, which may still be drawn again."""

    value: Any
    epoch: float | None
    """Epoch of that state; None if the command has printed none."""


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
        self._leads = False
        """Whether the command prints an epoch before its metric."""
        self._drawn: _Drawn | None = None
        self.seen: set[str] = set()
        """All names that have arrived."""

    @property
    def waits(self) -> bool:
        """Whether a report is complete, except for metrics that may follow at once."""
        return self._metric in self._pending

    def add(
        self, found: Mapping[str, Any], *, drawn: bool = False, ended: bool = True
    ) -> dict[str, Any] | None:
        """Add metrics; return the report of the previous epoch if they belong to another one.

        Args:
            found: metrics by name.
            drawn: whether they are a state of a line that may be drawn again.
            ended: whether the line has ended.
        """
        self.seen.update(found)
        values = {name: value for name, value in found.items() if name != EPOCH}
        epoch = as_number(found[EPOCH]) if EPOCH in found else None
        if epoch is not None and self._drawn is not None and epoch != self._drawn.epoch:
            self._count_drawn()
        if drawn and self._metric in values:
            value = values.pop(self._metric)
            self._drawn = _Drawn(value, self._epoch if epoch is None else epoch)
        elif self._metric in values:
            # A whole line says more than a bar.
            self._drawn = None
        if ended and self._drawn is not None and self._drawn.epoch is None:
            values[self._metric], self._drawn = self._drawn.value, None
        report = None
        if self.waits:
            begun = epoch is not None and self._is_new(self._of) and epoch != self._of
            if begun or not self._pending.keys().isdisjoint(values):
                report = self.take()
        if epoch is not None:
            self._epoch = epoch
        if not self._was_reported(epoch, values):
            self._pending.update(values)
            if self._metric in values:
                self._of = self._epoch
        return report

    def take(self) -> dict[str, Any] | None:
        """Return the report of the ended epoch; None if this epoch was reported before."""
        if not self.waits:
            return None
        report, self._pending = self._pending, {}
        self._leads = self._leads or self._is_new(self._of)
        epoch = self._of if self._is_new(self._of) else self._epoch
        if epoch is None:
            return report
        if not self._is_new(epoch):
            return None
        self.last = epoch
        return {**report, EPOCH: epoch}

    def finish(self) -> dict[str, Any] | None:
        """Return the report of the last epoch, when the command has ended."""
        self._count_drawn()
        return self.take()

    def _count_drawn(self) -> None:
        """Let the last state of a progress bar be the value of its epoch."""
        drawn, self._drawn = self._drawn, None
        if drawn is None or self.waits:
            return
        if drawn.epoch is None or self._is_new(drawn.epoch):
            self._pending[self._metric], self._of = drawn.value, drawn.epoch

    def _was_reported(self, epoch: float | None, values: Mapping[str, Any]) -> bool:
        """Return whether values belong to an epoch that was reported: those of a line that names
        it, and a second value of the metric in it."""
        if epoch is not None:
            return not self._is_new(epoch)
        known = self._leads and self._epoch is not None and self._metric in values
        return known and not self._is_new(self._epoch)

    def _is_new(self, epoch: float | None) -> bool:
        return epoch is not None and (self.last is None or epoch > self.last)
