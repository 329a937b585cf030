"""The start points of a new study, chosen from the best configurations of earlier ones.

As in Wistuba, Schilling and Schmidt-Thieme 2015, *Sequential Model-Free Hyperparameter Tuning*, and
the portfolios of Auto-sklearn 2.0 (Feurer et al. 2022, section 3.1): each earlier study is a model
that predicts the rank of a configuration. Configurations are chosen greedily: each next one
minimises the mean over all studies of the best rank reached so far. Only ranks count, so that
studies of other data, whose values are on another scale, can be combined.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from search_spaces.objective import Objective
from search_spaces.searchers.encoding import Encoding, Floats
from search_spaces.searchers.gaussian_process import Posterior, fitted
from search_spaces.searchers.learning import (
    ENOUGH,
    Name,
    TrialRecord,
    common_rung,
    earlier_record,
    ranks_of,
)
from search_spaces.space import Space
from search_spaces.trial_events import Earlier, StartPoint

BEST_SHARE = 0.2
"""Share of a study's trials, the best ones, whose configurations are candidates."""

MOST = 200
"""Largest number of trials that a study's model is fitted on. Of a larger study it takes half this
number from the best trials, and the other half evenly from the rest."""


def portfolio(
    space: Space, studies: Mapping[str, Sequence[Earlier]], objective: Objective, count: int
) -> list[StartPoint]:
    """Return up to `count` configurations to begin with, the most promising first.

    Args:
        space: space of the new study.
        studies: trials of the earlier studies by study. Left out are trials outside the space,
            trials that differ in what is not searched, and studies with fewer than 4 trials left.
        objective: objective of all studies.
        count: largest number of configurations to return.
    """
    encoding = Encoding(space)
    models: list[Posterior] = []
    candidates: list[tuple[Earlier, Sequence[float | None]]] = []
    for earlier in studies.values():
        found = [(trial, r) for trial in earlier if (r := earlier_record(space, trial)) is not None]
        trials, records = [trial for trial, _ in found], [record for _, record in found]
        if len(records) < ENOUGH:
            continue
        scores = normal_scores(records, objective)
        order = np.argsort(scores, kind="stable")
        best = order[: max(1, round(BEST_SHARE * len(order)))]
        good = [at for at in best if records[at].state != "failed"]
        candidates += [(trials[at], records[at].unit) for at in good]
        known = _spread(order, MOST)
        rows = encoding.rows(np.array([records[at].unit for at in known], dtype=float))
        models.append(Posterior(fitted(rows, scores[known]), rows, scores[known]))
    if not candidates:
        return []
    rows = encoding.rows(np.array([unit for _, unit in candidates], dtype=float))
    expected = np.array([model.mean(rows) for model in models])
    return [
        StartPoint(study=trial.study, config=_searched(space, unit, trial.config))
        for trial, unit in (candidates[at] for at in covering(expected, count))
    ]


def covering(expected: Floats, count: int) -> list[int]:
    """Return the columns of a greedy cover, in the order in which they are chosen.

    Args:
        expected: expected rank of each configuration in each study, smaller is better:
            [studies, n].
        count: largest number of columns; fewer are returned once no further one helps any study.
    """
    taken: list[int] = []
    best = np.full(len(expected), np.inf)
    while len(taken) < count:
        means = np.minimum(best[:, None], expected).mean(axis=0)
        at = int(means.argmin())
        if at in taken or (taken and not means[at] < best.mean()):
            break
        taken.append(at)
        best = np.minimum(best, expected[:, at])
    return taken


def normal_scores(records: Iterable[TrialRecord], objective: Objective) -> Floats:
    """Return the rank of each trial in its study as a quantile of the normal distribution.

    Returns:
        Scores, smaller is better, equal for equal ranks: [n].
    """
    from scipy.stats import rankdata  # Takes 0.5 s, so not where there are no earlier studies.

    trials: dict[Name, TrialRecord] = dict(enumerate(records))
    stopped = [t for t in trials.values() if t.state == "stopped" and t.values]
    rungs = sorted({int(max(trial.values)) for trial in stopped})
    rung = common_rung(trials.values(), rungs, ENOUGH)
    ranks = [rank for rank in ranks_of(trials, rungs, objective, rung).values() if rank]
    order = {rank: at for at, rank in enumerate(sorted(set(ranks)))}
    places = rankdata([order[rank] for rank in ranks])
    scores: Floats = ndtri((places - 0.5) / len(places))
    return scores


def _spread(order: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    """Return the first half of `most` from the front, and the other half evenly from the rest."""
    if len(order) <= most:
        return order
    rest = np.linspace(most // 2, len(order) - 1, most - most // 2).round().astype(int)
    return np.concatenate([order[: most // 2], order[rest]])


def _searched(
    space: Space, unit: Sequence[float | None], earlier: Mapping[str, object]
) -> dict[str, object]:
    """Return the configuration at a point of the unit cube, without fixed values.

    The numbers of ranges are those of the earlier trial, which the way through the cube rounds: a
    configuration that differs in the last digit from the defaults would be trained beside them.
    """
    config = space.point([0.0 if number is None else number for number in unit])
    ranges = {parameter.name for parameter in space.parameters if not parameter.values}
    exact = {name: earlier[name] for name in ranges & config.keys() & earlier.keys()}
    return {name: v for name, v in {**config, **exact}.items() if name not in dict(space.fixed)}
