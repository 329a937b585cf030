"""Statistics of an audit: the cost of early stopping, from stopped trials that were finished later.

`tune_cluster.reports.audit` explains the figures and collects the trials.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

TOP = 5

KEPT = 0.9
"""Share of the best trials that must pass a grace period for it to be advised."""


@dataclass(frozen=True)
class Followed:
    """A trial whose end is known."""

    values: Mapping[int | float, float]
    """Values by epoch, larger is better."""
    rung: float | None
    """Rung that stopped it, if it is a control."""
    failed: bool

    @property
    def end(self) -> float:
        """Best of its values."""
        return max(self.values.values())

    def at(self, epoch: float) -> float:
        """Return the value that a rung after `epoch` would have compared: the first at or past it;
        for a trial that ended before, its last value, or the worst value if it failed."""
        if self.reached(epoch):
            return self.values[min(known for known in self.values if known >= epoch)]
        return self.values[max(self.values)] if self.values and not self.failed else -np.inf

    def reached(self, epoch: float) -> bool:
        """Return whether the trial has reached `epoch`."""
        return max(self.values, default=0) >= epoch


def killed(
    survivors: Sequence[float], controls: Sequence[float], stopped: int, top: int
) -> dict[str, float] | None:
    """Estimate how many of the best `top` end values belong to stopped trials.

    Args:
        survivors: end values of the trials that no rung stopped, larger is better.
        controls: end values of the controls.
        stopped: number of stopped trials that the controls were drawn from.
        top: number of best trials; at most as many as `survivors`.

    Returns:
        `estimate`, `low` and `high`; None if nothing is known.
    """
    if top == 0 or (stopped and not controls):
        return None
    ranked = sorted(survivors, reverse=True)
    low = high = 0
    for count in range(1, top + 1):
        better = sum(value > ranked[top - count] for value in controls)
        least, most = bounds(better, len(controls), stopped)
        low = count if least >= count else low
        high = count if most >= count else high
    share = top_shares(survivors, controls, stopped, top)[len(survivors) :]
    return {"estimate": float(sum(share)), "low": low, "high": high}


def top_shares(
    survivors: Sequence[float], controls: Sequence[float], stopped: int, top: int
) -> list[float]:
    """Return how many of the best `top` each survivor and each control stands for, in order."""
    each = stopped / len(controls) if controls else 0.0
    weights = [1.0] * len(survivors) + [each] * len(controls)
    ends = [*survivors, *controls]
    shares, room = [0.0] * len(ends), float(top)
    # Of equal values the survivor comes first: the control has not beaten it.
    for rank in sorted(range(len(ends)), key=lambda at: (-ends[at], at)):
        shares[rank] = min(weights[rank], room)
        room -= shares[rank]
    return shares


def advised(
    survivors: Sequence[Followed],
    controls: Sequence[Followed],
    stopped: int,
    asha: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the advised grace period, and what it would cost.

    Args:
        survivors: trials that no rung stopped, at least one.
        controls: controls, at least one.
        stopped: number of stopped trials that the controls were drawn from.
        asha: the rungs, as `study.json` describes them.
    """
    factor, last, now = asha["reduction_factor"], asha["max_epochs"], asha["grace_period"]
    known = [*survivors, *controls]
    weights = np.array([1.0] * len(survivors) + [stopped / len(controls)] * len(controls))
    top = min(TOP, len(survivors))
    ends = [t.end for t in survivors], [t.end for t in controls]
    shares = np.array(top_shares(*ends, stopped, top))
    trials = len(survivors) + stopped

    def kept(epoch: int) -> float:
        values = np.array([trial.at(epoch) for trial in known])
        better = np.array([weights[values > value].sum() for value in values])
        through = 1 + better <= max(1.0, trials / factor) + 1e-9
        return float(shares[through].sum() / shares.sum())

    found: dict[str, Any] = {
        "now": now,
        "kept_now": kept(now),
        "epochs_now": epochs_at_once(trials, now, factor, last),
        "advised": next((e for e in candidates(factor, last) if kept(e) >= KEPT), None),
    }
    if found["advised"] is not None:
        found["kept"] = kept(found["advised"])
        found["epochs"] = epochs_at_once(trials, found["advised"], factor, last)
    return found


def candidates(factor: int, last: int) -> list[int]:
    """Return grace periods in half steps of the rungs' scale: 1, 2, 3, 5, 9, … for a factor of
    3."""
    found, step = [], 0
    while (epoch := round(factor ** (step / 2))) < last:
        found.append(epoch)
        step += 1
    return list(dict.fromkeys(found))


def epochs_at_once(trials: int, grace_period: int, factor: int, last: int) -> int:
    """Return the epochs of `trials` that all reach a rung before the first of them continues."""
    total, alive, at, rung = 0.0, float(trials), 0, grace_period
    while at < last:
        here = min(rung, last)
        total += alive * (here - at)
        alive, at, rung = max(1.0, alive / factor), here, rung * factor
    return round(total)


TAIL = 40
"""Reciprocal of the probability beyond either bound of a 95% interval."""

RESAMPLES = 1000
"""Number of resamples of the bootstrap, for bounds with two digits."""


def bounds(hits: int, drawn: int, of: int) -> tuple[int, int]:
    """Return the 95% interval of the hits in all `of`, if `drawn` of them, at random, had `hits`.

    Clopper and Pearson's interval (1934) with the hypergeometric distribution, for draws without
    replacement: once all are drawn, both bounds are `hits`.

    Raises:
        ValueError: more hits than draws, or more draws than there are.
    """
    if not 0 <= hits <= drawn <= of:
        raise ValueError(f"got {hits} hits in {drawn} draws of {of}; give hits <= draws <= total")

    def ways(total: int, found: range) -> int:
        return sum(math.comb(total, n) * math.comb(of - total, drawn - n) for n in found)

    every, possible = math.comb(of, drawn), range(hits, of - (drawn - hits) + 1)
    low = next(t for t in possible if TAIL * ways(t, range(hits, drawn + 1)) > every)
    high = next(t for t in reversed(possible) if TAIL * ways(t, range(hits + 1)) > every)
    return low, high


def rank_correlation(
    first: npt.NDArray[np.float64],
    second: npt.NDArray[np.float64],
    weights: npt.NDArray[np.float64],
) -> float | None:
    """Return Spearman's correlation of a population with each pair `weights` times; None if all
    values of one side are equal."""
    x, y = weighted_ranks(first, weights), weighted_ranks(second, weights)
    x, y = x - np.average(x, weights=weights), y - np.average(y, weights=weights)
    scale = math.sqrt(float(weights @ x**2) * float(weights @ y**2))
    # Ranks are about as large as the sum of weights; the remainder for equal ones is rounding.
    if scale <= 1e-12 * float(weights.sum()) ** 3:
        return None
    return min(1.0, max(-1.0, float(weights @ (x * y)) / scale))


def weighted_ranks(
    values: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the weight below each value plus half of that of equal values, itself included."""
    _, position = np.unique(values, return_inverse=True)
    at = np.bincount(position, weights=weights)
    ranks: npt.NDArray[np.float64] = (np.cumsum(at) - at / 2)[position]
    return ranks


def bootstrapped_rank_correlation(
    strata: Sequence[npt.NDArray[np.float64]], sizes: Sequence[int], seed: int = 0
) -> tuple[float, float, float] | None:
    """Return Spearman's correlation and its 95% interval by bootstrap percentiles.

    Args:
        strata: sample of each stratum: rows of two values, at least one, [n, 2].
        sizes: number of trials that each sample stands for.
        seed: seed of the resampling, in which each stratum keeps its size.

    Returns:
        Correlation and both bounds; None where it is not defined.
    """
    weights = np.concatenate(
        [np.full(len(rows), size / len(rows)) for rows, size in zip(strata, sizes, strict=True)]
    )
    first, second = np.concatenate(strata).T
    found = rank_correlation(first, second, weights)
    if found is None:
        return None
    rng = np.random.default_rng(seed)
    ends = np.cumsum([len(rows) for rows in strata])
    again = []
    for _ in range(RESAMPLES):
        sampled = zip(ends, map(len, strata), strict=True)
        drawn = np.concatenate([end - rng.integers(1, n + 1, size=n) for end, n in sampled])
        resampled = rank_correlation(first[drawn], second[drawn], weights[drawn])
        if resampled is not None:
            again.append(resampled)
    low, high = np.quantile(again or [found], [1 / TAIL, 1 - 1 / TAIL])
    return found, float(low), float(high)
