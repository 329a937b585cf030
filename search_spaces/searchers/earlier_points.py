"""The start points of a study that come from earlier ones, and whether they are worth trying here.

Earlier studies of other data may mislead. The first three of their configurations are tried, then
one of the searcher's own. If that one is better than all three, no other of theirs follows.
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
"""Configurations of earlier studies that are tried in any case."""


class EarlierPoints:
    """Hands out the configurations of earlier studies as long as they are good here.

    Args:
        after: trials of the study that come before.
        objective: of the study; None before it is known, while no trial runs.
    """

    def __init__(self, after: int, objective: Objective | None = None) -> None:
        self._after, self._objective = after, objective
        self.points: list[dict[str, Value]] = []
        """Whole configurations, the most promising first."""
        self._given: list[int] = []
        """The trials that have the first ones of `points`."""
        self._own: int | None = None
        """The first trial with a suggestion of the searcher."""
        self._values: dict[int, dict[float, float]] = {}
        """Of the trials that are compared, by epoch; the smaller the better."""
        self._ended: dict[int, Ended] = {}
        """Of these trials, how each came to its first end."""
        self._helpful: bool | None = None
        """None until it is known."""
        self._events: list[Event] = []

    @property
    def trusted(self) -> list[dict[str, Value]]:
        """The configurations, once they were found to be good here; none before."""
        return [*self.points] if self._helpful else []

    def add(self, point: dict[str, Value]) -> None:
        """Take in a further configuration, before the first trial has one."""
        if point not in self.points:
            self.points.append(point)

    def at(self, index: int) -> dict[str, Value] | None:
        """The configuration that trial `index`, the next one, has; None leaves it to the
        searcher."""
        count = len(self._given)
        if index < self._after or count == len(self.points):
            return None
        return self.points[count] if count < FIRST or self._helpful else None

    def on_event(self, event: Event) -> None:
        """Take in any event of the study."""
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
        """Return, once, what was decided since the last call."""
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
        """Hold the searcher's own trial against theirs, once all of them have ended."""
        if len(self._ended) < len(self._values):
            return
        last = {trial: max(values, default=0) for trial, values in self._values.items()}
        judged = [t for t, end in self._ended.items() if not end.failed and last[t] > 0]
        # The last epoch that all of them have come to.
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
