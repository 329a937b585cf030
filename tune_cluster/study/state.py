"""The state of a study: `StudyState.apply` takes in its events, one after the other.

This is the only place that knows the meaning of an event and the valid order of events: lost,
repeated or exchanged events of a journal are refused here. Everything that a driver can write is
accepted, whenever it was killed.

Every event has the same cost, however many trials there are: counts, the ranking and the values for
the limits of a study are updated with each event, and no code iterates over all trials.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

from search_spaces.objective import Objective
from search_spaces.trial_events import (
    Decision,
    Ended,
    Epoch,
    EpochsLost,
    Event,
    Exploited,
    NotExploited,
    Promoted,
    Result,
    RungJudged,
    Suggested,
    TrialEvent,
)
from tune_cluster.study.events import Interim, SavedCheckpoint, Share, Started

Status: TypeAlias = Literal["pending", "running", "finished", "stopped", "diverged", "failed"]

Metrics: TypeAlias = dict[str, bool | float | None]


class Best(NamedTuple):
    """Best value of a trial."""

    epoch: Epoch
    """Epoch with that value; the first of equal ones."""
    value: float
    """Value of the metric."""


class BestTrial(NamedTuple):
    """Best value of a study."""

    trial: TrialState
    epoch: Epoch
    value: float


@dataclass
class TrialState:
    """State of one trial."""

    index: int
    config: dict[str, Any]
    """Configuration as it was suggested."""
    objective: Objective = field(repr=False)
    status: Status = "pending"
    results: dict[Epoch, Metrics] = field(default_factory=dict)
    """Metrics by epoch, ascending, without lost epochs."""
    interim: dict[Epoch, Metrics] = field(default_factory=dict)
    """Reports without the study's metric, by epoch."""
    step_losses: dict[Epoch, Sequence[Sequence[float]]] = field(default_factory=dict)
    """Pairs of a step and its loss, by epoch."""
    step_scores: dict[Epoch, Mapping[str, Sequence[Sequence[float]]]] = field(default_factory=dict)
    """Pairs of a step and another value, by name, by epoch."""
    best: Best | None = None
    """Best value; None without a value."""
    epochs: Epoch = 0
    """Last reported epoch that is not lost; before the first one, the epoch that it starts
    after."""
    origin: int | None = None
    """Trial of another study that it continues."""
    start_epoch: Epoch = 0
    """Epoch that it starts after, from the checkpoint of the other trial."""
    furthest_epoch: Epoch = 0
    """Largest epoch that it has ever reported."""
    reports_fractions: bool = False
    """Whether it has reported an epoch that is not a whole number."""
    epochs_lost: int = 0
    """Number of results that were lost."""
    rung: Epoch | None = None
    """Rung that stopped it, in epochs."""
    reason: str = ""
    """Reason why it diverged or failed, or the stop condition that ended it."""
    log: str = ""
    """Last lines of its output, if it failed."""
    infrastructure_failure: bool = False
    """Whether it ended for a reason that its configuration is not to blame for."""
    has_ended_before: bool = False
    """Whether it has ever ended, even if it was promoted since."""
    exploits: list[Exploited] = field(default_factory=list)
    """Exploits of a population's member."""
    gpus: float = 0.0
    """Share of a GPU that it got last after lack of memory; 0 if it never lacked memory."""
    seconds: float = field(default=0.0, compare=False)
    """Seconds of work: up to its last result or its failure, without the time between sessions,
    between a rung and its promotion, or of waiting in a population."""
    _at_work_since: float | None = field(default=None, compare=False, repr=False)

    @property
    def ended(self) -> bool:
        """Whether it has ended and will not run again, unless it is promoted."""
        return self.status not in ("pending", "running")

    def config_at(self, epoch: Epoch) -> dict[str, Any]:
        """Return the configuration that `epoch` was trained with."""
        config = dict(self.config)
        for exploit in self.exploits:
            if exploit.epoch < epoch:
                new = {name: after for name, (_, after) in exploit.changes.items()}
                gone = exploit.absent
                if gone is None:
                    gone = [name for name in new if new[name] is None]
                config.update(new)
                config = {name: value for name, value in config.items() if name not in gone}
        return config

    def step(self, epoch: Epoch) -> int:
        """Return the position of an epoch on an axis of whole numbers: the epoch itself or, for a
        trial that reports fractions of epochs, the next free number."""
        if isinstance(epoch, int) and not self.reports_fractions:
            return epoch
        step = 0
        for known in sorted({*self.results, *self.interim, epoch}):
            step = max(step + 1, math.floor(known))
            if known == epoch:
                break
        return step

    def check(self, event: TrialEvent) -> None:
        """Raise a ValueError for an event that cannot come next."""
        if isinstance(event, (Result, Started, Ended)) and self.ended:
            raise ValueError("the trial has ended before")
        if isinstance(event, Result):
            if event.epoch <= self.epochs:
                raise ValueError(f"epoch {event.epoch} comes after epoch {self.epochs}")
        elif isinstance(event, Decision):
            if event.rung > self.furthest_epoch:
                raise ValueError(f"no result of its rung, epoch {event.rung}, is there")
        elif isinstance(event, Ended):
            if not event.failed and event.epoch not in self.results:
                raise ValueError(f"no result of its last epoch, {event.epoch}, is there")
        elif isinstance(event, Promoted) and (
            self.status != "stopped" or self.rung not in (None, event.rung)
        ):
            raise ValueError(f"it was not stopped at rung {event.rung} before")

    def apply(self, event: TrialEvent) -> None:
        """Take in an event of this trial that `check` has accepted."""
        self._count_seconds(event)
        if isinstance(event, Result):
            self.epochs = event.epoch
            self.furthest_epoch = max(self.furthest_epoch, event.epoch)
            self.reports_fractions |= isinstance(event.epoch, float)
            self.results[event.epoch] = event.metrics
            if event.step_losses:
                self.step_losses[event.epoch] = event.step_losses
            if event.step_scores:
                self.step_scores[event.epoch] = event.step_scores
            self._compare(event.epoch, event.metrics)
        elif isinstance(event, Started):
            self.status = "running"
        elif isinstance(event, Interim):
            self.reports_fractions |= isinstance(event.epoch, float)
            self.interim[event.epoch] = event.metrics
        elif isinstance(event, EpochsLost):
            self._lose(event.first)
        elif isinstance(event, Share):
            self.gpus = event.gpus[1]
        elif isinstance(event, Exploited):
            self.exploits.append(event)
        elif isinstance(event, Promoted):
            self.status, self.rung = "running", None
        elif isinstance(event, Ended):
            self.status, self.rung = event.status, event.rung
            self.reason, self.log = event.reason, event.log
            self.infrastructure_failure = event.blameless
            self.has_ended_before = True

    def _compare(self, epoch: Epoch, metrics: Metrics) -> None:
        value = metrics.get(self.objective.metric)
        if value is None:
            return
        if self.best is None or self.objective.better(value, self.best.value):
            self.best = Best(epoch, value)

    def _lose(self, first: Epoch) -> None:
        lost = [epoch for epoch in self.results if epoch >= first]
        self.epochs_lost += len(lost)
        for epoch in [epoch for epoch in self.interim if epoch >= first]:
            del self.interim[epoch]
        for epoch in lost:
            del self.results[epoch]
            self.step_losses.pop(epoch, None)
            self.step_scores.pop(epoch, None)
        start = self.start_epoch if first > self.start_epoch else 0
        self.epochs, self.best = max(self.results, default=start), None
        for epoch, metrics in self.results.items():
            self._compare(epoch, metrics)

    def _count_seconds(self, event: TrialEvent) -> None:
        now = event.time
        # A stop comes with its result, or after a kill in the next session.
        if isinstance(event, Result) or (isinstance(event, Ended) and event.failed):
            if now is not None and self._at_work_since is not None:
                self.seconds += max(now - self._at_work_since, 0.0)
            self._at_work_since = now
        elif isinstance(event, (Started, Promoted, Exploited)):
            self._at_work_since = now


class StudyState:
    """The state of a study after its events so far.

    Args:
        objective: objective of the study.
        events: events of earlier sessions, in order.

    Raises:
        ValueError: an event is out of order.
    """

    def __init__(self, objective: Objective, events: Iterable[Event] = ()) -> None:
        self.objective = objective
        self.trials: dict[int, TrialState] = {}
        """Trials by index."""
        self.counts: Counter[Status] = Counter()
        """Trials by status."""
        self.epochs_run = 0
        """Total epochs of all trials, including lost ones."""
        self.trials_since_best = 0
        """Number of trials that have ended since the best value was reported."""
        self.trials_ever_ended = 0
        """Number of trials that have ever ended, including those promoted since."""
        self.judged: dict[Epoch, RungJudged] = {}
        """Judgements of the tested rungs, by rung: used or left out."""
        self._ranking: list[tuple[float, int]] = []
        """Sort key of its best value and index of each trial that has a value, ascending."""
        self._failed_alike: set[str] | None = set()
        """Reasons of the first trials, all of which failed; None once a trial has not failed."""
        for event in events:
            self.apply(event)

    @property
    def best(self) -> BestTrial | None:
        """Trial with the best value at any epoch, the lower index of equal ones; None without a
        value."""
        if not self._ranking:
            return None
        trial = self.trials[self._ranking[0][1]]
        assert trial.best is not None
        return BestTrial(trial, *trial.best)

    @property
    def ended(self) -> int:
        """Number of trials that will not run again, unless they are promoted."""
        return len(self.trials) - self.counts["pending"] - self.counts["running"]

    @property
    def failed_alike(self) -> str | None:
        """Common reason of all failures, if every ended trial has failed for the same reason."""
        alike = self._failed_alike
        return next(iter(alike)) if alike is not None and len(alike) == 1 else None

    def leaders(self, count: int | None = None) -> list[int]:
        """Return the trials with the best values, the best first; all with a value if `count` is
        None."""
        return [index for _, index in self._ranking[:count]]

    def apply(self, event: Event) -> None:
        """Take in the next event.

        Raises:
            ValueError: it cannot follow the events so far; the state is unchanged.
        """
        if isinstance(event, Suggested):
            if event.trial != len(self.trials):
                raise ValueError(
                    f"trial {event.trial} is suggested where trial {len(self.trials)} is next"
                )
            self.trials[event.trial] = TrialState(
                event.trial,
                dict(event.config),
                self.objective,
                epochs=event.start_epoch,
                origin=event.origin,
                start_epoch=event.start_epoch,
            )
            self.counts["pending"] += 1
        elif isinstance(event, TrialEvent):
            trial = self._known(event.trial)
            if isinstance(event, SavedCheckpoint):
                # Every second line is one, and tells nothing about the trial.
                return
            if isinstance(event, (Exploited, NotExploited)):
                self._known(event.donor)
            try:
                trial.check(event)
            except ValueError as error:
                raise ValueError(f"{event.name} of trial {event.trial}: {error}") from None
            self._apply(event, trial)
        elif isinstance(event, RungJudged):
            if event.rung in self.judged:
                raise ValueError(f"rung {event.rung} was judged before")
            self.judged[event.rung] = event

    def _known(self, index: int) -> TrialState:
        if index not in self.trials:
            raise ValueError(f"trial {index} has not been suggested before")
        return self.trials[index]

    def _apply(self, event: TrialEvent, trial: TrialState) -> None:
        status, best, has_ended_before = trial.status, trial.best, trial.has_ended_before
        leading = self._ranking[0][0] if self._ranking else None
        trial.apply(event)
        if trial.status != status:
            self.counts[status] -= 1
            self.counts[trial.status] += 1
        if trial.best != best:
            self._rank_anew(trial, best)
        if isinstance(event, Result):
            self.epochs_run += 1
            if self._ranking and (leading is None or self._ranking[0][0] < leading):
                self.trials_since_best = 0
        elif isinstance(event, Ended):
            first_end = not has_ended_before
            self.trials_since_best += first_end
            self.trials_ever_ended += first_end
            if event.status != "failed":
                self._failed_alike = None
            elif self._failed_alike is not None:
                self._failed_alike.add(event.reason)

    def _rank_anew(self, trial: TrialState, before: Best | None) -> None:
        if before is not None:
            old = self.objective.key(before.value), trial.index
            del self._ranking[bisect_left(self._ranking, old)]
        if trial.best is not None:
            insort(self._ranking, (self.objective.key(trial.best.value), trial.index))
