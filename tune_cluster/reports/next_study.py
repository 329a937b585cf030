"""The next study: the advice of the doctor as a command that runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search_spaces.catalogue import CATALOGUE
from search_spaces.values import short
from tune_cluster.command_words import taken, without
from tune_cluster.plain_text import argument, one_line, pasted
from tune_cluster.reports.beside import absolute, sibling
from tune_cluster.reports.confirm import DEFAULTS, Confirmation
from tune_cluster.reports.doctor.checks import examined
from tune_cluster.reports.doctor.finding import Advice, worst_first
from tune_cluster.reports.doctor.narrowing import narrowed
from tune_cluster.reports.doctor.trials import is_number
from tune_cluster.storage.inside import write_file
from tune_cluster.storage.store import SCHEME
from tune_cluster.study.stored import StoredStudy

SCRIPT = "next.sh"

NAMED = ("--name", "--resume", "--learn-from")
"""Flags that name this study, or earlier ones."""

MANY = ("--search", "--fix")
"""Flags that take several words."""


@dataclass(frozen=True, kw_only=True)
class NextStudy:
    """A command, and how it differs from that of the study before."""

    command: list[str]
    changes: list[str]
    """What changes, in words, the most urgent first."""
    left: list[str]
    """Advice that no flag of the job can follow."""

    def script(self, study: str) -> str:
        """Return a shell script that runs it."""
        reasons = "".join(f"# - {one_line(change)}\n" for change in self.changes)
        return (
            f"#!/bin/sh\n# The study after {one_line(study)}:\n{reasons}exec {pasted(self.command)}"
            ' "$@"\n'
        )


def next_study(
    study: StoredStudy, address: str, confirmation: Confirmation | None = None
) -> NextStudy:
    """Return the study after this one: ranges moved or narrowed, other epochs, other values, and
    start points from this one.

    Args:
        study: the study.
        address: its folder, from which the next one learns.
        confirmation: its confirmation, complete or not, whose best are the start points.

    Raises:
        ValueError: the study has no command, as an experiment of plain Ray Tune, its script runs it
            from Python, by `fit`, `run` or `search`, or it follows another one.
    """
    about = study.about
    for field in ("audits", "confirms"):
        if field in about:
            first = sibling(absolute(address), about[field]["study"])
            raise ValueError(
                f"STUDY {address}: it {field} another study: tune-cluster next {argument(first)}"
            )
    command = list(about.get("command", []))
    if len(command) < 2:
        raise ValueError(
            f"STUDY {address}: it has no command that could be changed; tune-cluster doctor "
            "has the advice"
        )
    if about.get("from_python"):
        raise ValueError(
            f"STUDY {address}: {command[1]} runs it from Python, without flags that could be "
            "changed; tune-cluster doctor has the advice"
        )
    advice = [
        one
        for finding in worst_first(examined(study, confirmation))
        if finding.verdict != "pass"
        for one in finding.advice
    ]
    advice += narrowed(study)
    options = {**about["flags"], **about.get("options", {})}
    flags: dict[str, str] = {}
    lists: dict[str, dict[str, str]] = {name: {} for name in MANY}
    changes, left = [], []
    for one in advice:
        if _follow(one, options, study, flags, lists):
            changes.append(one.text)
        elif one.search or one.fix or one.flags:
            left.append(one.text)
    best = [] if confirmation is None else [confirmation.candidates[n] for n in confirmation.best]
    for name, text in lists["--search"].items():
        lists["--search"][name] = wider = _holding(text, best)
        if wider != text:
            changes.append(f"search {wider}, wider than advised, to hold what is confirmed")
    for flag in (*NAMED, *flags):
        command = without(command, flag)
    command = [word for word in command if word != "--resume-or-start"]
    for flag, values in lists.items():
        if values:
            command, before = taken(command, flag)
            names = {_name(text) for text in values.values()}
            kept = [text for text in before if _name(text) not in names]
            command += [flag, *kept, *values.values()]
    for flag, value in flags.items():
        command += [flag, value]
    if study.state.best is not None:
        in_bucket = address.startswith(SCHEME)
        folder = address.rstrip("/").rpartition("/")[0] if in_bucket else str(Path(address).parent)
        command += ["--learn-from", folder]
        if anew := sorted(map(_name, lists["--fix"])):
            changes.append(
                f"do not start from the best of this study, which had other {', '.join(anew)}"
            )
        else:
            changes += _start_points(confirmation)
    return NextStudy(command=command, changes=changes, left=left)


def _start_points(confirmation: Confirmation | None) -> Iterator[str]:
    """Yield where the next study starts, and what a confirmation says of that."""
    if confirmation is None or not confirmation.best:
        yield "start from the best values of this study"
        return
    best, worse = confirmation.best, confirmation.worse
    after = f"after {confirmation.rounds} of {confirmation.race.rounds} seeds"
    if not confirmation.over:
        which = f"the {len(best)} candidates that the confirmation has not told apart {after}"
    elif len(best) == 1:
        which = "the confirmed best"
    else:
        which = f"the {len(best)} confirmed best, which are tied"
    yield f"start from {which}: {', '.join(best)}"
    if worse:
        yield f"do not start from {', '.join(worse)}: worse than {best[0]} with other seeds"
    if best == [DEFAULTS]:
        yield "the defaults are confirmed to be better than the best of this study"
    elif confirmation.over and DEFAULTS in best:
        yield "the best of this study is not better than the defaults: a tie, as confirmed"


def _holding(text: str, configs: list[dict[str, Any]]) -> str:
    """Return a range as `--search` takes it, as wide as the values of these configurations."""
    name, _, rest = text.partition("=")
    ends, condition, under = rest.partition(" if ")
    *scale, low, high = ends.split(":")
    other, _, values = under.partition("=")
    for config in configs:
        value = config.get(name)
        there = not condition or short(config.get(other)) in values.split(",")
        if there and is_number(value):
            low = repr(value) if value < float(low) else low
            high = repr(value) if value > float(high) else high
    return f"{name}={':'.join((*scale, low, high))}{condition}{under}"


def write_next(
    study: StoredStudy, folder: Path, address: str, confirmation: Confirmation | None = None
) -> tuple[Path, NextStudy]:
    """Write the script of the next study into a folder; return its path and its content."""
    found = next_study(study, address, confirmation)
    path = folder / SCRIPT
    write_file(folder, path, found.script(address).encode())
    path.chmod(0o755)
    return path, found


def _follow(
    advice: Advice,
    options: Mapping[str, Any],
    study: StoredStudy,
    flags: dict[str, str],
    lists: dict[str, dict[str, str]],
) -> bool:
    """Take over an advice that the job has flags for, unless a more urgent one has given its
    values; return whether something was taken over."""
    known = {one["name"] for one in study.about["space"]["parameters"]}
    ours = {one.name for one in CATALOGUE} if "fix" in options else set()
    follows = False
    for flag, value in advice.flags:
        if flag.removeprefix("--").replace("-", "_") in options and flag not in flags:
            flags[flag] = value
            follows = True
    for flag, texts in (("--search", advice.search), ("--fix", advice.fix)):
        for text in texts:
            name = _name(text)
            given = {_name(other) for values in lists.values() for other in values.values()}
            allowed = name in ours or (flag == "--search" and name.partition(" if ")[0] in known)
            if flag.removeprefix("--") in options and allowed and name not in given:
                lists[flag][text] = text
                follows = True
    return follows


def _name(text: str) -> str:
    """Return the name in `name=range`, and its condition, since a name may have several ranges."""
    name, _, rest = text.partition("=")
    _, _, condition = rest.partition(" if ")
    return f"{name.replace('-', '_')} if {condition}" if condition else name.replace("-", "_")
