"""The next study: the advice of the doctor as a command that runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search_spaces.catalogue import CATALOGUE
from tune_cluster.command_words import taken, without
from tune_cluster.plain_text import one_line, pasted
from tune_cluster.reports.doctor.checks import examined
from tune_cluster.reports.doctor.finding import Advice, worst_first
from tune_cluster.reports.doctor.narrowing import narrowed
from tune_cluster.storage.inside import write_file
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


def next_study(study: StoredStudy, address: str) -> NextStudy:
    """Return the study after this one: ranges moved or narrowed, other epochs, other values, and
    start points from this one.

    Args:
        study: the study.
        address: its folder, from which the next one learns.

    Raises:
        ValueError: the study has no command: an experiment of plain Ray Tune.
    """
    about = study.about
    command = list(about.get("command", []))
    if len(command) < 2:
        raise ValueError(
            f"STUDY {address}: it has no command that could be changed; tune-cluster doctor "
            "has the advice"
        )
    advice = [
        one
        for finding in worst_first(examined(study))
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
        command += ["--learn-from", str(Path(address).parent)]
        changes.append("start from the best values of this study")
    return NextStudy(command=command, changes=changes, left=left)


def write_next(study: StoredStudy, folder: Path, address: str) -> tuple[Path, NextStudy]:
    """Write the script of the next study into a folder; return its path and its content."""
    found = next_study(study, address)
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
