"""The start points of a new study, chosen from the best configurations of earlier ones.

As in Wistuba, Schilling and Schmidt-Thieme 2015, *Sequential Model-Free Hyperparameter Tuning*, and
the portfolios of Auto-sklearn 2.0 (Feurer et al. 2022, section 3.1): each earlier study is a model
that predicts the rank of a configuration. Configurations are chosen greedily: each next one
minimises the mean over all studies of the best rank reached so far. Only ranks count, so that
studies of other data, whose values are on another scale, can be combined.

Where the best configurations of a study were trained again with other seeds, those that this has
confirmed come first, and stand for the study: its own best trial was also lucky.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, TypeAlias

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
    earlier_unit,
    ranks_of,
)
from search_spaces.space import Space
from search_spaces.trial_events import SEEDS_OF_TRIALS, Earlier, StartPoint

BEST_SHARE = 0.2
"""Share of a study's trials, the best ones, whose configurations are candidates."""

MOST = 200
"""Largest number of trials that a study's model is fitted on. Of a larger study it takes half this
number from the best trials, and the other half evenly from the rest."""


Config: TypeAlias = Mapping[str, Any]

Unit: TypeAlias = Sequence[float | None]
"""Point in the unit cube; None for a hyperparameter that does not exist."""


@dataclass(frozen=True, kw_only=True)
class Confirmed:
    """What the confirmation of a study has shown of its best configurations."""

    study: str
    """Address of the confirmation."""
    best: Sequence[Config]
    """Configurations that it cannot tell from the best, the best first, without seeds."""
    worse: Sequence[Config]
    """Configurations that it has shown to be worse."""

    def has(self, config: Config) -> bool:
        """Return whether it has trained a configuration."""
        known = {name: value for name, value in config.items() if name not in SEEDS_OF_TRIALS}
        return known in (*self.best, *self.worse)


def portfolio(
    space: Space,
    studies: Mapping[str, Sequence[Earlier]],
    objective: Objective,
    count: int,
    confirmed: Mapping[str, Confirmed] | None = None,
) -> list[StartPoint]:
    """Return up to `count` configurations to begin with, the most promising first.

    Args:
        space: space of the new study.
        studies: trials of the earlier studies by study. Left out are trials outside the space,
            trials that differ in what is not searched, and studies with fewer than 4 trials left.
        objective: objective of all studies.
        count: largest number of configurations to return.
        confirmed: their confirmations, by study. The best of each comes first, then those that are
            tied with it; of the study itself follow only trials that are better than all of these
            were, such as later ones. What is worse in one of them, and the best in none, is left
            out.
    """
    confirmed = confirmed or {}
    first = [*_confirmed_points(space, [*confirmed.values()])][:count]
    worse = {u for one in confirmed.values() for u in _units(space, one.worse)}
    worse -= {u for one in confirmed.values() for u in _units(space, one.best)}
    encoding = Encoding(space)
    models: list[Posterior] = []
    candidates: list[tuple[StartPoint, Unit]] = []
    for study, earlier in studies.items():
        found = [(trial, r) for trial in earlier if (r := earlier_record(space, trial)) is not None]
        trials, records = [trial for trial, _ in found], [record for _, record in found]
        if len(records) < ENOUGH:
            continue
        scores = normal_scores(records, objective)
        order = np.argsort(scores, kind="stable")
        best = order[: max(1, round(BEST_SHARE * len(order)))]
        good = [at for at in best if records[at].state != "failed"]
        if study in confirmed:
            later = _better_than_all_of(confirmed[study], earlier, objective)
            good = [at for at in good if trials[at] in later]
        candidates += [
            (_start_point(space, trials[at].study, records[at].unit, trials[at].config), unit)
            for at in good
            if (unit := records[at].unit) not in worse
        ]
        known = _spread(order, MOST)
        rows = encoding.rows(np.array([records[at].unit for at in known], dtype=float))
        models.append(Posterior(fitted(rows, scores[known]), rows, scores[known]))
    reached = np.full(len(models), np.inf)
    if first and models:
        reached = _expected(models, encoding, [unit for _, unit in first]).min(axis=1)
    further: list[int] = []
    if candidates:
        expected = _expected(models, encoding, [unit for _, unit in candidates])
        further = covering(expected, count - len(first), reached)
    return [point for point, _ in (*first, *(candidates[at] for at in further))]


def _expected(models: Sequence[Posterior], encoding: Encoding, units: Sequence[Unit]) -> Floats:
    """Return the rank that each study's model expects of each configuration: [studies, n]."""
    rows = encoding.rows(np.array(units, dtype=float))
    return np.array([model.mean(rows) for model in models])


def _confirmed_points(
    space: Space, confirmed: Sequence[Confirmed]
) -> Iterator[tuple[StartPoint, Unit]]:
    """Yield what was confirmed and is in the space, each once: the best of each study, then the
    second ones."""
    given = set()
    for configs in zip_longest(*(one.best for one in confirmed)):
        for one, config in zip(confirmed, configs, strict=True):
            unit = None if config is None else earlier_unit(space, config)
            if unit is not None and unit not in given:
                given.add(unit)
                yield _start_point(space, one.study, unit, config), unit


def _units(space: Space, configs: Iterable[Config]) -> Iterator[Unit]:
    return (unit for one in configs if (unit := earlier_unit(space, one)) is not None)


def _better_than_all_of(
    confirmed: Confirmed, trials: Sequence[Earlier], objective: Objective
) -> list[Earlier]:
    """Return the trials of a study that are better than each one that was trained again."""

    def best(of: Iterable[Earlier]) -> float | None:
        return objective.best(value for trial in of for value in trial.values.values())

    limit = best(trial for trial in trials if confirmed.has(trial.config))
    if limit is None:
        return []
    return [t for t in trials if (own := best([t])) is not None and objective.better(own, limit)]


def covering(expected: Floats, count: int, reached: Floats | None = None) -> list[int]:
    """Return the columns of a greedy cover, in the order in which they are chosen.

    Args:
        expected: expected rank of each configuration in each study, smaller is better:
            [studies, n].
        count: largest number of columns; fewer are returned once no further one helps any study.
        reached: best expected rank of what is chosen already, in each study: [studies].
    """
    taken: list[int] = []
    best = np.full(len(expected), np.inf) if reached is None else reached
    while len(taken) < count:
        means = np.minimum(best[:, None], expected).mean(axis=0)
        at = int(means.argmin())
        if not means[at] < best.mean():
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


def _start_point(space: Space, study: str, unit: Unit, earlier: Config) -> StartPoint:
    """Return the configuration at a point of the unit cube, without fixed values.

    The numbers of ranges are those of the earlier trial, which the way through the cube rounds: a
    configuration that differs in the last digit from the defaults would be trained beside them.
    """
    config = space.point([0.0 if number is None else number for number in unit])
    ranges = {parameter.name for parameter in space.parameters if not parameter.values}
    exact = {name: earlier[name] for name in ranges & config.keys() & earlier.keys()}
    fixed = dict(space.fixed)
    searched = {name: v for name, v in {**config, **exact}.items() if name not in fixed}
    return StartPoint(study=study, config=searched)
