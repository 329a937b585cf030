"""The best trial beside simple predictors, on the validation set and on the test set."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tune_cluster.storage.inside import read_regular
from tune_cluster.storage.integrity import check, parse
from tune_cluster.study.baselines import Baselines
from tune_cluster.study.stored import StoredStudy
from tune_cluster.study.study_file import BEST, BEST_FILE


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Scores of the best trial, or of a predictor."""

    name: str
    values: tuple[float | None, ...]
    """A score for each metric of the table; None if it is not known."""
    note: str = ""
    """Why it has no scores."""


@dataclass(frozen=True, kw_only=True)
class ScoresTable:
    """The best trial and the predictors on one part of the data."""

    part: str
    """"validation" or "test"."""
    metrics: tuple[str, ...]
    """Metrics of the columns, the study's own first."""
    rows: tuple[Scores, ...]
    """The best trial, then the predictors."""


def beside_predictors(
    directory: Path, study: StoredStudy, known: Mapping[str, Baselines]
) -> list[ScoresTable]:
    """Return a table for each part of the data on which there is something to compare, or the best
    trial was tested.

    Args:
        directory: directory of the study.
        study: the study.
        known: scores of the predictors, by part of the data.
    """
    best, metric = study.state.best, study.state.objective.metric
    if best is None:
        return []
    name = f"trial {best.trial.index}, epoch {best.epoch:g}"
    own = {n: v for n, v in best.trial.results[best.epoch].items() if v is not None}
    tested = _tested(directory, best.trial.index, best.epoch)
    tables = []
    if known.get("validation"):
        tables.append(_table("validation", name, own, known["validation"], metric))
    if tested:
        first = metric.replace("val_", "test_", 1)
        tables.append(_table("test", name, tested, known.get("test", {}), first))
    return [table for table in tables if table.metrics]


def _table(
    part: str, name: str, own: Mapping[str, float], known: Baselines, first: str
) -> ScoresTable:
    scores = {one: {} if isinstance(found, str) else found for one, found in known.items()}
    shared = {metric for found in scores.values() for metric in found}
    # Without a predictor to compare with, all that was tested.
    metrics = [metric for metric in own if metric in shared] if known else [*own]
    metrics.sort(key=lambda metric: metric != first)
    rows = [Scores(name=name, values=tuple(own.get(metric) for metric in metrics))]
    for one, found in known.items():
        values = tuple(scores[one].get(metric) for metric in metrics)
        rows.append(Scores(name=one, values=values, note=found if isinstance(found, str) else ""))
    return ScoresTable(part=part, metrics=tuple(metrics), rows=tuple(rows))


def _tested(directory: Path, trial: int, epoch: float) -> dict[str, float]:
    """Return the scores on the test set that `best.json` has of this epoch of this trial."""
    with suppress(OSError, ValueError):
        content: Any = parse(read_regular(directory / BEST / BEST_FILE))
        if isinstance(content, dict) and (content.get("trial"), content.get("epoch")) == (
            trial,
            epoch,
        ):
            found: dict[str, float] = content.get("test", {})
            check(dict[str, float], found)
            return found
    return {}
