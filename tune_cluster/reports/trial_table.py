"""The trials of a study as a table: sorted, filtered, for a person or a program."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from search_spaces.trial_events import Epoch
from search_spaces.values import as_json
from tune_cluster.study.stored import StoredStudy

COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}

_CONDITION = re.compile(r"(?P<name>[^<>=!]+)(?P<sign><=|>=|!=|<|>|=)(?P<value>.+)", re.DOTALL)


FIELDS = ("trial", "status", "rung", "epochs_run", "best_epoch", "value", "seconds", "reason")
"""Columns of a row beside its configuration and its metrics."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A trial at its best epoch."""

    trial: int
    status: str
    rung: Epoch | None
    """Rung that stopped it."""
    epochs_run: float
    """Last epoch; a hyperparameter has the name `epochs`."""
    best_epoch: Epoch | None
    value: float | None
    """Value of the study's metric at the best epoch."""
    config: dict[str, Any]
    """Configuration that the best epoch was trained with."""
    metrics: dict[str, Any]
    """All metrics of the best epoch."""
    seconds: float
    """Seconds of work, to the millisecond."""
    reason: str

    def cell(self, name: str) -> Any:
        """Return a value by the name of its column; None if the trial has none."""
        if name in self.config:
            return self.config[name]
        return getattr(self, name) if name in FIELDS else self.metrics.get(name)

    def to_json(self) -> dict[str, Any]:
        """Return the row as plain JSON."""
        own = {name: getattr(self, name) for name in FIELDS}
        return {**own, "config": as_json(self.config), "metrics": self.metrics}


def rows_of(study: StoredStudy) -> list[Row]:
    """Return the trials of a study, by index."""
    return [
        Row(
            trial=trial.index,
            status=trial.status,
            rung=trial.rung,
            epochs_run=trial.epochs,
            best_epoch=trial.best.epoch if trial.best else None,
            value=trial.best.value if trial.best else None,
            config=trial.config_at(trial.best.epoch if trial.best else 1),
            metrics=trial.results[trial.best.epoch] if trial.best else {},
            seconds=round(trial.seconds, 3),
            reason=trial.reason,
        )
        for trial in study.state.trials.values()
    ]


def searched(study: StoredStudy) -> list[str]:
    """Return the names of the searched hyperparameters, in the order of the space; of a population
    of Ray's also those that begin with one value, and are changed."""
    names = [one["name"] for one in study.about["space"]["parameters"]]
    changed = study.about["strategy"].get("perturbed")
    also = [name for name in changed if isinstance(name, str)] if isinstance(changed, list) else []
    return list(dict.fromkeys([*names, *also]))


def filtered(rows: Sequence[Row], conditions: Sequence[str]) -> list[Row]:
    """Return the rows that meet all conditions, such as `learning_rate<0.01` or `status=stopped`.

    Raises:
        ValueError: a condition has another form, or no row has a column of that name.
    """
    found = list(rows)
    for condition in conditions:
        parts = _CONDITION.fullmatch(condition)
        if parts is None:
            raise ValueError(
                f"--where {condition}: give NAME, one of {' '.join(COMPARISONS)}, and a value, "
                "such as learning_rate<0.01"
            )
        name, compare = parts["name"].strip(), COMPARISONS[parts["sign"]]
        check_column(rows, name, "--where")
        wanted = parts["value"].strip()
        found = [row for row in found if _meets(row.cell(name), compare, wanted)]
    return found


def ordered(rows: Sequence[Row], name: str, *, descending: bool = False) -> list[Row]:
    """Return the rows by a column, those without a value last.

    Raises:
        ValueError: no row has a column of that name.
    """
    check_column(rows, name, "--sort")
    there = [row for row in rows if row.cell(name) is not None]
    rest = [row for row in rows if row.cell(name) is None]
    return sorted(there, key=lambda row: _key(row.cell(name)), reverse=descending) + rest


def check_column(rows: Sequence[Row], name: str, flag: str) -> None:
    """Raise a ValueError unless some row has a value of that name."""
    known = dict.fromkeys(column for row in rows for column in _columns(row))
    if rows and name not in known:
        raise ValueError(f"{flag}: no trial has {name}; give one of {', '.join(known)}")


def _columns(row: Row) -> list[str]:
    return [*FIELDS, *row.config, *row.metrics]


def _meets(cell: Any, compare: Callable[[Any, Any], bool], wanted: str) -> bool:
    if cell is None:
        return False
    if isinstance(cell, (int, float)) and not isinstance(cell, bool):
        try:
            return compare(cell, float(wanted))
        except ValueError:
            return False
    return compare(str(cell), wanted)


def _key(cell: Any) -> tuple[int, Any]:
    """Return a key that orders numbers before texts, and NaN after both."""
    if isinstance(cell, (int, float)):
        return (2, 0.0) if math.isnan(cell) else (0, cell)
    return (1, str(cell))
