"""Bayesian optimisation with a Gaussian process of our own (`gaussian_process.py`).

The process models the values of the metric over the columns of a configuration (`encoding.py`), and
one more, the progress of the trial: the logarithm of its epoch, 0 at the first and 1 at the last.
Under early stopping what a trial had at each rung is told at its progress there, and how much of it
holds at the end is one more length scale. The next configuration is the one whose value at the end
is expected to improve most on the best one (the logarithm of expected improvement).
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
"""Fewer than Optuna's 10: on LCBench regret falls sooner, and is no higher at the end."""

GROWTH = 0.1
"""The kernel is fitted anew when so much more trials have ended."""

MOST = 240
"""Values that the process is told. Of more, half are the best, the others spread over the rest."""

MOST_FITTED = 200
"""Of which the kernel's parameters are found."""

BELIEVED = 48
"""Trials that were stopped and whose end is believed to be as expected."""

CANDIDATES = 1_024
"""Configurations from the whole space."""

PARENTS = 8
"""The best trials that have neighbours among the candidates."""

NEIGHBOURS = 128
"""Of the best trials, for each of `SPREADS`."""

SPREADS = (0.2, 0.06, 0.02, 0.005)
"""Standard deviations of neighbours' numbers, in [0, 1]."""

REFINED = 4
"""The best candidates, which get neighbours in each round."""

REFINING = 128
"""Of which there are so many."""

REFINEMENTS = (0.2, 0.1, 0.05, 0.025, 0.012, 0.006, 0.003, 0.0015)
"""Their standard deviations, round by round."""

CAUTION = 4
"""Power of the share of trials that are expected not to fail, by which the improvement counts.
With 0 a model that is drawn to the edge of where trials fail lets seven of twenty fail, with 4 half
as many."""

SQUASH = 4.0
"""A value that is bad has no more weight than one so many times as far from the median as the
median is from the best tenth."""


@dataclass(frozen=True)
class Told:
    """What the process knows: n values that trials have had, of a space with p hyperparameters."""

    units: Floats
    """Places in the space, [n, p]; NaN where a hyperparameter is not there."""
    progress: Floats
    """At the value, [n]."""
    losses: Floats
    """The smaller the better; NaN of a trial that failed, [n]."""

    @property
    def target(self) -> float:
        """The progress to improve at: that of the end, unless all values are of one progress, when
        nothing is known of any other."""
        known = self.progress[~np.isnan(self.losses)]
        return float(known[0]) if len(known) and np.ptp(known) == 0 else 1.0

    def among(self, most: int) -> Told:
        """Half of `most` are the best, the others are spread over the rest."""
        count = len(self.losses)
        if count <= most:
            return self
        order = np.argsort(self.losses, kind="stable")  # Those that failed come last.
        best, rest = order[: most // 2], np.sort(order[most // 2 :])
        spread = rest[np.linspace(0, len(rest) - 1, most - len(best)).round().astype(int)]
        chosen = np.sort(np.concatenate([best, spread]))
        return Told(self.units[chosen], self.progress[chosen], self.losses[chosen])


class GPSearch(LearningSearch):
    """Proposes what a Gaussian process expects to improve most on the best trial.

    Args:
        space: where to look.
        seed: of all points.
        startup: trials before the first proposal of the model.
        start_points: what to try first, whole or in part; what is missing has its default.
        reason: why it was chosen, for a person; empty where a person has named it.

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
        """As every searcher that learns; the last epoch is where progress is 1."""
        super().check(spec)
        self._begin(spec.scheduler.max_epochs)

    def _begin(self, max_epochs: int | None) -> None:
        self._max_epochs = max_epochs
        self._ended = 0
        """Trials whose end was told."""
        self._fitted_at = 0.0
        """How many had ended when the kernel was fitted."""
        self._kernel: Kernel | None = None
        self._to_fit: Told | None = None
        """What the kernel is to be fitted to. It is what was told at a moment that a resumed study
        finds again, whenever it is fitted."""

    def on_event(self, event: Event, replay: bool) -> None:
        """Learn from it."""
        super().on_event(event, replay)
        if isinstance(event, (Ended, Earlier)):
            self._ended += 1
            if self._ended >= max(self.startup, self._fitted_at * (1 + GROWTH)):
                self._fitted_at = self._ended
                self._to_fit = self._told().among(MOST_FITTED)

    def proposal(self, rng: np.random.Generator) -> Sequence[float]:
        """Of many candidates, and of the best ones' neighbours, the one that is expected to improve
        most; one that was tried only where all were."""
        with linear_algebra().limit(limits=1):
            return self._proposal(rng)

    def _proposal(self, rng: np.random.Generator) -> Sequence[float]:
        everything = self._told()
        target = everything.target
        if self._to_fit is not None:
            self._kernel = fitted(self._rows(self._to_fit), standardised(self._to_fit.losses))
            self._to_fit = None
        assert self._kernel is not None, "it is fitted when the startup has ended"
        told = everything.among(MOST)
        # Beside the value it expects the share of failures.
        failed = np.isnan(told.losses).astype(float)
        values = np.column_stack([standardised(told.losses), failed])
        posterior = Posterior(self._kernel, self._rows(told), values)
        expected = posterior.mean(self._at(told.units, target))[:, 0]
        best = float(expected.min())
        sure = posterior.believing(self._at(self._on_their_way(posterior, target), target))

        def gain(units: Floats) -> Floats:
            mean, deviation = sure.at(self._at(units, target))
            gained = log_expected_improvement(mean[:, 0], deviation, best)
            gained += CAUTION * np.log(np.clip(1 - mean[:, 1], 0.01, 1))
            return gained

        size = len(self.space.parameters)
        parents = told.units[np.argsort(expected, kind="stable")[:PARENTS]]
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

    def _rows(self, told: Told) -> Floats:
        """The columns of what was told, and the progress."""
        return np.column_stack([self._encoding.rows(told.units), told.progress])

    def _at(self, units: Floats, progress: float) -> Floats:
        """The columns of configurations, and one progress for all of them."""
        return np.column_stack([self._encoding.rows(units), np.full(len(units), progress)])

    def _told(self) -> Told:
        """All values that trials have had at rungs and at their ends."""
        units, epochs, losses = [], [], []
        for record in self.trials.values():
            for epoch, loss in self._stations(record).items():
                units.append(record.unit)
                epochs.append(epoch)
                losses.append(loss)
        progress, values = progress_of(np.array(epochs), self._max_epochs), np.array(losses)
        told = Told(self._floats(units), progress, values)
        # A trial that failed is bad where the others are to improve.
        progress[np.isnan(values)] = told.target
        return told

    def _stations(self, record: TrialRecord) -> dict[float, float]:
        """By epoch, what a trial had at each rung and at its end; `END` for one that ended by
        itself, and for one that failed, of which only that is told."""
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
        """The places of trials that run, and of the best ones that were stopped: what they would
        come to is believed, or a model would ask for it again and again.

        Args:
            target: the progress that they are expected at.
        """
        running = [t.unit for t in self.trials.values() if t.state == "running"]
        stopped = self._floats([t.unit for t in self.trials.values() if t.state == "stopped"])
        if len(stopped) > BELIEVED:
            expected = posterior.mean(self._at(stopped, target))[:, 0]
            stopped = stopped[np.argsort(expected, kind="stable")[:BELIEVED]]
        return np.vstack([self._floats(running), stopped])

    def _floats(self, units: Sequence[tuple[float | None, ...]]) -> Floats:
        """Places, one a row; NaN where a hyperparameter is not there."""
        return np.array(units, dtype=float).reshape(len(units), len(self.space.parameters))

    def _neighbours(
        self, parents: Floats, count: int, spread: float, rng: np.random.Generator
    ) -> Floats:
        """So many configurations, each of which differs from one of `parents` in one hyperparameter
        or in several."""
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
        # Another category in few, or no neighbour would have the same.
        far = self._encoding.categorical & (rng.random((count, size)) < 0.5)
        moved = np.where(self._encoding.categorical, np.where(far, anywhere, numbers), moved)
        return self._encoding.placed(np.where(change, moved, numbers))


@cache
def linear_algebra() -> ThreadpoolController:
    """The threads of linear algebra. One is enough for matrices of a few hundred rows; more wait
    for each other where trials have the cores, four times as long as the proposal takes, and round
    as the machine has cores."""
    return ThreadpoolController().select(user_api="blas")


def progress_of(epochs: Floats, last: float | None) -> Floats:
    """0 at the first epoch, 1 at the last one and at `END`, between them by the logarithm.

    Args:
        epochs: of values, [n].
        last: of a trial; None takes the last one that any trial had.
    """
    known = epochs[np.isfinite(epochs)]
    last = last or (float(known.max()) if len(known) else 1.0)
    return np.where(epochs >= last, 1.0, np.log(np.maximum(epochs, 1)) / math.log(max(last, 2)))


def as_unit(row: Floats) -> tuple[float | None, ...]:
    """A place as a trial's record has it: None where a hyperparameter is not there."""
    return tuple(None if math.isnan(number) else number for number in row.tolist())


def standardised(losses: Floats) -> Floats:
    """Mean 0 and standard deviation 1, without the weight of what is very bad: a value worse than
    the median comes nearer to it the farther it is, and failed trials are as bad as the worst.

    Values that are moved or scaled come to the same.
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
