"""The rungs of ASHA: who goes on, who is stopped, and why. Knows neither Ray nor a clock.

It is the stopping variant of asynchronous successive halving (Li et al. 2020, *A System for
Massively Parallel Hyperparameter Tuning*, algorithm 2, with η the reduction factor and r the grace
period). There are two rules for a trial that reaches a rung as one of n:

- `top`: it goes on if it is among the best max(1, ⌊n/η⌋), itself included, as in the paper. That
  keeps a nearly empty rung strict: the second trial to arrive goes on only if it beats the first.
- `ray`: it goes on if it is no worse than the percentile 1 - 1/η of those before it, as in Ray
  Tune's `AsyncHyperBandScheduler`: a good trial is compared with others alone, the first goes on.

`benchmarks/rules.py` compares them and others on recorded curves, promotion from a checkpoint
among them, and says why the default is what it is.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np

from search_spaces.mode import Mode, sign_of

RungRule: TypeAlias = Literal["top", "ray"]


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What a rung said to one trial."""

    trial: int | str
    rung: int
    """Epochs after which the trial was compared."""
    value: float
    """Of the metric."""
    cutoff: float
    """The worst value that goes on, at that moment; the own one where it was the first."""
    rank: int
    """1 is the best."""
    of: int
    """Trials that had reached the rung by then, this one and the failed ones included."""
    stop: bool


@dataclass
class Rungs:
    """The memory of ASHA: for each rung, the value of every trial that has reached it.

    Raises:
        ValueError: a grace period, reduction factor or number of epochs that gives no rungs.
    """

    max_epochs: int
    grace_period: int = 1
    reduction_factor: int = 3
    mode: Mode = "max"
    rule: RungRule = "top"
    values: dict[int, dict[int | str, float]] = field(init=False)
    """By rung in epochs, by trial; a failed trial has the worst value there is, infinite."""

    def __post_init__(self) -> None:
        if self.reduction_factor < 2:
            raise ValueError(f"reduction_factor must be at least 2, got {self.reduction_factor}")
        if not 1 <= self.grace_period <= self.max_epochs:
            raise ValueError(
                f"grace_period must be from 1 to the {self.max_epochs} epochs of a trial, "
                f"got {self.grace_period}"
            )
        self.values = {}
        rung = self.grace_period
        while rung < self.max_epochs:
            self.values[rung] = {}
            rung *= self.reduction_factor

    @property
    def milestones(self) -> list[int]:
        """The rungs in epochs, ascending; the last epoch of a trial is not one of them."""
        return list(self.values)

    def report(self, trial: int | str, epoch: int, value: float) -> Decision | None:
        """Tells what `trial` had after `epoch`; the decision, or None between two rungs.

        A trial is compared once at a rung: asked again (after a resume), the rung says nothing.

        Raises:
            ValueError: the value is not finite; a failed trial is told by `report_failure`.
        """
        if not math.isfinite(value):
            raise ValueError(f"trial {trial}: a rung compares finite values only, got {value}")
        reached = self.values.get(epoch)
        if reached is None or trial in reached:
            return None
        before = list(reached.values())
        reached[trial] = value
        ordered = sorted(reached.values(), reverse=self.mode == "max")
        rank = ordered.index(value) + 1
        if self.rule == "ray":
            cutoff = self._percentile(before, value)
            stop = sign_of(self.mode) * (value - cutoff) < 0
        else:
            going_on = max(1, len(ordered) // self.reduction_factor)
            cutoff = ordered[going_on - 1]
            stop = rank > going_on
        return Decision(
            trial=trial,
            rung=epoch,
            value=value,
            cutoff=cutoff,
            rank=rank,
            of=len(ordered),
            stop=stop,
        )

    def _percentile(self, before: list[float], value: float) -> float:
        # Ray does not know of failed trials.
        finite = [other for other in before if math.isfinite(other)]
        if not finite:
            return value
        sign = sign_of(self.mode)
        # To the last bit as Ray computes it: where many values are equal, a rounding decides.
        at = (1 - 1 / self.reduction_factor) * 100
        return sign * float(np.percentile(sign * np.array(finite), at))

    def report_failure(self, trial: int | str, epoch: int) -> None:
        """Tells that `trial` diverged or failed in `epoch`: it comes last at the rung ahead."""
        ahead = next((rung for rung in self.values if rung >= epoch), None)
        if ahead is not None:
            worst = -sign_of(self.mode) * math.inf
            self.values[ahead].setdefault(trial, worst)


@dataclass(frozen=True)
class Expectation:
    """What a study is expected to cost."""

    reaching: dict[int, float]
    """By rung in epochs, and by the last epoch: the trials that get there."""
    epochs: float
    """Of all trials together."""


SIMULATED = 6_400
"""Trials simulated for an expectation, over all its repeats."""


def expected(rungs: Rungs, *, trials: int, concurrent: int) -> Expectation:
    """Simulates a study under the rule of `rungs`: the mean over up to 100 random orders.

    It assumes that an epoch takes every trial as long, and that a trial keeps its rank: where
    curves cross, more of them reach the upper rungs. Of a very large study a part is simulated,
    and taken for the whole in proportion.
    """
    if trials > SIMULATED // 10:
        part = expected(rungs, trials=SIMULATED // 10, concurrent=concurrent)
        times = trials / (SIMULATED // 10)
        reaching = {station: times * count for station, count in part.reaching.items()}
        return Expectation(reaching, times * part.epochs)
    repeats = min(100, SIMULATED // trials)
    stations = [*rungs.milestones, rungs.max_epochs]
    reached = dict.fromkeys(stations, 0)
    rng = np.random.default_rng(0)
    for _ in range(repeats):
        fresh = replace(rungs, mode="max")
        waiting = iter(enumerate(rng.permutation(trials).tolist()))
        running: list[tuple[int, int, int, float]] = []
        for slot in range(min(concurrent, trials)):
            trial, quality = next(waiting)
            heapq.heappush(running, (stations[0], slot, trial, quality))
        epochs_of: dict[int, int] = dict.fromkeys(range(trials), 0)
        while running:
            now, slot, trial, quality = heapq.heappop(running)
            step = next(s for s in stations if s > epochs_of[trial])
            epochs_of[trial] = step
            reached[step] += 1
            decision = fresh.report(trial, step, quality)
            if step == rungs.max_epochs or (decision is not None and decision.stop):
                following = next(waiting, None)
                if following is not None:
                    heapq.heappush(running, (now + stations[0], slot, *following))
            else:
                ahead = next(s for s in stations if s > step)
                heapq.heappush(running, (now + ahead - step, slot, trial, quality))
    mean = {station: count / repeats for station, count in reached.items()}
    steps = [here - before for before, here in zip([0, *stations], stations, strict=False)]
    return Expectation(mean, sum(n * step for n, step in zip(mean.values(), steps, strict=True)))
