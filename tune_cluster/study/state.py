"""What is known of a study: `StudyState.apply` takes in its events, one after the other.

This is the only place that knows what an event means and which events may follow each other: what
was lost, repeated or exchanged in a journal is refused here. What a driver can write passes,
whenever it was killed.

Every event costs the same, however many trials there are: counts, the ranking and what the limits
of a study ask for are kept up to date, and nothing goes through all trials.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Sequence
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
from tune_cluster.study.events import Share, Started

Status: TypeAlias = Literal["pending", "running", "finished", "stopped", "diverged", "failed"]

Metrics: TypeAlias = dict[str, bool | float | None]


class Best(NamedTuple):
    """The best value of a trial."""

    epoch: Epoch
    """After which it had that value; the first of equals."""
    value: float
    """Of the metric."""


class BestTrial(NamedTuple):
    """The best value of a study."""

    trial: TrialState
    epoch: Epoch
    value: float


@dataclass
class TrialState:
    """What is known of one trial."""

    index: int
    config: dict[str, Any]
    """As it was suggested."""
    objective: Objective = field(repr=False)
    status: Status = "pending"
    results: dict[Epoch, Metrics] = field(default_factory=dict)
    """Metrics by epoch, ascending, without the epochs that it has lost."""
    step_losses: dict[Epoch, Sequence[Sequence[float]]] = field(default_factory=dict)
    """By epoch, pairs of a step and its loss."""
    best: Best | None = None
    """None while it has no value."""
    epochs: Epoch = 0
    """The last one that it has reported and not lost; before its first, what it starts after."""
    origin: int | None = None
    """The trial of another study that it continues."""
    start_epoch: Epoch = 0
    """That it starts after, with the other one's checkpoint."""
    furthest_epoch: Epoch = 0
    """That it has ever reported."""
    reports_fractions: bool = False
    """Whether it has reported an epoch that is no whole number."""
    epochs_lost: int = 0
    """Results that it has lost since."""
    rung: Epoch | None = None
    """Where it was stopped, in epochs."""
    reason: str = ""
    """Why it diverged or failed."""
    log: str = ""
    """The last lines that it printed, if it failed."""
    infrastructure_failure: bool = False
    """Whether it ended by something that its configuration is not to blame for."""
    has_ended_before: bool = False
    """Whether it has ended, be it that it was promoted since."""
    exploits: list[Exploited] = field(default_factory=list)
    """Of a population's member."""
    gpus: float = 0.0
    """The share of a GPU that it was last given for lack of memory, 0 if it never was."""
    seconds: float = field(default=0.0, compare=False)
    """That it was at work: up to its last result, or to its failure, without what lay between two
    sessions, a rung and its promotion, or a population's member and the others."""
    _at_work_since: float | None = field(default=None, compare=False, repr=False)

    @property
    def ended(self) -> bool:
        """Whether it will not run again, unless it is promoted."""
        return self.status not in ("pending", "running")

    def config_at(self, epoch: Epoch) -> dict[str, Any]:
        """What `epoch` was trained with."""
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
        """Where an epoch is on an axis of whole numbers: that number or, of a trial that reports
        fractions of epochs, the next one that is free."""
        if isinstance(epoch, int) and not self.reports_fractions:
            return epoch
        step = 0
        for known in sorted({*self.results, epoch}):
            step = max(step + 1, math.floor(known))
            if known == epoch:
                break
        return step

    def check(self, event: TrialEvent) -> None:
        """Refuse, by a ValueError, an event that cannot come next."""
        if self.ended and isinstance(event, (Started, Result, Ended)):
            raise ValueError("the trial has ended before")
        if isinstance(event, Result) and event.epoch <= self.epochs:
            raise ValueError(f"epoch {event.epoch} comes after epoch {self.epochs}")
        if isinstance(event, Decision) and event.rung > self.furthest_epoch:
            raise ValueError(f"no result of its rung, epoch {event.rung}, is there")
        if isinstance(event, Ended) and not event.failed and event.epoch not in self.results:
            raise ValueError(f"no result of its last epoch, {event.epoch}, is there")
        if isinstance(event, Promoted) and (
            self.status != "stopped" or self.rung not in (None, event.rung)
        ):
            raise ValueError(f"it was not stopped at rung {event.rung} before")

    def apply(self, event: TrialEvent) -> None:
        """Take in an event of this trial, which `check` has passed."""
        self._count_seconds(event)
        if isinstance(event, Started):
            self.status = "running"
        elif isinstance(event, Result):
            self.epochs = event.epoch
            self.furthest_epoch = max(self.furthest_epoch, event.epoch)
            self.reports_fractions |= isinstance(event.epoch, float)
            self.results[event.epoch] = event.metrics
            if event.step_losses:
                self.step_losses[event.epoch] = event.step_losses
            self._compare(event.epoch, event.metrics)
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
        for epoch in lost:
            del self.results[epoch]
            self.step_losses.pop(epoch, None)
        start = self.start_epoch if first > self.start_epoch else 0
        self.epochs, self.best = max(self.results, default=start), None
        for epoch, metrics in self.results.items():
            self._compare(epoch, metrics)

    def _count_seconds(self, event: TrialEvent) -> None:
        now = event.time
        if isinstance(event, (Started, Promoted, Exploited)):
            self._at_work_since = now
        # A stop comes with its result, or after a kill in the next session.
        elif isinstance(event, Result) or (isinstance(event, Ended) and event.failed):
            if now is not None and self._at_work_since is not None:
                self.seconds += max(now - self._at_work_since, 0.0)
            self._at_work_since = now


class StudyState:
    """What the events so far say of a study.

    Args:
        events: of earlier sessions, in their order; a ValueError, if one cannot come where it is.
    """

    def __init__(self, objective: Objective, events: Iterable[Event] = ()) -> None:
        self.objective = objective
        self.trials: dict[int, TrialState] = {}
        """By index."""
        self.counts: Counter[Status] = Counter()
        """Trials by status."""
        self.epochs_run = 0
        """By all trials together, lost ones included."""
        self.trials_since_best = 0
        """That have ended since the best value was reported."""
        self.trials_ever_ended = 0
        """Also those that were promoted since."""
        self.judged: dict[Epoch, RungJudged] = {}
        """By rung, whether it is used or left out, of those that were asked."""
        self._ranking: list[tuple[float, int]] = []
        """Sort key of its best value and index of each trial that has a value, ascending."""
        self._failed_alike: set[str] | None = set()
        """The reasons of the first trials, all of which failed; None as soon as one has not."""
        for event in events:
            self.apply(event)

    @property
    def best(self) -> BestTrial | None:
        """The trial with the best value at any of its epochs, the lower index of equals; None while
        no trial has a value."""
        if not self._ranking:
            return None
        trial = self.trials[self._ranking[0][1]]
        assert trial.best is not None
        return BestTrial(trial, *trial.best)

    @property
    def ended(self) -> int:
        """Trials that will not run again, unless they are promoted."""
        return len(self.trials) - self.counts["pending"] - self.counts["running"]

    @property
    def failed_alike(self) -> str | None:
        """The reason of all failures, if every trial that has ended has failed for the same."""
        alike = self._failed_alike
        return next(iter(alike)) if alike is not None and len(alike) == 1 else None

    def leaders(self, count: int | None = None) -> list[int]:
        """The trials with the best values, the best first; all that have one if `count` is None."""
        return [index for _, index in self._ranking[:count]]

    def apply(self, event: Event) -> None:
        """Take in the next event; one that cannot come after those so far is a ValueError, and not
        taken in."""
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
        best_before = self._ranking[0][0] if self._ranking else None
        status, rank = trial.status, self._rank_of(trial)
        first_end = isinstance(event, Ended) and not trial.has_ended_before
        trial.apply(event)
        self.counts[status] -= 1
        self.counts[trial.status] += 1
        if rank != self._rank_of(trial):
            self._rank_anew(rank, self._rank_of(trial))
        self.epochs_run += isinstance(event, Result)
        if (
            isinstance(event, Result)
            and self._ranking
            and (best_before is None or self._ranking[0][0] < best_before)
        ):
            self.trials_since_best = 0
        if isinstance(event, Ended):
            self.trials_since_best += first_end
            self.trials_ever_ended += first_end
            if event.status != "failed":
                self._failed_alike = None
            elif self._failed_alike is not None:
                self._failed_alike.add(event.reason)

    def _rank_of(self, trial: TrialState) -> tuple[float, int] | None:
        if trial.best is None:
            return None
        return self.objective.key(trial.best.value), trial.index

    def _rank_anew(self, before: tuple[float, int] | None, now: tuple[float, int] | None) -> None:
        if before is not None:
            del self._ranking[bisect_left(self._ranking, before)]
        if now is not None:
            insort(self._ranking, now)
