"""Searchers whose ranges earlier studies narrow, for a comparison (`learn_from.py --ranges`).

A box of the space is found by the earlier studies (`BOXES`):

- `hull`: the smallest box with the best configuration of each study (Perrone et al. 2019, *Learning
  search spaces for Bayesian optimization*);
- `trimmed`: the same without the lowest and the highest tenth of these for each hyperparameter, as
  with the slack of the same paper;
- `model`: the smallest box with the best fiftieth of 2,048 points of the space, by the mean of the
  models of all studies (`search_spaces/searchers/portfolio.py`).

Each end is extended by a fiftieth of the scale. Half of the searcher's own trials are in the box,
once its first three have ended, and only if one of the first three configurations of earlier
studies is better than all of these; else all are anywhere. Random and Sobol points in the box are
drawn from it; proposals of Parzen estimators are repeated up to eight times, then clipped to the
box; the candidates of a Gaussian process are in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from replay import METRIC

from search_spaces.objective import Objective, StudySpec
from search_spaces.searchers.base import StudySearcher
from search_spaces.searchers.earlier_points import FIRST, EarlierPoints
from search_spaces.searchers.encoding import Encoding
from search_spaces.searchers.gaussian_process import Posterior, fitted
from search_spaces.searchers.gp_search import GPSearch
from search_spaces.searchers.learning import LearningSearch, earlier_record
from search_spaces.searchers.optuna_search import OptunaSearch
from search_spaces.searchers.portfolio import normal_scores
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.searchers.sobol_search import SobolSearch
from search_spaces.searchers.tpe_search import TPESearch
from search_spaces.space import Space
from search_spaces.trial_events import Earlier, Event, Result, Suggested
from search_spaces.values import Value

OWN = 3
"""Number of the searcher's own trials that are compared before ranges are narrowed."""
SHARE = 0.5
"""Share of later trials in the box."""
DRAW = 77
"""Constant that separates this draw from all other draws of a seed and an index."""
TRIES = 8
"""Proposals of Parzen estimators until one is in the box."""
SLACK = 0.02
POINTS, BEST = 2_048, 0.02

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Box:
    """A part of a space: an interval in [0, 1] for each hyperparameter."""

    low: Floats
    high: Floats

    def drawn(self, numbers: Sequence[float]) -> list[float]:
        """Move uniform numbers into the box."""
        found: list[float] = (self.low + np.array(numbers) * (self.high - self.low)).tolist()
        return found

    def folded(self, numbers: Floats) -> Floats:
        """Keep numbers in the box, and move others into it so that uniform numbers are uniform in
        it."""
        width = self.high - self.low
        out = np.where(numbers < self.low, numbers, numbers - width) / np.maximum(1 - width, 1e-9)
        inside = (numbers >= self.low) & (numbers <= self.high)
        found: Floats = np.where(inside, numbers, self.low + np.clip(out, 0, 1 - 1e-9) * width)
        return found


@dataclass(frozen=True)
class Study:
    """Knowledge of an earlier study."""

    units: Floats
    """Points of its trials, [n, p]."""
    scores: Floats
    """Score of each trial, smaller is better, [n]."""
    expected: Floats
    """Prediction of its model at each of `_points`."""

    @property
    def best(self) -> Floats:
        """Point of its best trial, [p]."""
        found: Floats = self.units[self.scores.argmin()]
        return found


def known(space: Space, trials: Sequence[Earlier]) -> Study:
    """Read an earlier study, all of whose trials are in the space."""
    records = [record for trial in trials if (record := earlier_record(space, trial)) is not None]
    scores = normal_scores(records, Objective(METRIC, "max"))
    encoding = Encoding(space)
    units = np.array([record.unit for record in records], dtype=float)
    rows = encoding.rows(units)
    model = Posterior(fitted(rows, scores), rows, scores)
    return Study(units, scores, model.mean(encoding.rows(_points(space))))


@cache
def _points(space: Space) -> Floats:
    from scipy.stats import qmc

    sequence = qmc.Sobol(len(space.parameters), rng=np.random.default_rng(1))
    return Encoding(space).placed(sequence.random(POINTS))


def hull(space: Space, studies: Sequence[Study], trim: float) -> Box:
    """Return the box around the best trials, without a share of them at each end."""
    return _around(space, np.array([study.best for study in studies]), trim)


def model(space: Space, studies: Sequence[Study]) -> Box:
    """Return the box around the points that the models expect to be best."""
    order = np.argsort(np.mean([study.expected for study in studies], axis=0), kind="stable")
    return _around(space, _points(space)[order[: round(BEST * POINTS)]], 0.0)


def _around(space: Space, units: Floats, trim: float) -> Box:
    low, high = np.quantile(units, [trim, 1 - trim], axis=0)
    half = np.array([0.5 / len(p.values) if p.values else 0.0 for p in space.parameters])
    free = np.array([p.categorical for p in space.parameters])
    return Box(
        np.where(free, 0.0, np.clip(low - half - SLACK, 0, 1)),
        np.where(free, 1.0, np.clip(high + half + SLACK, 0, 1 - 1e-9)),
    )


BOXES: Mapping[str, Callable[[Space, Sequence[Study]], Box]] = {
    "hull": lambda space, studies: hull(space, studies, 0.0),
    "trimmed": lambda space, studies: hull(space, studies, 0.1),
    "model": model,
}
"""Methods by name."""


@dataclass
class Guard:
    """Decides which trials are in the box."""

    box: Box
    seed: int
    best: dict[int, float] = field(default_factory=dict)
    """Best value of each trial, larger is better, by trial."""
    own: list[int] = field(default_factory=list)
    """The searcher's first trials."""

    def on_event(self, event: Event, earlier: EarlierPoints) -> None:
        """Take in an event of the study, before the searcher does."""
        if isinstance(event, Suggested) and len(self.own) < OWN and earlier.points:
            if earlier.at(event.trial) is None:
                self.own.append(event.trial)
        elif isinstance(event, Result):
            value = event.metrics[METRIC]
            assert value is not None, "a surrogate has a value"
            self.best[event.trial] = max(value, self.best.get(event.trial, value))

    def at(self, index: int, earlier: EarlierPoints) -> Box | None:
        """Return the box of trial `index`, one of the searcher's own; None for anywhere."""
        if not earlier.trusted or len(self.own) < OWN:
            return None
        if any(trial not in self.best for trial in self.own):
            return None
        if max(self.best[t] for t in self.own) >= max(self.best[t] for t in range(FIRST)):
            return None
        inside = np.random.default_rng([DRAW, self.seed, index]).random() < SHARE
        return self.box if inside else None


@dataclass(frozen=True)
class BoxSpace(Space):
    """A space whose points are in a box."""

    box: Box = field(kw_only=True, compare=False)

    def point(self, u: Sequence[float]) -> dict[str, Value]:
        """Return the configuration at a point of the box."""
        return super().point(self.box.drawn(u))


def _part(space: Space, box: Box) -> BoxSpace:
    return BoxSpace(space.name, space.parameters, space.fixed, box=box)


class NarrowedRandom(RandomSearch):
    """Random search in narrowed ranges."""

    def __init__(self, space: Space, *, seed: int, box: Box, around_defaults: bool = False) -> None:
        super().__init__(space, seed=seed, around_defaults=around_defaults)
        self._guard = Guard(box, seed)
        self._inside = RandomSearch(_part(space, box), seed=seed, around_defaults=around_defaults)

    def check(self, spec: StudySpec) -> None:
        """Take in the study."""
        super().check(spec)
        self._inside.check(spec)

    def on_event(self, event: Event, replay: bool) -> None:
        """Take in an event of the study."""
        self._guard.on_event(event, self.earlier_points)
        super().on_event(event, replay)
        self._inside.on_event(event, replay)

    def suggest(self, index: int) -> dict[str, Value]:
        """Suggest a point in the box or anywhere."""
        if self._guard.at(index, self.earlier_points) is None:
            return super().suggest(index)
        return self._inside.suggest(index)


class Narrowed(LearningSearch):
    """A searcher that learns, in narrowed ranges."""

    def __init__(self, space: Space, *, seed: int, box: Box) -> None:
        super().__init__(space, seed=seed)  # type: ignore[call-arg]
        self._guard = Guard(box, seed)
        self._first_inside = SobolSearch(_part(space, box), seed=seed)
        self._now: Box | None = None

    def on_event(self, event: Event, replay: bool) -> None:
        """Take in an event of the study."""
        self._guard.on_event(event, self.earlier_points)
        super().on_event(event, replay)

    def suggest(self, index: int) -> dict[str, Value]:
        """Suggest a point in the box or anywhere."""
        self._now = self._guard.at(index, self.earlier_points)
        ended = sum(record.state != "running" for record in self.trials.values())
        if self._now is not None and ended < self.startup:
            return self._first_inside.suggest(index)
        return super().suggest(index)

    def proposal(self, rng: np.random.Generator) -> Sequence[float]:
        """Suggest a point in the box or anywhere."""
        numbers = super().proposal(rng)  # type: ignore[safe-super]
        if self._now is None:
            return numbers
        low, high = self._now.low, self._now.high
        for _ in range(TRIES - 1):
            if ((low <= numbers) & (numbers <= high)).all():
                break
            numbers = super().proposal(rng)  # type: ignore[safe-super]
        clipped: list[float] = np.clip(numbers, low, high).tolist()
        return clipped


class NarrowedTPE(Narrowed, TPESearch):
    """HyperOpt's TPE in narrowed ranges."""


class NarrowedOptuna(Narrowed, OptunaSearch):
    """Optuna's TPE in narrowed ranges."""


class _InBox(Encoding):
    def __init__(self, space: Space, box: Box) -> None:
        super().__init__(space)
        self._box = box

    def placed(self, numbers: Floats) -> Floats:
        return super().placed(self._box.folded(numbers))


class NarrowedGP(Narrowed, GPSearch):
    """A Gaussian process in narrowed ranges."""

    def __init__(self, space: Space, *, seed: int, box: Box) -> None:
        super().__init__(space, seed=seed, box=box)
        self._anywhere, self._in_box = self._encoding, _InBox(space, box)

    def proposal(self, rng: np.random.Generator) -> Sequence[float]:
        """Propose one of the candidates, in the box or anywhere."""
        self._encoding = self._anywhere if self._now is None else self._in_box
        return GPSearch.proposal(self, rng)


NARROWED: Mapping[str, Callable[..., StudySearcher]] = {
    "random": NarrowedRandom,
    "prior": NarrowedRandom,
    "tpe": NarrowedTPE,
    "optuna": NarrowedOptuna,
    "gp": NarrowedGP,
}
"""Searchers by their names in `strategies.py`."""


def narrowed(name: str, space: Space, seed: int, box: Box) -> StudySearcher:
    """Return the searcher of that name in `NARROWED`."""
    rest: dict[str, Any] = {"around_defaults": True} if name == "prior" else {}
    return NARROWED[name](space, seed=seed, box=box, **rest)
