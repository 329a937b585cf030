"""The rungs of ASHA: who goes on, who is stopped, and why. Knows neither Ray nor a clock.

It is asynchronous successive halving (Li et al. 2020, *A System for Massively Parallel
Hyperparameter Tuning*, with η the reduction factor and r the grace period). There are three rules
for a trial that reaches a rung as one of n:

- `promotion`: it goes on if it is among the best ⌊n/η⌋, itself included, else it is stopped; but as
  soon as later trials have brought it among them, it is promoted, and goes on from its checkpoint,
  before any new trial begins (algorithm 2). Nobody goes on before there are η to compare, so that
  it takes η^k trials until one has passed k rungs.
- `top`: it goes on if it is among the best max(1, ⌊n/η⌋), else it is stopped for good. The first
  goes on, the second one only if it beats the first.
- `ray`: it goes on if it is no worse than the percentile 1 - 1/η of those before it, as in Ray
  Tune's `AsyncHyperBandScheduler`: a good trial is compared with others alone, the first goes on.

A trial is at a rung with its first report at or past it: one that reports every 10th epoch comes to
the rung of epoch 9 with its tenth, and never to those of 1 and 3. Of equal trials the first to
arrive is the better one; `ray` lets all of them go on that are as good as the percentile.

`benchmarks/rules.py` compares them and others on recorded curves; the default is what came out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np

from search_spaces.mode import Mode, sign_of

RungRule: TypeAlias = Literal["promotion", "top", "ray"]


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What a rung said to one trial."""

    trial: int | str
    rung: int
    """Epochs after which trials are compared; it has had as many, or more where its reports leave
    some out."""
    value: float
    """Of the metric."""
    cutoff: float | None
    """The worst value that goes on, at that moment; the own one where it was the first, None where
    nobody goes on yet."""
    rank: int
    """1 is the best."""
    of: int
    """Trials that had reached the rung by then, this one and the failed ones included."""
    stop: bool


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """A trial that a rung had stopped, and that has come among the best there since."""

    trial: int | str
    rung: int
    value: float
    """That it had there."""
    rank: int
    """It has now."""
    of: int
    """Trials that have reached the rung by now."""


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
    rule: RungRule = "promotion"
    values: dict[int, dict[int | str, float]] = field(init=False)
    """By rung in epochs, by trial; a failed trial has the worst value there is, infinite."""
    passed: dict[int, set[int | str]] = field(init=False)
    """By rung, the trials that have gone on from it."""

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
        self.passed = {rung: set() for rung in self.values}

    @property
    def milestones(self) -> list[int]:
        """The rungs in epochs, ascending; the last epoch of a trial is not one of them."""
        return list(self.values)

    def report(self, trial: int | str, epoch: float, value: float) -> Decision | None:
        """Tells what `trial` had after `epoch`; the decision, or None between two rungs.

        A trial is compared once at a rung: asked again, after a resume or where the trial has begun
        again, the rung says nothing.

        Raises:
            ValueError: the value is not finite; a failed trial is told by `report_failure`.
        """
        if not math.isfinite(value):
            raise ValueError(f"trial {trial}: a rung compares finite values only, got {value}")
        rung = max((rung for rung in self.values if rung <= epoch), default=None)
        if rung is None or any(trial in at for ahead, at in self.values.items() if ahead >= rung):
            return None
        reached = self.values[rung]
        before = list(reached.values())
        reached[trial] = value
        ordered = sorted(reached.values(), reverse=self.mode == "max")
        sign = sign_of(self.mode)
        rank = sum(sign * other >= sign * value for other in before) + 1
        cutoff: float | None
        if self.rule == "ray":
            cutoff = self._percentile(before, value)
            stop = sign * (value - cutoff) < 0
        else:
            going_on = len(ordered) // self.reduction_factor
            if self.rule == "top":
                going_on = max(1, going_on)
            cutoff = ordered[going_on - 1] if going_on else None
            stop = rank > going_on
        if not stop:
            self.passed[rung].add(trial)
        return Decision(
            trial=trial,
            rung=rung,
            value=value,
            cutoff=cutoff,
            rank=rank,
            of=len(ordered),
            stop=stop,
        )

    def promotable(self) -> Promotion | None:
        """Who is to go on after all: the best of the highest rung that has one; None where nobody
        is, or by a rule that stops for good."""
        if self.rule != "promotion":
            return None
        for rung in reversed(self.milestones):
            reached = self.values[rung]
            # Stable: of equals the first to arrive comes first.
            ranked = sorted(reached, key=lambda trial: -sign_of(self.mode) * reached[trial])
            for place, trial in enumerate(ranked[: len(ranked) // self.reduction_factor]):
                if trial not in self.passed[rung] and math.isfinite(reached[trial]):
                    return Promotion(
                        trial=trial,
                        rung=rung,
                        value=reached[trial],
                        rank=place + 1,
                        of=len(ranked),
                    )
        return None

    def promote(self, trial: int | str, rung: int) -> None:
        """Tells that `trial` goes on from `rung`."""
        self.passed[rung].add(trial)

    def _percentile(self, before: list[float], value: float) -> float:
        # Ray does not know of failed trials.
        finite = [other for other in before if math.isfinite(other)]
        if not finite:
            return value
        sign = sign_of(self.mode)
        # To the last bit as Ray computes it: where many values are equal, a rounding decides.
        at = (1 - 1 / self.reduction_factor) * 100
        return sign * float(np.percentile(sign * np.array(finite), at))

    def report_failure(self, trial: int | str, epoch: float) -> None:
        """Tells that `trial` diverged or failed in `epoch`: it comes last at the rung ahead."""
        ahead = next((rung for rung in self.values if rung >= epoch), None)
        if ahead is not None:
            worst = -sign_of(self.mode) * math.inf
            self.values[ahead].setdefault(trial, worst)
