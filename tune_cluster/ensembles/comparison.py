"""Ways to combine the best trials, each chosen on held-out samples, and then scored on the test
set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from search_spaces.objective import Objective
from tune_cluster.ensembles.combining import (
    Fit,
    Weights,
    combined,
    cross_fitted,
    equal,
    fitted,
    selected,
)
from tune_cluster.ensembles.predictions import Predictions
from tune_cluster.ensembles.scores import LOSSES, Floats, score_all, scores_of


@dataclass(frozen=True)
class Way:
    """A way to combine members, with its scores."""

    name: str
    weights: tuple[float, ...]
    """Weight of each member; of a soup, in the mean of the weights of the networks."""
    held_out: dict[str, float]
    """Scores on the held-out samples; of fitted weights, on those that they were not fitted on."""
    soup: bool = False
    """Whether the members' weights are averaged, and not their predictions."""


class NotAveragedError(Exception):
    """The weights of these members cannot be averaged."""


Soup = Callable[[Sequence[int]], Predictions]
"""Function that predicts the held-out samples with the mean of the weights of some members, given
by position; raises a NotAveragedError for networks that are not equal."""


def ways(stack: Floats, truth: Predictions, criterion: Objective, soup: Soup | None) -> list[Way]:
    """Return all ways to combine the members, the single best first, scored on held-out samples.

    Args:
        stack: predictions of each member, the best member first, `[members, n, …]`.
        truth: rows and targets of these samples.
        criterion: score by which members are chosen.
        soup: averages weights; None if the trainable cannot.
    """
    targets = truth.targets
    found = [
        Way("best", _one_hot(0, len(stack)), score_all(stack[0], targets)),
        Way("mean", _tuple(equal(stack, targets)), score_all(stack.mean(axis=0), targets)),
    ]
    fits: dict[str, Fit] = {"fitted": fitted, "greedy": selected(criterion)}
    for name, fit in fits.items():
        scores = score_all(cross_fitted(fit, stack, targets), targets)
        found.append(Way(name, _tuple(fit(stack, targets)), scores))
    if soup is not None:
        found += _soups(stack, truth, criterion, soup)
    return found


def _soups(stack: Floats, truth: Predictions, criterion: Objective, soup: Soup) -> list[Way]:
    """Return the uniform soup, of all members whose networks equal the best one's, and the greedy
    soup, which the next best member joins if it is then no worse (Wortsman et al. 2022, recipe
    1); neither without another member of that network."""
    score = scores_of(stack[0])[criterion.metric]

    def predicted(members: Sequence[int]) -> Floats:
        found = soup(members)
        return found.predicted[np.searchsorted(found.rows, truth.rows)]

    alike, kept = [0], [0]
    best = score(stack[0], truth.targets)
    greedy = stack[0]
    for member in range(1, len(stack)):
        try:
            tried = predicted([*kept, member])
        except NotAveragedError:
            continue
        alike.append(member)
        value = score(tried, truth.targets)
        if not criterion.better(best, value):
            kept, best, greedy = [*kept, member], value, tried
    if len(alike) == 1:
        return []
    uniform = predicted(alike)
    return [
        Way(name, _shares(members, len(stack)), score_all(scored, truth.targets), soup=True)
        for name, members, scored in (
            ("uniform soup", alike, uniform),
            ("greedy soup", kept, greedy),
        )
    ]


def chosen(found: Sequence[Way], criterion: Objective) -> Way:
    """Return the best way on the held-out samples, of equal ones that with the lower loss, or the
    first."""
    return min(
        found,
        key=lambda way: (
            criterion.key(way.held_out[criterion.metric]),
            next(way.held_out[name] for name in LOSSES if name in way.held_out),
        ),
    )


def scored(way: Way, stack: Floats, targets: Any) -> dict[str, float]:
    """Return the scores of a weighted mean of predictions, as on the test set."""
    return score_all(combined(stack, np.array(way.weights)), targets)


def _one_hot(index: int, members: int) -> tuple[float, ...]:
    return _shares([index], members)


def _shares(chosen: Sequence[int], members: int) -> tuple[float, ...]:
    return tuple(1 / len(chosen) if index in chosen else 0.0 for index in range(members))


def _tuple(weights: Weights) -> tuple[float, ...]:
    return tuple(map(float, weights))
