"""What a sample says of the whole: bounds without replacement, and ranks under weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

TAIL = 40
"""One in so many: what lies beyond either bound of a 95% interval."""

RESAMPLES = 1000
"""Of the bootstrap: the bounds of an interval then have two digits."""


def bounds(hits: int, drawn: int, of: int) -> tuple[int, int]:
    """Between which numbers of hits there are among all `of`, with 95% confidence, if `drawn` of
    them, drawn at random, had `hits`.

    Clopper and Pearson's interval (1934) for draws without replacement, where the hypergeometric
    distribution stands for the binomial: once all are drawn, both bounds are `hits`.

    Raises:
        ValueError: more hits than draws, or more draws than there are.
    """
    if not 0 <= hits <= drawn <= of:
        raise ValueError(f"{hits} hits in {drawn} draws of {of}: each can't exceed the next")

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
    """Spearman's, of a population in which each pair is there `weights` times; None where all
    values of one side are equal."""
    x, y = weighted_ranks(first, weights), weighted_ranks(second, weights)
    x, y = x - np.average(x, weights=weights), y - np.average(y, weights=weights)
    scale = math.sqrt(float(weights @ x**2) * float(weights @ y**2))
    # Ranks are about as large as the weights together; what is left of equal ones is rounding.
    if scale <= 1e-12 * float(weights.sum()) ** 3:
        return None
    return min(1.0, max(-1.0, float(weights @ (x * y)) / scale))


def weighted_ranks(
    values: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The weight below each value and half of that of its equals, itself included."""
    _, place = np.unique(values, return_inverse=True)
    at = np.bincount(place, weights=weights)
    ranks: npt.NDArray[np.float64] = (np.cumsum(at) - at / 2)[place]
    return ranks


def bootstrapped_rank_correlation(
    strata: Sequence[npt.NDArray[np.float64]], sizes: Sequence[int], seed: int = 0
) -> tuple[float, float, float] | None:
    """Spearman's with the bounds of its 95% interval, by the bootstrap's percentiles; None where
    it is not defined.

    Args:
        strata: of each, the sample: rows of two values, at least one.
        sizes: how many each of them stands for.
        seed: of the resampling, in which each stratum keeps its size.
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
        draws = [
            end - rng.integers(1, len(rows) + 1, size=len(rows))
            for end, rows in zip(ends, strata, strict=True)
        ]
        drawn = np.concatenate(draws)
        resampled = rank_correlation(first[drawn], second[drawn], weights[drawn])
        if resampled is not None:
            again.append(resampled)
    low, high = np.quantile(again or [found], [1 / TAIL, 1 - 1 / TAIL])
    return found, float(low), float(high)
