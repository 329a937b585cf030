"""Columns of TensorBoard's HPARAMS: hyperparameters of a study and outcomes of its trials.

TensorBoard keeps the first metadata of a tag in a run. So metadata holds what never changes: the
study's columns (`_hparams_/experiment`), a trial's configuration (`_hparams_/session_start_info`)
and, once it is final, whether it succeeded (`_hparams_/session_end_info`). Everything else is a
scalar, of which HPARAMS shows the last value: a status is a number, and NaN an empty cell.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

from google.protobuf.json_format import ParseDict
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

from search_spaces.hyperparameter import Hyperparameter
from search_spaces.space import Space
from tune_cluster.plain_text import one_line
from tune_cluster.study.state import Status, TrialState

EXPERIMENT = metadata.EXPERIMENT_TAG
SESSION_START = metadata.SESSION_START_INFO_TAG
SESSION_END = metadata.SESSION_END_INFO_TAG

STATUS_NUMBERS: dict[Status, int] = {
    "pending": 0,
    "running": 1,
    "finished": 2,
    "stopped": 3,
    "diverged": 4,
    "failed": 5,
}

LEGEND = "status: " + ", ".join(f"{n} {status}" for status, n in STATUS_NUMBERS.items())
"""Heading of the column of statuses."""

BEST, LAST = "best/", "last/"
COUNTS = ("best_epoch", "epochs", "status", "stopped_rung", "seconds")

NO_VALUE = math.nan

Cell: TypeAlias = tuple[int, float | None]
"""Step of a value, and the value; None for an empty cell."""


@dataclass(frozen=True)
class Columns:
    """Columns of HPARAMS for a study, with one line per trial.

    A hyperparameter that a configuration lacks, or has as None, is an empty cell. A column has one
    type, without which TensorBoard cannot sort it: numbers, booleans, or text if it has other or
    mixed values.

    Args:
        space: space of the study.
        metric: metric that the study optimises.
        promotes: whether a stopped trial can be promoted later.
        perturbed: hyperparameters that change during a trial. Their column has the first value,
            `best/<name>` that of the best epoch.
    """

    space: Space
    metric: str
    promotes: bool = False
    perturbed: Sequence[str] = ()

    def experiment(self) -> Summary.Value:
        """Return the columns, with their domains."""
        # TensorBoard shows the first five until others are selected.
        tags = [BEST + self.metric, *COUNTS, LAST + self.metric]
        tags += [BEST + name for name in self.perturbed]
        metrics = [
            api_pb2.MetricInfo(
                name=api_pb2.MetricName(tag=tag),
                display_name=LEGEND if tag == "status" else tag,
            )
            for tag in tags
        ]
        columns = api_pb2.Experiment(hparam_infos=self._hparams, metric_infos=metrics)
        return summary_of(EXPERIMENT, experiment=columns)

    def start(self, trial: TrialState) -> Summary.Value:
        """Return a trial's configuration, as it was suggested."""
        info = plugin_data_pb2.SessionStartInfo()
        for name, value in trial.config.items():
            if value is not None:
                kind = self._types.get(name) or type_of([value])
                ParseDict(typed(value, kind), info.hparams[name])
        return summary_of(SESSION_START, session_start_info=info)

    def cells(self, trial: TrialState) -> dict[str, Cell]:
        """Return the outcome of a trial so far, by tag."""
        best_epoch, best_value = trial.best or (0, None)
        values = ((e, m.get(self.metric)) for e, m in reversed(trial.results.items()))
        last_epoch, last_value = next((cell for cell in values if cell[1] is not None), (0, None))
        best, now = trial.step(best_epoch), trial.step(trial.epochs)
        cells: dict[str, Cell] = {
            BEST + self.metric: (best, best_value),
            LAST + self.metric: (trial.step(last_epoch), last_value),
            "best_epoch": (best, best_epoch or None),
            "epochs": (now, trial.epochs),
            "status": (now, STATUS_NUMBERS[trial.status]),
            "stopped_rung": (now, trial.rung),
            "seconds": (now, trial.seconds),
        }
        if self.perturbed:
            config = trial.config_at(best_epoch or 1)
            cells.update({BEST + name: (best, number(config.get(name))) for name in self.perturbed})
        return cells

    def end(self, trial: TrialState) -> Summary.Value | None:
        """Return whether a trial has succeeded; None while that may change."""
        if not trial.ended or (trial.status == "stopped" and self.promotes):
            return None
        failed = trial.status in ("diverged", "failed")
        status = api_pb2.STATUS_FAILURE if failed else api_pb2.STATUS_SUCCESS
        info = plugin_data_pb2.SessionEndInfo(status=status)
        return summary_of(SESSION_END, session_end_info=info)

    @cached_property
    def _hparams(self) -> list[api_pb2.HParamInfo]:
        infos = [
            domain_of(name, [p for p in self.space.parameters if p.name == name])
            for name in dict.fromkeys(p.name for p in self.space.parameters)
        ]
        for info in infos:
            if info.name in self.perturbed:
                info.display_name = f"{info.name} (first)"
        fixed = [(name, value) for name, value in self.space.fixed if value is not None]
        return infos + [column(name, [value], differs=False) for name, value in fixed]

    @cached_property
    def _types(self) -> dict[str, int]:
        return {info.name: info.type for info in self._hparams}


def is_column(tag: str) -> bool:
    """Return whether a tag is one of `Columns.cells` rather than a metric."""
    return tag in COUNTS or tag.startswith((BEST, LAST))


def domain_of(name: str, branches: Sequence[Hyperparameter]) -> api_pb2.HParamInfo:
    """Return the column of all hyperparameters of one name, each with its own range or list."""
    listed = [value for p in branches for value in p.values if value is not None]
    ends = [end for p in branches for end in (p.low, p.high) if end is not None]
    if not ends:
        return column(name, listed, differs=len(listed) > 1)
    info = api_pb2.HParamInfo(name=name, type=type_of([*ends, *listed]), differs=True)
    if info.type == api_pb2.DATA_TYPE_FLOAT64:
        info.domain_interval.min_value = min([*ends, *listed])
        info.domain_interval.max_value = max([*ends, *listed])
    return info


def column(name: str, values: Sequence[Any], *, differs: bool) -> api_pb2.HParamInfo:
    """Return the column of a hyperparameter that has one of `values`."""
    info = api_pb2.HParamInfo(name=name, type=type_of(values), differs=differs)
    info.domain_discrete.extend(dict.fromkeys(typed(value, info.type) for value in values))
    return info


def type_of(values: Sequence[Any]) -> int:
    """Return the type of a column with these values."""
    if values and all(isinstance(value, bool) for value in values):
        return int(api_pb2.DATA_TYPE_BOOL)
    if values and all(number(value) is not None for value in values):
        return int(api_pb2.DATA_TYPE_FLOAT64)
    return int(api_pb2.DATA_TYPE_STRING)


def typed(value: Any, kind: int) -> bool | float | str:
    """Return a value in the form of a column of that type; a list as text as in the journal."""
    if kind == api_pb2.DATA_TYPE_BOOL:
        return bool(value)
    if kind == api_pb2.DATA_TYPE_FLOAT64 and (as_number := number(value)) is not None:
        return as_number
    return json.dumps(value) if isinstance(value, (list, tuple)) else one_line(value)


def number(value: Any) -> float | None:
    """Return a value for a cell of numbers; None for infinite ones, which JSON lacks."""
    whether = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if whether and math.isfinite(value) else None


def summary_of(tag: str, **content: Any) -> Summary.Value:
    """Return a summary of a tag that consists of the plugin's metadata."""
    shown = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(**content))
    return Summary.Value(tag=tag, metadata=shown, tensor=metadata.NULL_TENSOR)
