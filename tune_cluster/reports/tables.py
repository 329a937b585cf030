"""Table of a study's trials, `trials.csv`."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from search_spaces.values import as_json
from tune_cluster.storage.retry import StorageRetry
from tune_cluster.study.state import StudyState
from tune_cluster.study.study_file import write_text

COLUMNS = ("trial", "status", "epochs_run", "best_epoch", "log")
"""Columns of `trials.csv` beside hyperparameters and metrics; the log comes last."""


def write_table(path: Path, state: StudyState, retry: StorageRetry | None = None) -> None:
    """Write one line per trial: status, epochs, configuration, metrics of its best epoch and, if it
    failed, the last lines of its output."""
    trials = list(state.trials.values())
    config_names = sorted({name for trial in trials for name in trial.config})
    reported = {name for trial in trials for result in trial.results.values() for name in result}
    # A name that is both configured and reported, such as learning_rate, is one column: two columns
    # of one name could not be told apart.
    metric_names = sorted(reported - {"epoch", *config_names})
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow([*COLUMNS[:-1], *config_names, *metric_names, COLUMNS[-1]])
    for trial in trials:
        best = trial.best
        metrics = trial.results[best.epoch] if best else {}
        tried = trial.config_at(best.epoch if best else 1)
        config = [_cell(tried[name]) if name in tried else None for name in config_names]
        values = [metrics.get(name) for name in metric_names]
        epochs = [trial.epochs, best.epoch if best else None]
        writer.writerow([trial.index, trial.status, *epochs, *config, *values, trial.log])
    write_text(path, table.getvalue(), retry)


def _cell(value: Any) -> Any:
    """Return a value as a resumed study has it, with lists for tuples; an empty cell for None."""
    return "None" if value is None else as_json(value)
