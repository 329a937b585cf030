"""A plain Ray Tune experiment, which this project did not make, as a study for a report.

Its JSON and CSV files are read, and nothing is unpickled: `params.json` has the configuration of a
trial, `result.json` or `progress.csv` its reports. The space is not in them: the range of a
hyperparameter is what was tried.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from search_spaces.objective import Mode, Objective
from search_spaces.space import flattened
from search_spaces.trial_events import Ended, Event, Result, Suggested
from tune_cluster.study.events import Started
from tune_cluster.study.state import StudyState
from tune_cluster.study.stored import StoredStudy

PARAMS, RESULTS, PROGRESS = "params.json", "result.json", "progress.csv"

EPOCH, TIME, NODE = "training_iteration", "timestamp", "node_ip"
"""Names of Ray's own fields of a report."""

RAYS = {
    *(
        "checkpoint_dir_name",
        "config",
        "date",
        "done",
        "experiment_tag",
        "hostname",
        "iterations_since_restore",
    ),
    *("pid", "should_checkpoint", "time_since_restore", "time_this_iter_s", "time_total_s"),
    *("trial_id", EPOCH, TIME, NODE),
}
"""Fields that Ray adds to a report, which are no metrics."""

WIDE = 100.0
"""Ratio of the largest to the smallest value from which a range is taken as logarithmic."""


def is_ray_experiment(directory: Path) -> bool:
    """Return whether a folder has trials of Ray Tune."""
    return any(directory.glob(f"*/{PARAMS}"))


def read_ray_experiment(directory: Path, metric: str | None, mode: Mode | None) -> StoredStudy:
    """Read an experiment.

    Args:
        directory: its folder, with a folder for each trial.
        metric: metric to compare by, which the files do not name.
        mode: whether a larger (`max`) or a smaller (`min`) value is better.

    Raises:
        ValueError: metric or mode is missing, no trial has reported the metric, or no trial is
            readable.
    """
    trials = [found for path in sorted(directory.glob(f"*/{PARAMS}")) if (found := _trial(path))]
    if not trials:
        raise ValueError(f"{directory}: no trial of Ray Tune can be read there")
    names = dict.fromkeys(
        name for _, reports in trials for report in reports for name in _metrics(report)
    )
    if metric is None or mode is None or metric not in names:
        known = ", ".join(names) or "none"
        given = "" if metric is None else f", got {metric}"
        raise ValueError(
            f"{directory} is an experiment of Ray Tune, whose files do not say what is best: give "
            f"--metric, one of {known}{given}, and --mode max or min"
        )
    objective = Objective(metric, mode)
    events = list(_events(trials, metric))
    configs = [config for config, _ in trials]
    about = {
        "job": "",
        "metric": metric,
        "mode": mode,
        "command": [],
        "flags": {"trials": len(trials)},
        "space": {"name": "tried", "parameters": _space(configs), "fixed": {}},
        "strategy": {"searcher": "of Ray Tune"},
        "dataset": {"name": "", "source": "", "notice": "", "fingerprint": ""},
    }
    return StoredStudy(about, events, StudyState(objective, events))


def _trial(params: Path) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
    """Return configuration and reports of a trial; None if they cannot be read."""
    try:
        config = json.loads(params.read_text())
    except (OSError, ValueError):
        return None
    if not isinstance(config, dict):
        return None
    return flattened(config), list(_reports(params.parent))


def _reports(folder: Path) -> Iterator[dict[str, Any]]:
    try:
        lines = (folder / RESULTS).read_text().splitlines()
    except (OSError, ValueError):
        lines = []
    for line in lines:
        try:
            report = json.loads(line)
        except ValueError:
            # The last line of a killed trial.
            continue
        if isinstance(report, dict):
            yield report
    if lines:
        return
    try:
        with (folder / PROGRESS).open(newline="") as file:
            for row in csv.DictReader(file):
                yield {name: _number(text) for name, text in row.items() if name}
    except (OSError, ValueError, csv.Error):
        return


def _number(text: str | None) -> Any:
    try:
        number = float(text or "")
    except ValueError:
        return text
    return int(number) if number.is_integer() else number


def _metrics(report: Mapping[str, Any]) -> dict[str, float | bool | None]:
    return {
        name: value if math.isfinite(value) else None
        for name, value in report.items()
        if isinstance(value, (int, float)) and name not in RAYS and not name.startswith("config/")
    }


def _events(trials: list[tuple[dict[str, Any], list[dict[str, Any]]]], metric: str) -> list[Event]:
    found: list[Event] = []
    for index, (config, reports) in enumerate(trials):
        times = [float(report[TIME]) for report in reports if TIME in report]
        began = min(times, default=None)
        found.append(Suggested(trial=index, config=config, time=began))
        if not reports:
            continue
        took = reports[0].get("time_total_s", 0.0)
        started = None if began is None else began - float(took or 0.0)
        found.append(Started(trial=index, time=started))
        last = 0
        for report in reports:
            epoch = report.get(EPOCH)
            # A restored trial repeats epochs: the first report of each counts.
            if not isinstance(epoch, int) or epoch <= last:
                continue
            metrics = _metrics(report)
            if metric in metrics:
                last = epoch
                found.append(
                    Result(
                        trial=index,
                        epoch=epoch,
                        node=str(report.get(NODE, "")) or None,
                        metrics={**metrics, "epoch": epoch},
                        time=report.get(TIME),
                    )
                )
        if last:
            found.append(
                Ended(trial=index, epoch=last, status="finished", time=max(times, default=None))
            )
    # Suggestions first: a study knows its trials in order.
    suggested = [event for event in found if isinstance(event, Suggested)]
    rest = [event for event in found if not isinstance(event, Suggested)]
    return [*suggested, *sorted(rest, key=lambda event: event.time or 0.0)]


def _space(configs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the hyperparameters that have had several values, with what was tried."""
    found: list[dict[str, Any]] = []
    for name in dict.fromkeys(name for config in configs for name in config):
        values = [config[name] for config in configs if name in config]
        keys = {json.dumps(value): value for value in values}
        if len(keys) < 2:
            continue
        numbers = [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
        if len(numbers) == len(values) and len(keys) > 5:
            low, high = min(numbers), max(numbers)
            scale = "log" if low > 0 and high / low >= WIDE else "linear"
            integer = all(isinstance(value, int) for value in numbers)
            found.append(
                {
                    "name": name,
                    "low": low,
                    "high": high,
                    "scale": scale,
                    "integer": integer,
                    "tried": True,
                }
            )
        else:
            found.append({"name": name, "values": list(keys.values()), "ordered": False})
    return found
