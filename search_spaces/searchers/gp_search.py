"""Bayesian optimisation with a Gaussian process (`gaussian_process.py`).

The process models the values of the metric over the columns of a configuration (`encoding.py`) and
one more column, the progress of the trial: the logarithm of its epoch, 0 at the first and 1 at the
last. Under early stopping the value of a trial at each rung is observed at its progress there; one
more length scale expresses how well it predicts the end. The next configuration is the one whose
value at the end is expected to improve most on the best one (log expected improvement).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from threadpoolctl import ThreadpoolController

from search_spaces.objective import StudySpec
from search_spaces.searchers.encoding import MIDDLE, Encoding, Floats
from search_spaces.searchers.gaussian_process import (
    Kernel,
    Posterior,
    fitted,
    log_expected_improvement,
)
from search_spaces.searchers.learning import END, LearningSearch, TrialRecord
from search_spaces.space import Space
from search_spaces.trial_events import Earlier, Ended, Event

STARTUP = 7
"""Trials before the first proposal; fewer than Optuna's 10: on LCBench regret falls sooner, and is
no higher at the end."""

GROWTH = 0.1
"""Relative growth of the number of ended trials after which the kernel is fitted anew."""

MOST = 240
"""Largest number of values that the process observes: half of them the best, the others evenly
spread over the rest."""

MOST_FITTED = 200
"""Largest number of values that the kernel's parameters are fitted to."""

BELIEVED = 48
"""Number of stopped trials whose expected end values are treated as observed."""

CANDIDATES = 1_024
"""Number of candidates from the whole space."""

PARENTS = 8
"""Number of best trials whose neighbours are candidates."""

NEIGHBOURS = 128
"""Number of neighbours of the best trials, for each of `SPREADS`."""

SPREADS = (0.2, 0.06, 0.02, 0.005)
"""Standard deviations of neighbours' numbers, in [0, 1]."""

REFINED = 4
"""Number of best candidates that get neighbours in each round of refinement."""

REFINING = 128
"""Number of neighbours in a round of refinement."""

REFINEMENTS = (0.2, 0.1, 0.05, 0.025, 0.012, 0.006, 0.003, 0.0015)
"""Standard deviations of these neighbours, by round."""

CAUTION = 4
"""Power of the expected probability of success by which the improvement is multiplied. With 0 a
model that is drawn to the border of the failing region lets seven of twenty trials fail, with 4
half as many."""

SQUASH = 4.0
"""Limit of the weight of bad values: this many times the distance from the median to the best
tenth."""


@dataclass(frozen=True)
class Observed:
    """Observations of the process: n values of trials in a space with p hyperparameters."""

    units: Floats
    """Points in the unit cube, [n, p]; NaN where a hyperparameter does not exist."""
    progress: Floats
    """Progress of each trial at its value, [n]."""
    losses: Floats
    """Sort keys, smaller is better, [n]; NaN for a failed trial."""

    @property
    def target(self) -> float:
        """Progress at which to improve: that of the end, or the common one if all values have the
        same progress, since nothing is known of any other."""
        known = self.progress[~np.isnan(self.losses)]
        return float(known[0]) if len(known) and np.ptp(known) == 0 else 1.0

    def among(self, most: int) -> Observed:
        """Return `most` observations: the best ones as half of them, the others spread evenly."""
        count = len(self.losses)
        if count <= most:
            return self
        order = np.argsort(self.losses, kind="stable")  # Failed trials come last.
        best, rest = order[: most // 2], np.sort(order[most // 2 :])
        spread = rest[np.linspace(0, len(rest) - 1, most - len(best)).round().astype(int)]
        chosen = np.sort(np.concatenate([best, spread]))
        return Observed(self.units[chosen], self.progress[chosen], self.losses[chosen])


class GPSearch(LearningSearch):
    """Proposes the configuration with the largest expected improvement on the best trial.

    Args:
        space: space to search.
        seed: seed of all points.
        startup: number of trials before the first proposal of the model.
        start_points: configurations to try first, complete or partial; missing values are the
            defaults.
        reason: reason for the choice of this searcher; empty if the user has named it.

    Raises:
        ValueError: a start point is not in the space.
    """

    def __init__(
        self,
        space: Space,
        *,
        seed: int,
        startup: int = STARTUP,
        start_points: Iterable[Mapping[str, object]] = (),
        reason: str = "",
    ) -> None:
        super().__init__(
            space, seed=seed, startup=startup, start_points=start_points, reason=reason
        )
        self._encoding = Encoding(space)
        self._begin(None)

    def check(self, spec: StudySpec) -> None:
        """Prepare for a study as every searcher that learns; progress is 1 at the last epoch."""
        super().check(spec)
        self._begin(spec.scheduler.max_epochs)

    def _begin(self, max_epochs: int | None) -> None:
        self._max_epochs = max_epochs
        self._ended = 0
        """Number of trials that have ended."""
        self._fitted_at = 0.0
        """Number of ended trials at the last fit of the kernel."""
        self._kernel: Kernel | None = None
        self._to_fit: Observed | None = None
        """Observations for the next fit of the kernel. They are fixed at a moment that a resumed
        study reproduces, whenever the fit is made."""

    def on_event(self, event: Event, replay: bool) -> None:
        """Learn from an event."""
        super().on_event(event, replay)
        if isinstance(event, (Ended, Earlier)):
            self._ended += 1
            if self._ended >= max(self.startup, self._fitted_at * (1 + GROWTH)):
                self._fitted_at = self._ended
                self._to_fit = self._observed().among(MOST_FITTED)

    def proposal(self, rng: np.random.Generator) -> Sequence[float]:
        """Return the best of many candidates and of the neighbours of the best ones; one that was
        tried before only if all were."""
        with linear_algebra().limit(limits=1):
            return self._proposal(rng)

    def _proposal(self, rng: np.random.Generator) -> Sequence[float]:
        everything = self._observed()
        target = everything.target
        if self._to_fit is not None:
            self._kernel = fitted(self._rows(self._to_fit), standardised(self._to_fit.losses))
            self._to_fit = None
        assert self._kernel is not None, "it is fitted when the startup has ended"
        observed = everything.among(MOST)
        # The process predicts the share of failures beside the value.
        failed = np.isnan(observed.losses).astype(float)
        values = np.column_stack([standardised(observed.losses), failed])
        posterior = Posterior(self._kernel, self._rows(observed), values)
        expected = posterior.mean(self._at(observed.units, target))[:, 0]
        best = float(expected.min())
        sure = posterior.believing(self._at(self._on_their_way(posterior, target), target))

        def gain(units: Floats) -> Floats:
            mean, deviation = sure.at(self._at(units, target))
            gained = log_expected_improvement(mean[:, 0], deviation, best)
            gained += CAUTION * np.log(np.clip(1 - mean[:, 1], 0.01, 1))
            return gained

        size = len(self.space.parameters)
        parents = observed.units[np.argsort(expected, kind="stable")[:PARENTS]]
        everywhere = self._encoding.placed(rng.random((CANDIDATES, size)))
        near = [self._neighbours(parents, NEIGHBOURS, spread, rng) for spread in SPREADS]
        units = np.vstack([everywhere, *near])
        gains = gain(units)
        for spread in REFINEMENTS:
            parents = units[np.argsort(-gains, kind="stable")[:REFINED]]
            nearer = self._neighbours(parents, REFINING, spread, rng)
            units, gains = np.vstack([units, nearer]), np.concatenate([gains, gain(nearer)])
        tried = {record.unit for record in self.trials.values()}
        order = np.argsort(-gains, kind="stable").tolist()
        found = next((at for at in order if as_unit(units[at]) not in tried), order[0])
        proposed: list[float] = np.nan_to_num(units[found], nan=MIDDLE).tolist()
        return proposed

    def _rows(self, observed: Observed) -> Floats:
        """Return the columns and the progress of observations."""
        return np.column_stack([self._encoding.rows(observed.units), observed.progress])

    def _at(self, units: Floats, progress: float) -> Floats:
        """Return the columns of configurations, all with the same progress."""
        return np.column_stack([self._encoding.rows(units), np.full(len(units), progress)])

    def _observed(self) -> Observed:
        """Return all values that trials have had at rungs and at their ends."""
        units, epochs, losses = [], [], []
        for record in self.trials.values():
            for epoch, loss in self._stations(record).items():
                units.append(record.unit)
                epochs.append(epoch)
                losses.append(loss)
        progress, values = progress_of(np.array(epochs), self._max_epochs), np.array(losses)
        observed = Observed(self._floats(units), progress, values)
        # A failed trial counts as bad at the progress at which the others are to improve.
        progress[np.isnan(values)] = observed.target
        return observed

    def _stations(self, record: TrialRecord) -> dict[float, float]:
        """Return the value of a trial at each rung and at its end, by epoch; `END` for a trial that
        ended by itself, and as the only one for a failed trial."""
        if record.state == "failed":
            return {END: math.nan}
        key, values = self.objective.key, record.values
        epochs = [at for at in values if at != END]
        found: dict[float, float] = {}
        if END in values:
            found[END] = key(values[END])
        elif record.state == "stopped":
            found[max(epochs)] = key(values[max(epochs)])
        for rung in self.rungs:
            epoch = min((at for at in epochs if at >= rung), default=END)
            if epoch != END and not (END in values and epoch == max(epochs)):
                found[epoch] = key(values[epoch])
        return found

    def _on_their_way(self, posterior: Posterior, target: float) -> Floats:
        """Return the points of running trials and of the best stopped ones. Their expected end
        values are treated as observed, or the model would propose them again and again.

        Args:
            target: progress at which they are expected.
        """
        running = [t.unit for t in self.trials.values() if t.state == "running"]
        stopped = self._floats([t.unit for t in self.trials.values() if t.state == "stopped"])
        if len(stopped) > BELIEVED:
            expected = posterior.mean(self._at(stopped, target))[:, 0]
            stopped = stopped[np.argsort(expected, kind="stable")[:BELIEVED]]
        return np.vstack([self._floats(running), stopped])

    def _floats(self, units: Sequence[tuple[float | None, ...]]) -> Floats:
        """Return points as rows; NaN where a hyperparameter does not exist."""
        return np.array(units, dtype=float).reshape(len(units), len(self.space.parameters))

    def _neighbours(
        self, parents: Floats, count: int, spread: float, rng: np.random.Generator
    ) -> Floats:
        """Return `count` configurations, each of which differs from one of `parents` in one or more
        hyperparameters."""
        size = parents.shape[1]
        whole = np.where(np.isnan(parents), rng.random(parents.shape), parents)
        numbers = np.tile(whole, (-(-count // len(whole)), 1))[:count]
        change = rng.random((count, size)) < rng.choice([1 / size, 3 / size, 1.0], (count, 1))
        change[np.arange(count), rng.integers(size, size=count)] = True
        moved = numbers + np.maximum(spread, self._encoding.steps) * rng.standard_normal(
            (count, size)
        )
        moved = np.clip(moved, 0, 1 - 2**-53)
        anywhere = rng.random((count, size))
        # Few get another category, or no neighbour would keep all categories.
        far = self._encoding.categorical & (rng.random((count, size)) < 0.5)
        moved = np.where(self._encoding.categorical, np.where(far, anywhere, numbers), moved)
        return self._encoding.placed(np.where(change, moved, numbers))


@cache
def linear_algebra() -> ThreadpoolController:
    """Return the thread pools of linear algebra. One thread is enough for matrices of a few hundred
    rows; more would wait for each other while trials use the cores, and take four times as long;
    and results would depend on the number of cores."""
    return ThreadpoolController().select(user_api="blas")


def progress_of(epochs: Floats, last: float | None) -> Floats:
    """Return progress: 0 at the first epoch, 1 at the last one and at `END`, logarithmic between.

    Args:
        epochs: epochs of values, [n].
        last: last epoch of a trial; None for the last one that any trial has reached.
    """
    known = epochs[np.isfinite(epochs)]
    last = last or (float(known.max()) if len(known) else 1.0)
    return np.where(epochs >= last, 1.0, np.log(np.maximum(epochs, 1)) / math.log(max(last, 2)))


def as_unit(row: Floats) -> tuple[float | None, ...]:
    """Return a point as a trial's record stores it: None where a hyperparameter does not exist."""
    return tuple(None if math.isnan(number) else number for number in row.tolist())


def standardised(losses: Floats) -> Floats:
    """Return losses with mean 0 and standard deviation 1, and less weight for very bad values.

    Values worse than the median are compressed towards it, more so the farther they are; failed
    trials are as bad as the worst. The result does not change if all values are shifted or scaled.
    """
    known = losses[~np.isnan(losses)]
    if not len(known):
        return np.zeros(len(losses))
    median = float(np.median(known))
    good = median - float(np.quantile(known, 0.1))
    if good > 0:
        far = np.maximum(losses - median, 0) / good
        losses = np.where(losses > median, median + good * far / (1 + far / SQUASH), losses)
    worst = np.nanmax(losses)
    whole = np.where(np.isnan(losses), worst, losses)
    deviation = whole.std()
    if not deviation > 1e-12 * max(1.0, abs(float(whole.mean()))):
        return np.zeros(len(losses))
    result: Floats = (whole - whole.mean()) / deviation
    return result
