"""Studies of a folder in short: state, best value, counts; of a study that is still running too."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tune_cluster.study.events import Closed
from tune_cluster.study.journal import JOURNAL
from tune_cluster.study.state import BestTrial, Status
from tune_cluster.study.stored import StoredStudy, read_study
from tune_cluster.study.study_file import STUDY_FILE

LOCKS = Path("/proc/locks")
"""Locks of this machine: a line each, with device and inode of the file."""


@dataclass(frozen=True, kw_only=True)
class Overview:
    """One study in short."""

    directory: Path
    state: str
    """"running", "interrupted", or why its driver has ended."""
    job: str
    metric: str
    best: BestTrial | None
    counts: Counter[Status]
    """Trials by status."""
    planned: int | None
    """Number of trials that were asked for; None without a number."""
    epochs: int
    """Epochs of all trials, without lost ones."""
    created: str
    """UTC, as ISO 8601; empty if unknown."""

    @property
    def trials(self) -> int:
        """Number of trials so far."""
        return sum(self.counts.values())


@dataclass(frozen=True, kw_only=True)
class Unreadable:
    """A folder with a `study.json` that cannot be read as a study."""

    directory: Path
    reason: str


def study_folders(folder: Path) -> list[Path]:
    """Return the folders of the studies directly in a folder, by name.

    Raises:
        ValueError: the folder cannot be listed, has no study, or is one itself.
    """
    if (folder / STUDY_FILE).exists():
        raise ValueError(f"{folder} is a study itself: give the folder that it is in")
    try:
        there = sorted(path for path in folder.iterdir() if (path / STUDY_FILE).is_file())
    except OSError as error:
        raise ValueError(f"{folder}: cannot be listed ({error.strerror})") from None
    if not there:
        raise ValueError(f"{folder}: no study is there")
    return there


def overviews(folder: Path) -> list[Overview | Unreadable]:
    """Return the studies directly in a folder, newest first; raises as `study_folders`."""
    found: list[Overview | Unreadable] = []
    for directory in study_folders(folder):
        try:
            found.append(overview_of(directory, read_study(directory)))
        except ValueError as error:
            found.append(Unreadable(directory=directory, reason=str(error)))
    return sorted(found, key=_created, reverse=True)


def overview_of(directory: Path, study: StoredStudy) -> Overview:
    """Return a study in short."""
    about, state = study.about, study.state
    return Overview(
        directory=directory,
        state=state_of(directory, study),
        job=about.get("job", ""),
        metric=state.objective.metric,
        best=state.best,
        counts=+state.counts,
        planned=about["flags"].get("trials"),
        epochs=sum(len(trial.results) for trial in state.trials.values()),
        created=about.get("created", ""),
    )


def state_of(directory: Path, study: StoredStudy) -> str:
    """Return "running" while a driver on this machine has the study, why its driver has ended, or
    "interrupted": it was killed, or runs on another machine."""
    if is_held(directory / JOURNAL):
        return "running"
    last = study.events[-1] if study.events else None
    return last.why if isinstance(last, Closed) else "interrupted"


def is_held(journal: Path) -> bool:
    """Return whether a process of this machine holds the lock of a journal."""
    return holder_of(journal) is not None


def holder_of(journal: Path) -> int | None:
    """Return the process of this machine that holds the lock of a journal; None without one.

    The table of locks is read, since trying the lock could refuse a driver that takes it now.
    """
    try:
        found, locks = journal.stat(), LOCKS.read_text()
    except OSError:
        return None
    place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    for line in locks.splitlines():
        words = line.split()
        if place in words:
            return int(words[words.index(place) - 1])
    return None


def _created(study: Overview | Unreadable) -> tuple[str, str]:
    return (study.created if isinstance(study, Overview) else "", study.directory.name)
