"""The configurations that a new study begins with, by what was good in earlier ones.

As in Wistuba, Schilling and Schmidt-Thieme 2015, *Sequential Model-Free Hyperparameter Tuning*, and
the portfolios of Auto-sklearn 2.0 (Feurer et al. 2022, section 3.1): each earlier study is a model
of how it ranks configurations, and one after the other that configuration is taken which, beside
those that were taken before, brings the best of them nearest to the front in the mean over all
studies. Only ranks count, so that studies of other data, whose values are others, may be compared.
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
"""Of a study's trials, those whose configurations may be taken."""

MOST = 200
"""Trials of a study that its model knows: of more the best half of them, and others of the rest."""


def portfolio(
    space: Space, studies: Mapping[str, Sequence[Earlier]], objective: Objective, count: int
) -> list[StartPoint]:
    """Up to `count` configurations to begin with, the most promising first.

    Args:
        space: of the new study.
        studies: trials of earlier ones. Those are left out that are not in the space, or differ
            from its trials in what is not searched, and studies of fewer than 4 others.
        objective: of all of them.
    """
    encoding = Encoding(space)
    models: list[Posterior] = []
    candidates: list[tuple[str, Sequence[float | None]]] = []
    for study, trials in studies.items():
        records = [r for trial in trials if (r := earlier_record(space, trial)) is not None]
        if len(records) < ENOUGH:
            continue
        scores = normal_scores(records, objective)
        order = np.argsort(scores, kind="stable")
        best = order[: max(1, round(BEST_SHARE * len(order)))]
        candidates += [(study, records[at].unit) for at in best if records[at].state != "failed"]
        known = _spread(order, MOST)
        rows = encoding.rows(np.array([records[at].unit for at in known], dtype=float))
        models.append(Posterior(fitted(rows, scores[known]), rows, scores[known]))
    if not candidates:
        return []
    rows = encoding.rows(np.array([unit for _, unit in candidates], dtype=float))
    expected = np.array([model.mean(rows) for model in models])
    return [
        StartPoint(study=candidates[at][0], config=_searched(space, candidates[at][1]))
        for at in covering(expected, count)
    ]


def covering(expected: Floats, count: int) -> list[int]:
    """The columns that are taken, one after the other.

    Args:
        expected: the smaller the better, of each configuration in each study, [studies, n].
        count: that are taken at most; fewer where no other makes any study better.
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
    """Where each trial stands among those of its study, as a quantile of the normal distribution,
    the smaller the better: [n]. Those of one rank have one score."""
    from scipy.stats import rankdata  # 0.5 s that a study without earlier ones is not to pay for.

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
    """The first half of `most`, and others evenly from the rest."""
    if len(order) <= most:
        return order
    rest = np.linspace(most // 2, len(order) - 1, most - most // 2).round().astype(int)
    return np.concatenate([order[: most // 2], order[rest]])


def _searched(space: Space, unit: Sequence[float | None]) -> dict[str, object]:
    """The configuration at a place, without what is fixed."""
    config = space.point([0.0 if number is None else number for number in unit])
    return {name: value for name, value in config.items() if name not in dict(space.fixed)}
