"""Commands of `tune-cluster` that only read studies: what was found, and what that means.

Nothing wraps at the width of the terminal, 80 columns in a pipe: what has no room is left out, and
named.
"""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.table import Table
from rich.text import Text

from search_spaces.objective import Mode, shown_value
from search_spaces.values import short
from tune_cluster.plain_text import argument, one_line
from tune_cluster.reports.difference import differences
from tune_cluster.reports.overview import Overview, overviews
from tune_cluster.reports.story import Story, story_of
from tune_cluster.reports.trial_table import Row, filtered, ordered, rows_of, searched
from tune_cluster.storage.store import SCHEME, expanded
from tune_cluster.study.directory import local_copy
from tune_cluster.study.stored import StoredStudy, read_study

# `report`, `doctor` and `next` import the rest: numpy alone takes longer than most lists.
if TYPE_CHECKING:
    from tune_cluster.reports.doctor.finding import Finding

STYLES = {
    "running": "cyan",
    "finished": "green",
    "stopped": "yellow",
    "diverged": "red",
    "failed": "red",
    "interrupted": "yellow",
    "pass": "green",
    "warn": "yellow",
    "fail": "bold red",
}
"""Colours of states and statuses, on a terminal alone."""

MOST_TEXT = 40
"""Largest number of characters of a cell."""


def list_studies(folder: str = "results") -> None:
    """List the studies of a folder: state, best value, trials, epochs.

    Args:
        folder: folder with the studies.
    """
    if folder.startswith(SCHEME):
        raise ValueError(f"list {folder}: give a local folder; show STUDY reads one in a bucket")
    found = overviews(Path(expanded("FOLDER", folder)))
    console = _console()
    table = _table("study", "state", "best", "trials", "epochs", "created")
    # In a narrow terminal these are cut, and no number is.
    table.columns[0].no_wrap = table.columns[1].no_wrap = False
    for study in found:
        name = Text(_cut(study.directory.name), no_wrap=True, overflow="ellipsis")
        if isinstance(study, Overview):
            table.add_row(
                name,
                Text(
                    _cut(study.state),
                    style=STYLES.get(study.state, ""),
                    no_wrap=True,
                    overflow="ellipsis",
                ),
                Text(_value(study)),
                f"{study.trials}" if study.planned is None else f"{study.trials}/{study.planned}",
                f"{study.epochs}",
                study.created[:16].replace("T", " "),
            )
        else:
            table.add_row(name, Text("unreadable", style="red"), "", "", "", "")
    console.print(table)
    for study in found:
        if not isinstance(study, Overview):
            console.print(one_line(study.reason), soft_wrap=True, markup=False)


def show(
    study: str,
    *,
    sort: str | None = None,
    descending: bool = False,
    where: tuple[str, ...] = (),
    top: int | None = None,
    json: bool = False,
    csv: bool = False,
) -> None:
    """Print the trials of a study, each at its best epoch, the best first.

    Args:
        study: its folder, or s3://bucket/folder/name.
        sort: column to sort by: trial, status, epochs_run, a hyperparameter or a metric. Default:
            the study's metric, the best first.
        descending: whether the largest comes first.
        where: conditions, such as "learning_rate<0.01" "status=stopped".
        top: number of trials to print.
        json: whether to print a JSON list, with all columns.
        csv: whether to print CSV, with all columns.
    """
    if json and csv:
        raise ValueError("show: give --json or --csv, not both")
    if top is not None and top < 1:
        raise ValueError(f"show: --top must be at least 1, got {top}")
    stored = read_study(local_copy(study), address=study)
    objective = stored.state.objective
    rows = filtered(rows_of(stored), where)
    if sort is None:
        rows = ordered(rows, "value", descending=(objective.mode == "max") != descending)
    else:
        rows = ordered(rows, sort, descending=descending)
    shown = rows if top is None else rows[:top]
    if json:
        _print_json(shown)
    elif csv:
        _print_csv(shown)
    else:
        _print_trials(stored, shown, len(rows))


def why(study: str, trial: int) -> None:
    """Tell the story of one trial: its configuration, its rungs, why it ended, its errors.

    Args:
        study: its folder, or s3://bucket/folder/name.
        trial: index of the trial.
    """
    _print_story(story_of(read_study(local_copy(study), address=study), trial))


def report(
    studies: tuple[str, ...],
    *,
    to: str | None = None,
    metric: str | None = None,
    mode: Mode | None = None,
    optuna_storage: str | None = None,
) -> None:
    """Write the report of a study, or of several side by side: a page, a text and tables.

    Args:
        studies: their folders, or s3://bucket/folder/name; also a folder of plain Ray Tune.
        to: folder for the files. Default: the study's own, or for several the one they are in.
        metric: metric of an experiment of Ray Tune, whose files do not name it.
        mode: mode of that metric.
        optuna_storage: storage of Optuna that gets the studies too, such as sqlite:///studies.db,
            for optuna-dashboard.
    """
    if not studies:
        raise ValueError("report: give at least one STUDY")
    from tune_cluster.reports.optuna_export import to_optuna
    from tune_cluster.reports.readable import readable
    from tune_cluster.reports.report import report_of, write_report

    found = [readable(study, metric, mode) for study in studies]
    own = found[0].directory if len(found) == 1 else found[0].directory.parent
    folder = own if to is None else Path(expanded("--to", to))
    made = [report_of(one) for one in found]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        paths = write_report(made, folder)
    except OSError as error:
        raise ValueError(f"report: {folder} cannot be written ({error.strerror})") from None
    for path in paths:
        print(one_line(path))
    if optuna_storage is not None:
        for one in made:
            to_optuna(one.study, name=one.name, storage=optuna_storage)
        print(one_line(optuna_storage))


def doctor(study: str, *, json: bool = False) -> None:
    """Examine a study: ranges, divergence, curves, rungs, budget, noise, data and machines.

    Args:
        study: its folder, or s3://bucket/folder/name.
        json: whether to print a JSON list.
    """
    from tune_cluster.reports.doctor.checks import examined
    from tune_cluster.reports.doctor.finding import worst_first
    from tune_cluster.reports.readable import readable

    found = readable(study)
    findings = worst_first(examined(found.study, found.siblings.confirmation))
    if json:
        _print_findings(findings)
        return
    table = Table.grid(padding=(0, 2))
    for finding in findings:
        verdict = Text(finding.verdict, style=STYLES[finding.verdict])
        table.add_row(verdict, Text(one_line(f"{finding.check}: {finding.evidence}")))
        if finding.verdict != "pass":
            table.add_row("", Text(f"rule: {finding.rule}", style="dim"))
            for advice in finding.advice:
                table.add_row("", Text(one_line(f"do: {advice.text}")))
    _console().print(table)


def next_study(study: str) -> None:
    """Write the next study as a script, next.sh in the study, by the advice of the doctor.

    Args:
        study: its folder, or s3://bucket/folder/name.
    """
    from tune_cluster.reports.next_study import write_next
    from tune_cluster.reports.readable import readable

    found = readable(study)
    path, made = write_next(found.study, found.directory, study, found.siblings.confirmation)
    for notice in found.siblings.notices:
        print(one_line(f"notice    {notice}"))
    for change in made.changes:
        print(one_line(f"change    {change}"))
    for advice in made.left:
        print(one_line(f"left      {advice} (its job has no flag for it)"))
    print(one_line(f"run       sh {argument(str(path))}"))


def ui(folder: str = "results", *, port: int = 8050, allow_stop: bool = False) -> None:
    """Serve a page of the studies in a folder, live, on this machine alone.

    Args:
        folder: folder with the studies.
        port: port of the page; 0 takes a free one.
        allow_stop: whether the page has a button that stops a running study in order.
    """
    from tune_cluster.reports.ui.serve import serve

    if folder.startswith(SCHEME):
        raise ValueError(f"ui {folder}: give a local folder")
    serve(Path(expanded("FOLDER", folder)), port=port, allow_stop=allow_stop)


def diff(first: str, second: str) -> None:
    """Print what differs between two studies: what was found, settings, ranges.

    Args:
        first: folder of a study, or s3://bucket/folder/name.
        second: the same of another one.
    """
    studies = [read_study(local_copy(study), address=study) for study in (first, second)]
    found = differences(*studies)
    console = _console()
    if not found:
        console.print("the studies do not differ")
        return
    names = [Path(study.rstrip("/")).name for study in (first, second)]
    if names[0] == names[1]:
        names = [first, second]
    table = _table("", *map(_cut, names))
    for one in found:
        table.add_row(*(Text(_cut(part)) for part in (one.name, one.first, one.second)))
    console.print(table)


def _print_trials(study: StoredStudy, rows: list[Row], total: int) -> None:
    console = _console()
    metric = study.state.objective.metric
    names = [name for name in searched(study) if any(name in row.config for row in rows)]
    heads = ["trial", "status", "ran to", "best epoch", metric, *names]
    cells = [
        [
            str(row.trial),
            f"stopped at {row.rung}" if row.rung is not None else row.status,
            short(row.epochs_run),
            "" if row.best_epoch is None else short(row.best_epoch),
            "" if row.value is None else shown_value(row.value),
            *("" if name not in row.config else _cut(short(row.config[name])) for name in names),
        ]
        for row in rows
    ]
    fitting = _fitting(heads, cells, console.width)
    # A table of rich takes a second for a thousand rows.
    shown = [list(map(_cut, heads[:fitting])), *(line[:fitting] for line in cells)]
    widths = [max(map(cell_len, column)) for column in zip(*shown, strict=True)]
    head, *lines = ("  ".join(map(set_cell_size, line, widths)).rstrip() for line in shown)
    console.print(Text(head, style="bold"), soft_wrap=True)
    print("\n".join(lines))
    if len(rows) < total:
        console.print(f"{total - len(rows)} more trials: without --top")
    if left := heads[fitting:]:
        text = f"no room for {', '.join(left)}: --json or --csv has all"
        console.print(one_line(text), soft_wrap=True, markup=False)


def _fitting(heads: list[str], cells: list[list[str]], width: int) -> int:
    """Return how many columns, from the left, fit into the width."""
    used = 0
    for at, head in enumerate(heads):
        used += max(map(cell_len, [_cut(head), *(line[at] for line in cells)])) + (2 if at else 0)
        if used > width:
            return max(at, 1)
    return len(heads)


def _print_story(story: Story) -> None:
    console = _console()
    console.print(one_line(f"trial {story.trial.index}: {story.verdict}"), markup=False)
    if story.settings:
        columns = {
            "this trial": [one.value for one in story.settings],
            "default": [one.default for one in story.settings],
            "best trial": [one.best for one in story.settings],
        }
        if all(value is None for value in columns["default"]):
            del columns["default"]
        table = _table("", *columns)
        for one, *values in zip(story.settings, *columns.values(), strict=True):
            table.add_row(
                Text(_cut(one.name)), *("" if v is None else Text(_cut(short(v))) for v in values)
            )
        console.print()
        console.print(table)
    if story.moments:
        console.print()
        for moment in story.moments:
            text = one_line(f"{moment.at:>8}  {moment.text}")
            console.print(Text(text), soft_wrap=True)
    if story.log:
        console.print("\nlast lines of its output:")
        for line in story.log.splitlines():
            console.print(Text(f"  {one_line(line)}"), soft_wrap=True)


def _print_json(rows: list[Row]) -> None:
    print(json.dumps([row.to_json() for row in rows], indent=1))


def _print_findings(findings: list[Finding]) -> None:
    print(json.dumps([finding.to_json() for finding in findings], indent=1))


def _print_csv(rows: list[Row]) -> None:
    configs = list(dict.fromkeys(name for row in rows for name in row.config))
    metrics = list(dict.fromkeys(n for row in rows for n in row.metrics if n not in configs))
    names = [one.name for one in fields(Row) if one.name not in ("config", "metrics")]
    writer = csv.writer(sys.stdout)
    writer.writerow([*names, *configs, *metrics])
    for row in rows:
        content = row.to_json()
        writer.writerow(
            [
                *(content[name] for name in names),
                *(row.config.get(name) for name in configs),
                *(row.metrics.get(name) for name in metrics),
            ]
        )


def _console() -> Console:
    return Console(highlight=False)


def _table(*heads: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for head in heads:
        table.add_column(Text(one_line(head)), no_wrap=True)
    return table


def _cut(text: Any) -> str:
    shown = one_line(text)
    return shown if len(shown) <= MOST_TEXT else shown[: MOST_TEXT - 1] + "…"


def _value(study: Overview) -> str:
    return "" if study.best is None else _cut(f"{study.metric} {shown_value(study.best.value)}")
