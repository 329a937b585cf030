"""The course of a study as curves: the best value so far, trials by status, results a second.

Its points follow from the events alone, one after the other, and a point never changes: those of a
journal begin with those of its beginning. So a session can complete what an earlier one has left.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from search_spaces.objective import Objective
from search_spaces.trial_events import Ended, Event, Result
from tune_cluster.study.events import Closed, Session
from tune_cluster.study.state import StudyState

BEST_BY_TRIALS = "best_so_far/by_trials"
"""Best value after each end of a trial; a promoted trial ends, and counts, again."""

BEST_BY_EPOCHS = "best_so_far/by_epochs"
"""Best value by the epochs of all trials together, lost ones included."""

BEST_BY_SECONDS = "best_so_far/by_seconds"
"""Best value by the seconds of all sessions together."""

TRIALS = "trials/"
"""Start of the names of the numbers of trials with a status, by seconds."""

RATE = "throughput/results_per_second"
"""Results a second, of all trials together, by seconds."""

RATE_SECONDS = 10
"""Smallest number of seconds whose results are counted together; fewer at the end of a session."""


class Point(NamedTuple):
    """A point of a curve."""

    curve: str
    step: int
    """Position on the x axis; larger than that of the point before it in the curve."""
    value: float
    time: float | None
    """Seconds since 1970; None if the journal has no times."""


class Course:
    """Turns the events of a study into points.

    Curves by seconds have at most one point a second, which comes with the first event after that
    second: several events of a second are one point. The clock stands still between sessions.

    Args:
        objective: objective of the study.
    """

    def __init__(self, objective: Objective) -> None:
        # Of its own: in a replay listeners get the state after all events.
        self._state = StudyState(objective)
        self._last: dict[str, Point] = {}
        """Last point of each curve."""
        self._best: float | None = None
        """Best value that was ever reported, even if its epoch is lost."""
        self._ends = 0
        self._time: float | None = None
        """Time of the last event."""
        self._clock: float = 0
        """Seconds of all sessions so far."""
        self._has_begun = False
        """Whether the session has an event with a time."""
        self._trial_ended = False
        """Whether a trial has ended in this second."""
        self._results, self._counted_from = 0, 0
        """Results since the last point of the rate, and the second from which they are counted."""

    def apply(self, event: Event) -> list[Point]:
        """Take in the next event of the study; return the points that it completes."""
        points = [*self._tick(event)]
        self._state.apply(event)
        if isinstance(event, Result):
            self._results += 1
            points += self._compare(event)
        elif isinstance(event, Ended):
            self._ends += 1
            self._trial_ended = True
            if self._best is not None:
                points += self._draw(BEST_BY_TRIALS, self._ends, self._best)
                points += self._draw(BEST_BY_EPOCHS, self._state.epochs_run, self._best)
        return points

    def _tick(self, event: Event) -> Iterator[Point]:
        """Advance the clock to an event; yield the points of a second that it ends."""
        second = int(self._clock)
        if isinstance(event, (Session, Closed)):
            # The end of a killed session is that of its last event. An event that closes a session
            # gets its time after listeners have it.
            if self._has_begun:
                yield from self._end_of(second, session=True)
                self._clock = self._counted_from = second + 1
            self._has_begun, self._time = False, event.time
        elif event.time is not None:
            if self._time is not None:
                self._clock += max(event.time - self._time, 0.0)
            if int(self._clock) > second:
                yield from self._end_of(second)
            self._has_begun, self._time = True, event.time

    def _end_of(self, second: int, *, session: bool = False) -> Iterator[Point]:
        """Yield the points of the curves by seconds; at the end of a session one for each curve."""
        if self._best is not None and (self._trial_ended or session or self._improved):
            yield from self._draw(BEST_BY_SECONDS, second, self._best)
        self._trial_ended = False
        for status, count in self._state.counts.items():
            name = f"{TRIALS}{status}"
            if count and name not in self._last and second:
                yield self._put(Point(name, second - 1, 0.0, self._time))
            if count != self._count(name) or (session and name in self._last):
                yield from self._draw(name, second, count)
        seconds = second + 1 - self._counted_from
        if self._results and (session or seconds >= RATE_SECONDS):
            point = Point(RATE, second, self._results / seconds, self._time)
            self._results, self._counted_from = 0, second + 1
            yield self._put(point)

    def _count(self, name: str) -> float:
        return self._last[name].value if name in self._last else 0.0

    @property
    def _improved(self) -> bool:
        last = self._last.get(BEST_BY_SECONDS)
        return last is None or last.value != self._best

    def _compare(self, event: Result) -> Iterator[Point]:
        objective = self._state.objective
        value = event.metrics.get(objective.metric)
        if value is None or (self._best is not None and not objective.better(value, self._best)):
            return
        self._best = float(value)
        yield from self._draw(BEST_BY_EPOCHS, self._state.epochs_run, self._best)

    def _draw(self, curve: str, step: int, value: float) -> Iterator[Point]:
        """Yield a point, unless its step is there, and before it the end of the level part of the
        curve, without which a rise would look as if it had begun at the point before."""
        last = self._last.get(curve)
        if last is not None and step <= last.step:
            return
        if last is not None and last.value != value and last.step < step - 1:
            yield self._put(Point(curve, step - 1, last.value, self._time))
        yield self._put(Point(curve, step, float(value), self._time))

    def _put(self, point: Point) -> Point:
        self._last[point.curve] = point
        return point
