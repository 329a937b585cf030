"""A plain Ray Tune experiment, which this project did not make, as a study for a report.

Its JSON and CSV files are read, and nothing is unpickled: `params.json` has the configuration of a
trial, `result.json` or `progress.csv` its reports. The space is not in them: the range of a
hyperparameter is what was tried.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from search_spaces.objective import Mode, Objective
from search_spaces.space import flattened
from search_spaces.trial_events import Ended, Event, Result, Suggested
from tune_cluster.storage.inside import read_regular
from tune_cluster.storage.integrity import parse
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

LARGEST_NUMBER = 1e300
"""Largest number that counts as finite: twice as much is, too."""

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
    config = _object(_content(params))
    return None if config is None else (flattened(config), list(_reports(params.parent)))


def _content(path: Path) -> bytes:
    """Return the content of a file; nothing of one that cannot be read."""
    try:
        return read_regular(path)
    except (OSError, ValueError):
        return b""


def _object(data: bytes) -> dict[str, Any] | None:
    """Return a JSON object; None of anything else, such as the last line of a killed trial."""
    try:
        found = parse(data, unique=False, finite=False)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _reports(folder: Path) -> Iterator[dict[str, Any]]:
    lines = _content(folder / RESULTS).splitlines()
    yield from (report for line in lines if (report := _object(line)) is not None)
    if lines:
        return
    text = _content(folder / PROGRESS).decode(errors="replace")
    try:
        for row in csv.DictReader(io.StringIO(text, newline="")):
            yield {name: _number(cell) for name, cell in row.items() if name}
    except csv.Error:
        return


def _number(cell: str | list[str] | None) -> Any:
    if not isinstance(cell, str):
        return None
    try:
        number = float(cell)
    except ValueError:
        return cell
    return int(number) if number.is_integer() else number


def _metrics(report: Mapping[str, Any]) -> dict[str, float | bool | None]:
    return {
        name: value if _is_finite(value) else None
        for name, value in report.items()
        if isinstance(value, (int, float)) and name not in RAYS and not name.startswith("config/")
    }


def _is_finite(value: float) -> bool:
    return abs(value) <= LARGEST_NUMBER


def _events(trials: list[tuple[dict[str, Any], list[dict[str, Any]]]], metric: str) -> list[Event]:
    found: list[Event] = []
    for index, (config, reports) in enumerate(trials):
        told = list(_results(index, reports, metric))
        times = [event.time for event in told if event.time is not None]
        began = min(times, default=None)
        found.append(Suggested(trial=index, config=config, time=began))
        if not reports:
            continue
        took = reports[0].get("time_total_s")
        if began is not None and isinstance(took, (int, float)) and 0 <= took <= began:
            began -= took
        found += [Started(trial=index, time=began), *told]
        if told:
            last, now = told[-1].epoch, max(times, default=None)
            found.append(Ended(trial=index, epoch=last, status="finished", time=now))
    # Suggestions first: a study knows its trials in order.
    suggested = [event for event in found if isinstance(event, Suggested)]
    rest = [event for event in found if not isinstance(event, Suggested)]
    return [*suggested, *sorted(rest, key=lambda event: event.time or 0.0)]


def _results(index: int, reports: list[dict[str, Any]], metric: str) -> Iterator[Result]:
    """Yield the reports of a trial that a journal could have, each epoch once."""
    last, before = 0, None
    for report in reports:
        epoch, metrics = report.get(EPOCH), _metrics(report)
        # A restored trial repeats epochs: the first report of each counts.
        if not isinstance(epoch, int) or epoch <= last or metric not in metrics:
            continue
        now = report.get(TIME)
        if before is not None:
            # The order of the epochs counts, whatever the clocks of its nodes say.
            now = max(now, before) if isinstance(now, (int, float)) else before
        content = {
            "trial": index,
            "epoch": epoch,
            "node": str(report.get(NODE, "")) or None,
            "metrics": {**metrics, "epoch": epoch},
            "time": now,
        }
        try:
            result = Result.from_json(content)
        except ValueError:
            continue
        yield result
        last, before = epoch, result.time


def _space(configs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the hyperparameters that have had several values, with what was tried."""
    found: list[dict[str, Any]] = []
    for name in dict.fromkeys(name for config in configs for name in config):
        values = [config[name] for config in configs if name in config]
        keys = {json.dumps(value): value for value in values}
        if len(keys) < 2:
            continue
        numbers = [
            value
            for value in values
            if isinstance(value, (int, float)) and not isinstance(value, bool) and _is_finite(value)
        ]
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
