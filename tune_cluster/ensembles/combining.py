"""Weights of the members of an ensemble, fitted on held-out samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from search_spaces.objective import Objective
from tune_cluster.ensembles.scores import Floats, loss_of, scores_of

Weights: TypeAlias = NDArray[np.float64]
"""Weight of each member, at least 0, with sum 1, `[members]`."""

Fit: TypeAlias = Callable[[Floats, NDArray[Any]], Weights]
"""Function of the members' predictions `[members, n, …]` and the targets `[n]`."""

SELECTION_ROUNDS = 50
"""Most members, with repetition, of a selected ensemble: weights are multiples of a fiftieth."""

SELECTION_PATIENCE = 10
"""Rounds without a better ensemble after which the selection ends."""

SMALLEST_WEIGHT = 1e-4
"""Smallest fitted weight that is not a rounding error."""

BLOCKS = 5
"""Number of blocks for `cross_fitted`."""


def combined(stack: Floats, weights: Weights) -> Floats:
    """Return the weighted mean of predictions `[members, n, …]`, of probabilities or numbers."""
    return np.tensordot(weights, stack, axes=1)


def equal(stack: Floats, _: NDArray[Any]) -> Weights:
    """Return equal weights."""
    return np.full(len(stack), 1 / len(stack))


def fitted(stack: Floats, targets: NDArray[Any]) -> Weights:
    """Return the convex weights with the lowest log loss, or squared error of numbers, which is
    found exactly, since both are convex in the weights (Breiman 1996, *Stacked Regressions*)."""
    from scipy.optimize import minimize

    members = len(stack)
    if stack.ndim == 3:
        # Of a mixture only the probability of the true class counts.
        true = stack[:, np.arange(len(targets)), targets].clip(min=np.finfo(np.float64).tiny)

        def loss(weights: Weights) -> tuple[float, Weights]:
            mixed = weights @ true
            return float(-np.log(mixed).mean()), -(true / mixed).mean(axis=1)
    else:
        unit = max(float(targets.std()), np.finfo(np.float64).tiny)
        numbers, wanted = (stack - targets.mean()) / unit, (targets - targets.mean()) / unit

        def loss(weights: Weights) -> tuple[float, Weights]:
            wrong = weights @ numbers - wanted
            return float((wrong**2).mean()), 2 * (numbers * wrong).mean(axis=1)

    start = equal(stack, targets)
    found = minimize(
        loss,
        start,
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * members,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(members)},
        options={"ftol": 1e-10, "maxiter": 500},
    )
    weights = np.asarray(found.x).clip(min=0)
    weights = weights / weights.sum()
    # A weight of a rounding error would keep a member in the ensemble.
    weights[weights < SMALLEST_WEIGHT] = 0
    candidates: list[Weights] = [weights / weights.sum(), start, *np.eye(members)]
    return min(candidates, key=lambda one: loss(one)[0])


def selected(criterion: Objective) -> Fit:
    """Return a greedy selection with replacement (Caruana et al. 2004, *Ensemble Selection from
    Libraries of Models*, section 2): the member that helps the mean most is added, again and again,
    and the best of these ensembles is taken. Of equal scores the lower loss decides."""

    def fit(stack: Floats, targets: NDArray[Any]) -> Weights:
        known = scores_of(stack[0])
        score, loss = known[criterion.metric], known[loss_of(stack[0])]
        counts, total = np.zeros(len(stack), dtype=np.int64), np.zeros_like(stack[0])
        best_key, best, waited = (np.inf, np.inf), counts, 0
        for size in range(1, SELECTION_ROUNDS + 1):
            keys = []
            for member in stack:
                mean = (total + member) / size
                value = score(mean, targets)
                # NaN where a class has no sample, as in a block: then the loss alone decides.
                key = 0.0 if np.isnan(value) else criterion.key(value)
                keys.append((key, loss(mean, targets)))
            added = min(range(len(stack)), key=keys.__getitem__)
            counts = counts + (np.arange(len(stack)) == added)
            total += stack[added]
            if keys[added] < best_key:
                best_key, best, waited = keys[added], counts, 0
            elif (waited := waited + 1) == SELECTION_PATIENCE:
                break
        weights: Weights = best / best.sum()
        return weights

    return fit


def cross_fitted(fit: Fit, stack: Floats, targets: NDArray[Any]) -> Floats:
    """Return predictions of an ensemble for samples that its weights were not fitted on: those of
    each of `BLOCKS` blocks, drawn at random, have the weights of the others.

    The weights of the ensemble itself are fitted on all samples, on which its score would be too
    good.
    """
    count = len(targets)
    if count < BLOCKS:
        return combined(stack, fit(stack, targets))
    blocks = np.random.default_rng(0).permutation(count) % BLOCKS
    found: Floats = np.empty_like(stack[0])
    for block in range(BLOCKS):
        inside = blocks == block
        weights = fit(stack[:, ~inside], targets[~inside])
        found[inside] = combined(stack[:, inside], weights)
    return found
