"""Other methods to choose where rungs begin or end, for a comparison with ours (`lcbench.py`).

- Hyperband (Li et al. 2018, asynchronous as in BOHB): brackets with a grace period of 1, 3, 9, …,
  each by our promotion rule; a trial is assigned to one at random, with the shares of Hyperband's
  loop. It hedges the grace period.
- PASHA (Bohdal et al. 2023): rungs from epoch 1, by our promotion rule, but no trial continues from
  a top rung, which is the second one first. It moves up as soon as the two highest rungs disagree
  on the order of trials, where values count as equal if they are no farther apart than those of
  curves that cross each other twice.
- Power laws (as in Domhan, Springenberg and Hutter 2015, of whose models it is the simplest): rungs
  from epoch 3, by our promotion rule, that compare the end predicted by a power law fitted to a
  trial's own curve.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
from ray.tune.experiment import Trial

from search_spaces.objective import StudySpec
from search_spaces.schedulers.asha import ASHA
from search_spaces.schedulers.base import StudyScheduler, index_of
from search_spaces.trial_events import Decision, Event, Promoted

FACTOR = 3


class Hyperband(StudyScheduler):
    """Brackets of ASHA with different grace periods.

    Args:
        max_epochs: epochs of a trial that is not stopped.
        seed: seed of the brackets of trials.
    """

    def __init__(self, *, max_epochs: int, seed: int) -> None:
        super().__init__()
        self.max_epochs, self.seed = max_epochs, seed
        rungs = ASHA(max_epochs=max_epochs, grace_period=1).rungs
        self._brackets = [ASHA(max_epochs=max_epochs, grace_period=first) for first in rungs]
        self._brackets.append(ASHA(max_epochs=max_epochs, grace_period=max_epochs))
        self.rungs = rungs
        last = len(rungs)
        # Algorithm 1 of the paper: n = ⌈(s_max + 1) / (s + 1) η^s⌉ in the bracket of s rungs.
        counts = [
            math.ceil((last + 1) / (last - at + 1) * FACTOR ** (last - at))
            for at in range(last + 1)
        ]
        self._shares = np.cumsum(counts) / sum(counts)

    @property
    def promotes(self) -> bool:
        """Whether a stopped trial can be promoted."""
        return True

    def check(self, spec: StudySpec) -> None:
        """Check each bracket."""
        for bracket in self._brackets:
            bracket.check(spec)

    def bracket(self, trial: int) -> ASHA:
        """Return the bracket of a trial, by the seed and its number."""
        draw = np.random.default_rng([self.seed, trial]).random()
        return self._brackets[int(np.searchsorted(self._shares, draw))]

    def on_trial_result(self, controller: object, trial: Trial, result: Mapping[str, float]) -> str:
        """Return the decision of its bracket."""
        return self.bracket(index_of(trial)).on_trial_result(controller, trial, result)

    def on_event(self, event: Event, replay: bool) -> None:
        """Pass the event to the bracket of its trial."""
        trial = getattr(event, "trial", None)
        if trial is not None:
            self.bracket(trial).on_event(event, replay)

    def take_events(self) -> list[Event]:
        """Return the events of all brackets."""
        return [event for bracket in self._brackets for event in bracket.take_events()]

    def promotable(self) -> Iterable[Promoted]:
        """Return the promotions of all brackets, the highest rung first."""
        found = [one for bracket in self._brackets for one in bracket.promotable()]
        return sorted(found, key=lambda one: -one.rung)


class PASHA(ASHA):
    """Rungs whose highest one moves up while the order of trials is not settled.

    Args:
        max_epochs: epochs of a trial that is not stopped.
    """

    def __init__(self, *, max_epochs: int) -> None:
        super().__init__(max_epochs=max_epochs, grace_period=1)
        self._top = 1
        """Position of the highest rung, which no trial passes."""
        self._curves: dict[int, list[float]] = {}

    def report(self, trial: int, epoch: float, metrics: Mapping[str, Any]) -> Decision | None:
        """Compare as ASHA, but stop all trials at the top rung."""
        self._curves.setdefault(trial, []).append(metrics[self._objective.metric])
        decision = super().report(trial, epoch, metrics)
        stations = self.memory.milestones
        if decision is None or self._top >= len(stations) or decision.rung != stations[self._top]:
            return decision
        rung = self.memory.rungs[int(decision.rung)]
        if not decision.stop:
            rung.passed.discard(trial)
            rung.stop(trial)
        if not self._settled():
            self._top += 1
        return replace(decision, stop=True)

    def promotable(self) -> Iterable[Promoted]:
        """Return promotions as ASHA, but none from the top rung."""
        stations = self.memory.milestones
        allowed = set(stations[: self._top])
        return (one for one in self.memory.promotable() if one.rung in allowed)

    def _settled(self) -> bool:
        """Return whether the two highest rungs agree on the order of trials."""
        stations = self.memory.milestones
        values = self.memory.values
        above, below = values[stations[self._top]], values[stations[self._top - 1]]
        tolerance = self._tolerance(list(above))
        return not any(
            (below[a] - below[b]) * (above[a] - above[b]) < 0
            and min(abs(below[a] - below[b]), abs(above[a] - above[b])) > tolerance
            for a, b in combinations([trial for trial in above if trial in below], 2)
        )

    def _tolerance(self, trials: list[int]) -> float:
        """Return the 90th percentile of the last distance of two curves that have crossed twice."""
        distances = []
        for a, b in combinations(trials, 2):
            length = min(len(self._curves[a]), len(self._curves[b]))
            apart = np.array(self._curves[a][:length]) - np.array(self._curves[b][:length])
            if (np.diff(np.sign(apart)) != 0).sum() >= 2:
                distances.append(abs(apart[-1]))
        return float(np.percentile(distances, 90)) if distances else 0.0


class PowerLaws(ASHA):
    """Rungs that compare predicted end values.

    Args:
        max_epochs: epochs of a trial that is not stopped.
    """

    def __init__(self, *, max_epochs: int) -> None:
        super().__init__(max_epochs=max_epochs, grace_period=3)
        self._last = max_epochs
        self._curves: dict[int, list[float]] = {}

    def report(self, trial: int, epoch: float, metrics: Mapping[str, Any]) -> Decision | None:
        """Compare as ASHA, by the predicted end."""
        metric = self._objective.metric
        curve = self._curves.setdefault(trial, [])
        curve.append(metrics[metric])
        end = predicted_end(curve, self._last)
        return super().report(trial, epoch, {**metrics, metric: end})


EXPONENTS = (0.25, 0.5, 1.0, 2.0)
"""Exponents of the power laws."""


def predicted_end(curve: Sequence[float], epochs: int) -> float:
    """Return the value of a curve at its last epoch, by the power law
    `end - gap * epoch ** -exponent` that fits it best.

    Args:
        curve: a value per epoch; fewer than three are not extrapolated.
        epochs: epochs of the whole curve.

    >>> round(predicted_end([1 - 1 / epoch for epoch in range(1, 10)], 100), 3)
    0.99
    """
    if len(curve) < 3:
        return curve[-1]
    at, values = np.arange(1, len(curve) + 1.0), np.array(curve)
    found = []
    for exponent in EXPONENTS:
        columns = np.column_stack([np.ones(len(at)), -(at**-exponent)])
        (end, gap), *_ = np.linalg.lstsq(columns, values, rcond=None)
        error = float(((columns @ [end, gap] - values) ** 2).sum())
        found.append((error, float(end - gap * epochs**-exponent)))
    return min(found)[1]
