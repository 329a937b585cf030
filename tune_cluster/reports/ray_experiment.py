"""A plain Ray Tune experiment, which this project did not make, as a study for a report.

Its JSON and CSV files are read, and nothing is unpickled: `params.json` has the configuration of a
trial, `result.json` or `progress.csv` its reports, `error.txt` its error, and the newest
`experiment_state-*.json` which trials have ended, and by which conditions they had to. The space is
not in them: the range of a hyperparameter is what was tried. Nor is what a scheduler has decided: a
trial that Ray ended before any condition, and before others, was stopped.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from search_spaces.objective import Mode, Objective
from search_spaces.space import flattened
from search_spaces.trial_events import Ended, EndStatus, Event, Result, Suggested
from tune_cluster.storage.inside import read_regular
from tune_cluster.storage.integrity import parse
from tune_cluster.study.events import Started
from tune_cluster.study.state import StudyState
from tune_cluster.study.stored import StoredStudy

PARAMS, RESULTS, PROGRESS, ERROR = "params.json", "result.json", "progress.csv", "error.txt"

OF_RAY_TUNE = "an experiment of Ray Tune"
"""State of such a study: how it has ended is not in its files."""

STATES = "experiment_state-*.json"
"""Snapshots of an experiment, with the time in their names."""

UNFINISHED = ("PENDING", "RUNNING", "PAUSED")
"""Status, in a snapshot, of a trial that has not ended."""

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
    states = _states(directory)
    paths = sorted(directory.glob(f"*/{PARAMS}"))
    trials = [found for path in paths if (found := _trial(path, states))]
    if not trials:
        raise ValueError(f"{directory}: no trial of Ray Tune can be read there")
    names = dict.fromkeys(
        name for trial in trials for report in trial.reports for name in _metrics(report)
    )
    if metric is None or mode is None or metric not in names:
        known = ", ".join(names) or "none"
        given = "" if metric is None else f", got {metric}"
        raise ValueError(
            f"{directory} is {OF_RAY_TUNE}, whose files do not say what is best: tune-cluster "
            f"report EXPERIMENT --metric, one of {known}{given}, --mode max or min"
        )
    objective = Objective(metric, mode)
    events = list(_events(trials, metric))
    configs = [trial.config for trial in trials]
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


class _Trial(NamedTuple):
    """A trial as its files tell of it."""

    config: dict[str, Any]
    reports: list[dict[str, Any]]
    ended: bool
    conditions: Mapping[str, Any]
    """Values of metrics that end it."""
    error: str
    """Text of its error; empty without one."""

    @property
    def epochs(self) -> int:
        """Last epoch that it has reported."""
        return max((e for r in self.reports if isinstance(e := r.get(EPOCH), int)), default=0)

    @property
    def cut(self) -> bool:
        """Whether Ray has ended it before a condition did: a function that returns is not done."""
        last = self.reports[-1] if self.reports else {}
        met = (
            name in last and isinstance(least, (int, float)) and _at_least(last[name], least)
            for name, least in self.conditions.items()
        )
        return last.get("done") is True and not any(met)


def _at_least(value: Any, least: float) -> bool:
    return isinstance(value, (int, float)) and value >= least


def _trial(params: Path, states: Mapping[str, Mapping[str, Any]]) -> _Trial | None:
    """Return what the files of a trial tell; None if its configuration cannot be read."""
    config, folder = _object(_content(params)), params.parent
    if config is None:
        return None
    state = next((state for trial, state in states.items() if f"_{trial}_" in folder.name), {})
    conditions = state.get("stopping_criterion")
    return _Trial(
        config=flattened(config),
        reports=list(_reports(folder)),
        ended=state.get("status") not in UNFINISHED,
        conditions=conditions if isinstance(conditions, dict) else {},
        error=_content(folder / ERROR).decode(errors="replace").strip(),
    )


def _states(directory: Path) -> dict[str, dict[str, Any]]:
    """Return the state of each trial in the newest snapshot, by its id; nothing without one."""
    newest = max(directory.glob(STATES), default=None, key=lambda path: path.name)
    state = {} if newest is None else _object(_content(newest)) or {}
    found: dict[str, dict[str, Any]] = {}
    for pair in state.get("trial_data") or ():
        text = pair[0] if isinstance(pair, list) and pair else ""
        trial = _object(text.encode()) if isinstance(text, str) else None
        if trial is not None:
            found[str(trial.get("trial_id"))] = trial
    return found


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


def _events(trials: list[_Trial], metric: str) -> list[Event]:
    found: list[Event] = []
    longest = max(trial.epochs for trial in trials)
    for index, trial in enumerate(trials):
        config, reports, error = trial.config, trial.reports, trial.error
        results = list(_results(index, reports, metric))
        times = [event.time for event in results if event.time is not None]
        began = min(times, default=None)
        found.append(Suggested(trial=index, config=config, time=began))
        if not reports and not error:
            continue
        took = reports[0].get("time_total_s") if reports else None
        if began is not None and isinstance(took, (int, float)) and 0 <= took <= began:
            began -= took
        found += [Started(trial=index, time=began), *results]
        last, now = results[-1].epoch if results else 0, max(times, default=None)
        if error:
            reason, log = error.splitlines()[-1].strip(), "\n".join(error.splitlines()[-20:])
            end = Ended(trial=index, epoch=last, status="failed", time=now, reason=reason, log=log)
            found.append(end)
        elif results and trial.ended:
            cut = trial.cut and trial.epochs < longest
            status: EndStatus = "stopped" if cut else "finished"
            found.append(Ended(trial=index, epoch=last, status=status, time=now))
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
