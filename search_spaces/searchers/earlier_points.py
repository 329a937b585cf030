"""The start points of a study that come from earlier studies, with a test of their quality.

Earlier studies of other data may mislead. The study tries the first three of their configurations,
then one of its searcher's own. If that one is better than all three, the remaining start points are
left out.
"""

from __future__ import annotations

import math

from search_spaces.objective import Objective
from search_spaces.trial_events import (
    Ended,
    EpochsLost,
    Event,
    Result,
    StartPointsLeftOut,
    Suggested,
)
from search_spaces.values import Value

FIRST = 3
"""Number of configurations of earlier studies that are always tried."""


class EarlierPoints:
    """Returns the configurations of earlier studies as long as they are good in this study.

    Args:
        after: number of trials that come before these configurations.
        objective: objective of the study; None until it is known, before the first trial.
    """

    def __init__(self, after: int, objective: Objective | None = None) -> None:
        self._after, self._objective = after, objective
        self.points: list[dict[str, Value]] = []
        """Complete configurations, the most promising first."""
        self._given: list[int] = []
        """Trials that have the first configurations of `points`, in order."""
        self._own: int | None = None
        """First trial with a configuration of the searcher."""
        self._values: dict[int, dict[float, float]] = {}
        """Sort keys of the metric by trial and epoch, smaller is better, of the compared trials."""
        self._ended: dict[int, Ended] = {}
        """First end of each compared trial."""
        self._helpful: bool | None = None
        """Result of the comparison; None before it."""
        self._events: list[Event] = []

    @property
    def trusted(self) -> list[dict[str, Value]]:
        """All configurations if they were found to be good in this study, else none."""
        return [*self.points] if self._helpful else []

    def add(self, point: dict[str, Value]) -> None:
        """Add a configuration, before the first trial has one."""
        if point not in self.points:
            self.points.append(point)

    def at(self, index: int) -> dict[str, Value] | None:
        """Return the configuration of trial `index`, the next one; None leaves it to the
        searcher."""
        count = len(self._given)
        if index < self._after or count == len(self.points):
            return None
        return self.points[count] if count < FIRST or self._helpful else None

    def on_event(self, event: Event) -> None:
        """Take in an event of the study."""
        if isinstance(event, Suggested):
            self._begin(event.trial)
        elif isinstance(event, Result) and event.trial in self._values:
            assert self._objective is not None, "a study checks its searcher before it begins"
            value = event.metrics[self._objective.metric]
            assert value is not None, "the journal has no result without its metric"
            self._values[event.trial][event.epoch] = self._objective.key(value)
        elif isinstance(event, EpochsLost) and event.trial in self._values:
            values = self._values[event.trial]
            self._values[event.trial] = {at: v for at, v in values.items() if at < event.first}
        elif isinstance(event, Ended) and event.trial in self._values:
            self._ended.setdefault(event.trial, event)
            if self._helpful is None and self._own is not None:
                self._compare(self._own)
        elif isinstance(event, StartPointsLeftOut):
            self._events = []

    def take_events(self) -> list[Event]:
        """Return the decisions since the last call."""
        events, self._events = self._events, []
        return events

    def _begin(self, trial: int) -> None:
        if self.at(trial) is not None:
            self._given.append(trial)
            if len(self._given) <= FIRST:
                self._values[trial] = {}
        elif self._own is None and FIRST <= len(self._given) < len(self.points):
            self._own = trial
            self._values[trial] = {}

    def _compare(self, own: int) -> None:
        """Compare the searcher's own trial with the start points, once all of them have ended."""
        if len(self._ended) < len(self._values):
            return
        last = {trial: max(values, default=0) for trial, values in self._values.items()}
        judged = [t for t, end in self._ended.items() if not end.failed and last[t] > 0]
        # The last epoch that all of them have reached.
        common = min((last[trial] for trial in judged), default=0)

        def loss(trial: int) -> float:
            values = self._values[trial]
            reached = max((at for at in values if at <= common), default=None)
            return math.inf if trial not in judged or reached is None else values[reached]

        theirs = [loss(trial) for trial in self._given[:FIRST]]
        self._helpful = not loss(own) < min(theirs)
        if not self._helpful:
            left = len(self.points) - len(self._given)
            self._events.append(
                StartPointsLeftOut(trial=own, better_than=self._given[:FIRST], points=left)
            )
