"""A study as two tables of pandas: a trial a row, and an epoch a row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_spaces import needs_extra
from search_spaces.trial_events import Epoch, Result
from search_spaces.values import as_json
from tune_cluster.reports.trial_table import FIELDS, rows_of
from tune_cluster.storage.inside import write_file
from tune_cluster.study.stored import StoredStudy

if TYPE_CHECKING:
    import pandas as pd


def trials_frame(study: StoredStudy) -> pd.DataFrame:
    """Return a row for each trial at its best epoch: `trial`, `status`, `rung`, `epochs_run`,
    `best_epoch`, `value` (of the study's metric), `seconds`, `reason`, its hyperparameters, and the
    metrics of its best epoch, where a name is not a hyperparameter too."""
    with needs_extra("report"):
        import pandas as pd
    found = []
    for row in rows_of(study):
        content = row.to_json()
        config, metrics = content.pop("config"), content.pop("metrics")
        found.append(
            {**metrics, **{name: _flat(value) for name, value in config.items()}, **content}
        )
    frame = pd.DataFrame(found, columns=None if found else list(FIELDS))
    return frame[[*FIELDS, *(name for name in frame.columns if name not in FIELDS)]]


def results_frame(study: StoredStudy) -> pd.DataFrame:
    """Return a row for each epoch of each trial that is not lost: `trial`, `epoch`, `time` (seconds
    since 1970), `node`, and its metrics."""
    with needs_extra("report"):
        import pandas as pd
    events: dict[tuple[int, Epoch], Result] = {
        (event.trial, event.epoch): event for event in study.events if isinstance(event, Result)
    }
    found: list[dict[str, Any]] = []
    for trial in study.state.trials.values():
        for epoch, metrics in trial.results.items():
            event = events[trial.index, epoch]
            about = {"trial": trial.index, "time": event.time, "node": event.node or ""}
            found.append({**metrics, **about, "epoch": epoch})
    first = ("trial", "epoch", "time", "node")
    frame = pd.DataFrame(found, columns=None if found else list(first))
    return frame[[*first, *(name for name in frame.columns if name not in first)]]


def write_parquet(frame: pd.DataFrame, path: Path) -> None:
    """Write a table as Parquet; a column of several types, or with whole numbers that have no
    place in 64 bits, becomes text."""
    plain = frame.copy()
    for name in plain.columns:
        values = plain[name].dropna()
        kinds = {type(value) for value in values}
        several = len(kinds - {int, float}) > 1 or (kinds - {int, float} and kinds & {int, float})
        if several or (int in kinds and any(abs(value) >= 2**63 for value in values)):
            plain[name] = plain[name].map(lambda value: None if value is None else str(value))
    write_file(path.parent, path, plain.to_parquet(index=False))


def _flat(value: Any) -> Any:
    """Return a value that fits into a cell: a list as its JSON."""
    return json.dumps(as_json(value)) if isinstance(value, (tuple, list, dict)) else value
