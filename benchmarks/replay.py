"""Recorded learning curves, and studies replayed on them in simulated time."""

import csv
import heapq
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from ray.tune.schedulers import TrialScheduler
from record_curves import EPOCHS, RECORDED, SPACE

from search_spaces.objective import Objective, StudySpec
from search_spaces.schedulers.base import StudyScheduler
from search_spaces.searchers.base import StudySearcher
from search_spaces.searchers.sobol_search import SobolSearch
from search_spaces.trial_events import Ended, Event, Result, Suggested

METRIC = "val_accuracy"


@dataclass(frozen=True)
class Curve:
    """One recorded trial."""

    values: list[float]
    """Validation accuracy by epoch; a last NaN where it diverged."""
    seconds: list[float]
    """Of each epoch."""


class Curves:
    """The recorded table.

    A configuration that is not in it takes its nearest recorded neighbour (Euclidean distance in
    the unit cube of the space) that the study has not had: two configurations of a real study never
    have the same curve. If they may, a model that has found a good place proposes it again and
    again, all these equals go on from every rung together, and nothing else passes one any more:
    Optuna with ASHA then takes five times ASHA's epochs instead of fewer.
    """

    def __init__(self, folder: Path = RECORDED) -> None:
        rows: dict[int, list[dict[str, str]]] = {}
        for path in sorted(folder.glob("shard_*.csv")):
            with path.open() as file:
                for row in csv.DictReader(file):
                    rows.setdefault(int(row["config"]), []).append(row)
        points = SobolSearch(SPACE, seed=0)
        indices = sorted(rows)
        self.units = np.array([SPACE.unit(points.point(index)) for index in indices], dtype=float)
        self.curves = [
            Curve(
                [float(row[METRIC]) for row in rows[index]],
                [float(row["epoch_seconds"]) for row in rows[index]],
            )
            for index in indices
        ]
        self.best = max(v for curve in self.curves for v in curve.values if not math.isnan(v))

    def nearest(self, config: Mapping[str, Any], had: set[int]) -> Curve:
        """The curve of the nearest recorded configuration that is not in `had`, where it is put;
        when a study has had all of them, it begins anew."""
        if len(had) == len(self.curves):
            had.clear()
        distances = ((self.units - np.array(SPACE.unit(config), dtype=float)) ** 2).sum(axis=1)
        distances[list(had)] = math.inf
        found = int(distances.argmin())
        had.add(found)
        return self.curves[found]


@dataclass
class Replay:
    """What a replayed study came to."""

    best: list[tuple[int, float, float]] = field(default_factory=list)
    """At each improvement: epochs of all trials so far, simulated seconds, the value."""
    epochs: int = 0
    """Of all trials."""
    seconds: float = 0.0
    """Until the last trial ended."""

    def best_after(self, epochs: int) -> float:
        """The best value after so many epochs of all trials together."""
        return max((value for at, _, value in self.best if at <= epochs), default=0.0)

    def cost(self, target: float) -> tuple[float, float] | None:
        """Epochs and seconds until a trial reached `target`; None if none has."""
        return next(((e, s) for e, s, value in self.best if value >= target), None)


def replay(
    curves: Curves,
    searcher: StudySearcher,
    scheduler: StudyScheduler,
    *,
    workers: int,
    epochs: int,
    target: float = math.inf,
) -> Replay:
    """Runs a study on recorded curves: `workers` at once, for `epochs` or until `target`.

    It calls searcher and scheduler as Tune and our launcher do.
    """
    StudySpec(
        objective=Objective(METRIC, "max"),
        trials=epochs,
        searcher=searcher,
        scheduler=scheduler,
        continues=True,
    ).check()
    found = Replay()
    best = -math.inf
    had: set[int] = set()
    trials: list[Curve] = []
    running: list[tuple[float, int, int]] = []

    def tell(*events: Event) -> None:
        for event in events:
            scheduler.on_event(event, replay=False)
            searcher.on_event(event, replay=False)

    def go_on(now: float, index: int, epoch: int) -> None:
        heapq.heappush(running, (now + trials[index].seconds[epoch], index, epoch + 1))

    def start(now: float) -> None:
        promoted = scheduler.next_promotion()
        if promoted is not None:
            tell(promoted)
            go_on(now, promoted.trial, int(promoted.rung))
            return
        config = searcher.point(len(trials))
        assert config is not None
        tell(Suggested(trial=len(trials), config=config))
        trials.append(curves.nearest(config, had))
        go_on(now, len(trials) - 1, 0)

    for _ in range(workers):
        start(0.0)
    while found.epochs < epochs:
        now, index, epoch = heapq.heappop(running)
        found.epochs, found.seconds = found.epochs + 1, now
        value = trials[index].values[epoch - 1]
        if math.isnan(value):
            tell(Ended(trial=index, epoch=epoch, status="diverged"))
            start(now)
            continue
        if value > best:
            best = value
            found.best.append((found.epochs, now, value))
            if value >= target:
                break
        result = Result(trial=index, epoch=epoch, metrics={METRIC: value})
        if epoch == EPOCHS:
            # Tune asks no scheduler about the result that a trial ends with by itself.
            tell(result, Ended(trial=index, epoch=epoch, status="finished"))
            start(now)
            continue
        trial: Any = SimpleNamespace(custom_dirname=str(index))
        answer = scheduler.on_trial_result(None, trial, {"epoch": epoch, METRIC: value})
        tell(result, *scheduler.take_events())
        if answer == TrialScheduler.STOP:
            start(now)
        else:
            go_on(now, index, epoch)
    return found
