"""Record of an evaluation of a study, `ensemble/ensemble.json`, and its table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from typing_extensions import TypedDict

from search_spaces.objective import Mode, Objective, shown_value
from tune_cluster.execution.held_out import PREDICTIONS_FILE
from tune_cluster.execution.plan import show_line
from tune_cluster.execution.summary import typed
from tune_cluster.storage.inside import read_regular
from tune_cluster.storage.integrity import check, parse
from tune_cluster.study.directory import StudyDirectory
from tune_cluster.study.state import StudyState

ENSEMBLE = "ensemble"
"""Folder, in that of the study, of the chosen ensemble; a resume leaves it as it is."""

ENSEMBLE_FILE = "ensemble.json"

SHOWN = ("loss", "accuracy", "f1", "rmse", "mae", "r2")
"""Scores in the table beside the one by which the ensemble is chosen."""


def show(console: Console, content: Mapping[str, Any], study: Path) -> None:
    """Print a table of the ways to combine the best trials."""
    held_out, score = content["held_out"], content["criterion"]["score"]
    objective = Objective(score, content["criterion"]["mode"])
    trials = ", ".join(str(member["trial"]) for member in content["members"])
    show_line(console, "members", f"trials {trials}, the best first")
    show_line(console, "chosen by", f"{score} on {described(held_out)}")
    table = Table(box=None, pad_edge=False)
    names = [score, *(name for name in SHOWN if name != score)]
    columns = [name for name in names if name in content["ways"][0]["held_out"]][:2]
    tested = bool(content["ways"][0]["test"])
    table.add_column("", no_wrap=True)
    for part in ("validation", "test")[: 1 + tested]:
        for name in columns:
            table.add_column(f"{part}\n{name}", justify="right", no_wrap=True)
    table.add_column("weight of each trial")
    best = objective.best(way["held_out"][score] for way in content["ways"])
    for way in content["ways"]:
        cells = [shown_value(way["held_out"][name]) for name in columns]
        if way["held_out"][score] == best:
            cells[0] = f"[bold]{cells[0]}[/bold]"
        if tested:
            cells += [shown_value(way["test"][name]) for name in columns]
        table.add_row(way["name"], *cells, _spelled(way["weights"]))
    console.print(table)
    folder = study / ENSEMBLE
    show_line(console, "chosen", f"{content['chosen']}, in {typed(folder)}")
    show_line(console, "", f"predictions of each member in {typed(folder / PREDICTIONS_FILE)}")
    if tested:
        show_line(console, "", "the test set was used once, after all was chosen")


def described(held_out: Mapping[str, Any]) -> str:
    """Return which samples were held out, in words."""
    count = f"{held_out['samples']:,}"
    if held_out["out_of_fold"]:
        return f"all {count} samples, each predicted by the network that was not trained on it"
    return f"{count} validation samples"


def _spelled(weights: Mapping[str, float]) -> str:
    used = {int(name): share for name, share in weights.items() if share}
    if len(set(used.values())) == 1:
        share = "" if len(used) == 1 else f", each 1/{len(used)}"
        return f"{' '.join(map(str, used))}{share}"
    return ", ".join(f"{trial}: {share:.2g}" for trial, share in used.items())


class _Criterion(TypedDict):
    score: str
    mode: Mode


class _HeldOut(TypedDict):
    samples: int
    out_of_fold: bool


class _Way(TypedDict):
    name: str
    soup: bool
    weights: dict[str, float]
    held_out: dict[str, float]
    test: dict[str, float]


class _Member(TypedDict):
    trial: int
    epoch: float
    config: dict[str, Any]


class Record(TypedDict):
    """Fields of `ensemble.json`."""

    top: int
    criterion: _Criterion
    held_out: _HeldOut
    chosen: str
    members: list[_Member]
    ways: list[_Way]
    missing: dict[str, str]
    """Text on each of the best trials that is no member, by its index."""
    created: str


def read_record(directory: StudyDirectory) -> dict[str, Any] | None:
    """Return what an earlier evaluation has found; None if there was none. That of a study in a
    bucket may have been made on another machine.

    Raises:
        ValueError: its file is damaged; without it, it would not be known that the test set was
            used.
    """
    path = directory.path / ENSEMBLE / ENSEMBLE_FILE
    try:
        if directory.bucket is not None and not path.exists():
            data = directory.bucket.read(f"{ENSEMBLE}/{ENSEMBLE_FILE}")
        else:
            data = read_regular(path)
        content: dict[str, Any] = parse(data)
        check(Record, content)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise ValueError(f"{path}: {error}; move it away to evaluate the study again") from None
    return content


def differences(known: Mapping[str, Any], state: StudyState, asked: int) -> Iterator[str]:
    """Yield what is no longer as when the study was evaluated."""
    then, now = [m["trial"] for m in known["members"]], state.leaders(known["top"])
    changed = []
    if asked != known["top"]:
        changed.append(f"it was of the {known['top']} best trials, and --top {asked} was asked for")
    if new := [one for one in now if one not in then and str(one) not in known["missing"]]:
        changed.append(f"trials {', '.join(map(str, new))} are among the best by now")
    if changed:
        yield (
            f"this is the evaluation of {known['created']}, and the test set is not used a second "
            f"time: {'; '.join(changed)}. To choose anew, and to know that the test result is then "
            f"one of two, move {ENSEMBLE}/ away"
        )
