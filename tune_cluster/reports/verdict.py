"""The verdict of a confirmation: which candidate is better than all others, or which are tied.

A race over paired seeds. All candidates run with the same seeds, so that a difference is free of
what a seed does to all of them (Fisher 1935, *The Design of Experiments*, randomized blocks). After
each round of one seed, a candidate that is clearly worse than the best leaves (Maron and Moore
1994, "Hoeffding Races"; with blocks Birattari et al. 2002, "A Racing Algorithm"), and the race ends
as soon as its outcome is known:

- Difference: the mean of the paired differences to the best, with a t interval. The variance is
  pooled over the candidates that are still in the race (residuals of candidate and seed): after two
  seeds a pair by itself would have one degree of freedom, six candidates together have five. One
  that is noisier than the rest is left out of the pool (after Cochran 1941, "The distribution of
  the largest of a set of estimated variances").
- Looking repeatedly: before the last round a difference has to pass `EARLY`, so that the level of
  the last look is nearly `LEVEL` in spite of those before (Haybittle 1971; Peto et al. 1976).
- Futility: the race ends in a tie once the predictive probability that the best becomes better than
  each of the others within the planned rounds is below `HOPELESS` (Spiegelhalter, Freedman and
  Blackburn 1986, "Monitoring clinical trials: conditional or predictive power?").

A failed run (a value that is no finite number) is worse than every value: a candidate with more of
them than another leaves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from search_spaces.objective import Objective, shown_value

LEVEL = 0.05
"""Two-sided level of all intervals, and of the look that ends the race."""
EARLY = 0.005
"""Two-sided level at which a candidate leaves before the last round."""
NOISIER = 0.01
"""Level at which the variance of a candidate is not pooled with that of the others."""
HOPELESS = 0.2
"""Predictive probability below which the race ends in a tie."""


@dataclass(frozen=True, kw_only=True)
class Mean:
    """Mean of a candidate over its seeds."""

    name: str
    mean: float
    """In the unit of the metric; NaN if all its runs failed."""
    low: float
    """Lower end of the t interval of the mean; NaN with fewer than two values."""
    high: float
    """Upper end."""
    n: int
    """Values that did not fail."""
    failed: int
    """Runs that failed."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A candidate beside the best."""

    name: str
    difference: float
    """Mean over the pairs of its value less that of the best, in the unit of the metric; NaN
    without a pair."""
    low: float
    """Lower end of the interval of the difference; NaN with fewer than two pairs."""
    high: float
    """Upper end."""
    n: int
    """Pairs: seeds with which both have a value."""
    worse: bool
    """Whether it is clearly worse, and so out of the race."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Outcome of a race so far."""

    continuing: tuple[str, ...]
    """Candidates that run in the next round; empty if decided."""
    decided: bool
    best: str
    """Candidate with the best mean of those in the race."""
    tied: tuple[str, ...]
    """Candidates that cannot be told from the best."""
    kind: Literal["better", "tie"]
    """"better": the best is better than all others. "tie" as long as it is not decided."""
    rounds: int
    """Planned seeds."""
    means: tuple[Mean, ...]
    """All candidates, best first."""
    comparisons: tuple[Comparison, ...]
    """All but the best, in the same order."""

    def lines(self) -> list[tuple[str, str]]:
        """Return the verdict and what it rests on, as names and texts for the terminal."""
        (best,) = (mean for mean in self.means if mean.name == self.best)
        seeds = f"{best.n + best.failed} of {self.rounds} seeds"
        if not self.decided:
            verdict = f"not decided after {seeds}: {self.best} leads"
        elif self.kind == "better":
            verdict = f"{self.best} is better than all others, after {seeds}"
        else:
            verdict = f"a tie of {', '.join((self.best, *self.tied))}, after {seeds}"
        found = [("verdict", verdict)]
        compared = {comparison.name: comparison for comparison in self.comparisons}
        for mean in self.means:
            text = _mean_text(mean)
            if mean.name in compared:
                text += f"; {_difference_text(compared[mean.name], self.best)}"
            found.append((mean.name, text))
        return found

    def as_json(self) -> dict[str, Any]:
        """Return the verdict as JSON, with None for what is unknown."""
        about = asdict(self)
        for part in ("means", "comparisons"):
            about[part] = [{k: _known(v) for k, v in entry.items()} for entry in about[part]]
        return {
            **about,
            "continuing": list(self.continuing),
            "tied": list(self.tied),
            "level": LEVEL,
        }


# The square of a huge value is infinite, and what rests on it is unknown.
@np.errstate(over="ignore", invalid="ignore")
def judge(values: Mapping[str, Sequence[float]], objective: Objective, *, rounds: int) -> Verdict:
    """Return what the values so far say.

    Args:
        values: by candidate its value for each seed so far, in the same order of seeds for all; a
            value that is not finite is a failed run. A candidate with fewer values than another has
            left the race and stays out of it.
        objective: metric and mode.
        rounds: planned number of seeds, at least 1.

    Raises:
        ValueError: there are fewer than two candidates, no values, or more of them than planned.
    """
    seeds = max(map(len, values.values()), default=0)
    if len(values) < 2:
        raise ValueError(f"a verdict needs at least two candidates, got {len(values)}")
    if not 1 <= seeds <= rounds:
        raise ValueError(
            f"a verdict needs 1 to {rounds} values (the planned rounds) of a candidate, got {seeds}"
        )
    race = _Race(values, objective)
    best, last = race.best, seeds == rounds
    others = [name for name in values if name != best and not race.is_out(name)]
    contenders, left = race.contenders(others, LEVEL if last else EARLY)
    decided = (
        last
        or not contenders
        or race.all_failed
        or min(race.compare(name, contenders).hope(rounds) for name in contenders) < HOPELESS
    )
    if decided:
        contenders, later = race.contenders(contenders, LEVEL)
        left = {**left, **later}
    order = sorted(values, key=lambda name: (name != best, *race.rank(name)))
    return Verdict(
        continuing=() if decided else tuple(n for n in values if n == best or n in contenders),
        decided=decided,
        best=best,
        tied=tuple(name for name in order if name in contenders),
        kind="better" if decided and not contenders else "tie",
        rounds=rounds,
        means=tuple(race.mean(name) for name in order),
        comparisons=tuple(
            (
                left.get(name)
                or race.compare(name, contenders if name in contenders else race.beside(name))
            ).shown(name, objective, worse=name not in contenders)
            for name in order
            if name != best
        ),
    )


@dataclass(frozen=True, kw_only=True)
class _Pairs:
    """Differences of a candidate to the best; positive if the best is better."""

    mean: float
    deviation: float
    """Standard deviation of one difference; NaN if unknown."""
    n: int
    freedom: int
    """Degrees of freedom of the deviation."""

    def margin(self, level: float) -> float:
        """Return half the width of the interval at a two-sided level; NaN if unknown."""
        if not self.freedom:
            return math.nan
        return _quantile(self.freedom, level) * self.deviation / math.sqrt(self.n)

    def is_clear(self, level: float) -> bool:
        """Return whether the best is better, at a two-sided level."""
        return self.mean > self.margin(level)

    def hope(self, rounds: int) -> float:
        """Return the predictive probability that the best is better after all rounds, with a flat
        prior of the true difference; 1 if nothing is known yet."""
        if not self.freedom:
            return 1.0
        if not self.deviation:
            return float(self.mean > 0)
        from scipy.special import stdtr

        # The deviation will be known better by then: at least by the pair's own seeds.
        later = self.freedom * (rounds - 1) // max(1, self.n - 1)
        needed = _quantile(later, LEVEL) * self.deviation / math.sqrt(rounds)
        spread = self.deviation * math.sqrt(1 / self.n - 1 / rounds)
        return float(stdtr(self.freedom, (self.mean - needed) / spread)) if spread else 0.0

    def shown(self, name: str, objective: Objective, *, worse: bool) -> Comparison:
        """Return the comparison in the unit of the metric."""
        # `key` turns a difference of keys back into one of values, here that of the candidate.
        difference, margin = objective.key(self.mean), self.margin(LEVEL)
        return Comparison(
            name=name,
            difference=difference,
            low=difference - margin,
            high=difference + margin,
            n=self.n,
            worse=worse,
        )


class _Race:
    """The values of a race as keys: smaller is better, NaN is a failed run."""

    def __init__(self, values: Mapping[str, Sequence[float]], objective: Objective) -> None:
        self._objective = objective
        self._keys = {
            name: np.array([objective.key(v) if math.isfinite(v) else math.nan for v in own])
            for name, own in values.items()
        }
        self._seeds = max(map(len, self._keys.values()))
        self._step = _smallest_step(np.concatenate([*self._keys.values()]))
        running = [name for name, own in self._keys.items() if len(own) == self._seeds]
        self.best = min(running, key=self.rank)
        self.all_failed = self.failed(self.best) == self._seeds

    def failed(self, name: str) -> int:
        """Return the number of failed runs."""
        return int(np.isnan(self._keys[name]).sum())

    def rank(self, name: str) -> tuple[int, float]:
        """Return what candidates are sorted by."""
        own = self._keys[name]
        finite = own[~np.isnan(own)]
        return self.failed(name), float(finite.mean()) if len(finite) else math.inf

    def is_out(self, name: str) -> bool:
        """Return whether a candidate has left, or has failed more often than the best."""
        return len(self._keys[name]) < self._seeds or self.failed(name) > self.failed(self.best)

    def mean(self, name: str) -> Mean:
        """Return the mean of a candidate with its interval."""
        own = self._keys[name]
        finite = own[~np.isnan(own)]
        n = len(finite)
        mean = self._objective.key(float(finite.mean())) if n else math.nan
        margin = math.nan
        if n > 1:
            margin = _quantile(n - 1, LEVEL) * float(finite.std(ddof=1)) / math.sqrt(n)
        return Mean(
            name=name,
            mean=mean,
            low=mean - margin,
            high=mean + margin,
            n=n,
            failed=self.failed(name),
        )

    def contenders(
        self, others: Sequence[str], level: float
    ) -> tuple[list[str], dict[str, _Pairs]]:
        """Return those to which the best is not clearly better, at a two-sided level, and what the
        others have left by.

        They leave the pool of the variance too: a bad candidate is often a noisy one.
        """
        found, left = list(others), dict[str, _Pairs]()
        while True:
            pairs = {name: self.compare(name, found) for name in found}
            clear = {name: one for name, one in pairs.items() if one.is_clear(level)}
            if not clear:
                return found, left
            left.update(clear)
            found = [name for name in found if name not in clear]

    def beside(self, name: str) -> list[str]:
        """Return the candidates that have run with each seed of a candidate."""
        seeds = len(self._keys[name])
        return [other for other, own in self._keys.items() if len(own) >= seeds]

    def compare(self, name: str, contenders: Sequence[str]) -> _Pairs:
        """Compare a candidate with the best over the seeds that both have, with the variance of
        both and the contenders, or that of the two alone if one of them is noisier than the rest.
        """
        seeds = len(self._keys[name])
        paired = self._keys[name] - self._keys[self.best][:seeds]
        here = ~np.isnan(paired)
        n = int(here.sum())
        mean = float(paired[here].mean()) if n else math.nan
        if n < 2:
            return _Pairs(mean=mean, deviation=math.nan, n=n, freedom=0)
        cut = {
            one: self._keys[one][:seeds][here]
            for one in dict.fromkeys((name, self.best, *contenders))
        }
        pool = _alike({one: own for one, own in cut.items() if not np.isnan(own).any()}, self._step)
        if not {name, self.best} <= pool.keys():
            pool = {one: cut[one] for one in (name, self.best)}
        return _Pairs(
            mean=mean,
            deviation=math.sqrt(2 * _variance(pool, self._step)),
            n=n,
            freedom=(len(pool) - 1) * (n - 1),
        )


def _variance(values: Mapping[str, NDArray[np.float64]], step: float) -> float:
    """Return the variance of a value that neither candidate nor seed explains, at least that of
    rounding to a step: without it, differences that are equal by chance would be certain."""
    block = np.array([*values.values()])
    rest = block - block.mean(axis=0) - block.mean(axis=1, keepdims=True) + block.mean()
    freedom: int = (block.shape[0] - 1) * (block.shape[1] - 1)
    return max(float((rest**2).sum()) / freedom, step * step / 12)


def _alike(
    values: Mapping[str, NDArray[np.float64]], step: float
) -> dict[str, NDArray[np.float64]]:
    """Return the values of those candidates that no test finds noisier than the rest."""
    found = dict(values)
    while len(found) > 2:
        chances = {name: _chance_of_noise(found, name, step) for name in found}
        noisiest = min(chances, key=chances.__getitem__)
        if chances[noisiest] * len(found) >= NOISIER:
            break
        del found[noisiest]
    return found


def _chance_of_noise(values: Mapping[str, NDArray[np.float64]], name: str, step: float) -> float:
    """Return the p-value of a candidate's variance being that of the others (F test)."""
    from scipy.special import fdtrc

    others = {other: own for other, own in values.items() if other != name}
    count, seeds = len(others), len(values[name])
    # The mean of the others has a variance too.
    apart = values[name] - np.mean([*others.values()], axis=0)
    ratio = float(apart.var(ddof=1)) * count / (count + 1) / (_variance(others, step) or math.inf)
    return float(fdtrc(seeds - 1, (count - 1) * (seeds - 1), ratio))


def _quantile(freedom: int, level: float) -> float:
    """Return the quantile of Student's t that a two-sided level cuts off."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 1 - level / 2))


def _smallest_step(values: NDArray[np.float64]) -> float:
    """Return the smallest difference between unequal values, such as one sample more that is
    classified right; 0 if all are equal."""
    steps = np.diff(np.unique(values[~np.isnan(values)]))
    return float(steps.min()) if len(steps) else 0.0


def _known(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _mean_text(mean: Mean) -> str:
    runs = f"{mean.n + mean.failed} seeds" if mean.n + mean.failed > 1 else "1 seed"
    failed = f", {mean.failed} failed" if mean.failed else ""
    if math.isnan(mean.mean):
        return f"no value ({runs}{failed})"
    interval = ""
    if not math.isnan(mean.low):
        ends = (shown_value(end, like=mean.mean) for end in (mean.low, mean.high))
        interval = f" [{', '.join(ends)}]"
    return f"{shown_value(mean.mean)}{interval} ({runs}{failed})"


def _difference_text(comparison: Comparison, best: str) -> str:
    worse = ", clearly worse" if comparison.worse else ""
    if math.isnan(comparison.difference):
        return f"no pair with {best}{worse}"
    ends = (comparison.low, comparison.high)
    interval = ""
    if not math.isnan(comparison.low):
        interval = " [" + ", ".join(_signed(end, comparison.difference) for end in ends) + "]"
    return f"{_signed(comparison.difference)} to {best}{interval}{worse}"


def _signed(value: float, like: float | None = None) -> str:
    return ("+" if value > 0 else "") + shown_value(value, like)
