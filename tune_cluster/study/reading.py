"""A study as its files have it: whoever reads one that is there reads it here."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any, NamedTuple

from search_spaces.objective import Objective
from search_spaces.trial_events import Event, Result
from tune_cluster.storage.inside import KINDS
from tune_cluster.study.journal import CHECKSUM, JOURNAL, read_journal, read_lines
from tune_cluster.study.state import StudyState
from tune_cluster.study.study_file import STUDY_FILE, check_fields, read_study_file

FILES = (
    *(STUDY_FILE, JOURNAL, "trials.csv", "audit.json", "seeds.json"),
    *("best/best.json", "best/schedule.json", "trials/*/events.out.tfevents.*"),
)
"""What a resume writes or goes on with, where it is there."""

FOLDERS = ("best", "trials", "trials/[0-9]*", ".tune")


def check_kinds(directory: Path, flag: str = "--resume") -> None:
    """Refuse a study in which something else lies where a resume has its files and folders.

    Raises:
        ValueError: what it is.
    """
    for patterns, is_expected, expected in (
        (FOLDERS, stat.S_ISDIR, "a folder"),
        (FILES, stat.S_ISREG, "a file"),
    ):
        for path in (path for pattern in patterns for path in _matching(directory, pattern)):
            mode = path.lstat().st_mode
            if not is_expected(mode):
                kind = KINDS.get(stat.S_IFMT(mode), "a file")
                raise ValueError(
                    f"{flag} {directory}: {path} is {kind}, where {expected} is expected; move it "
                    "away"
                )


def _matching(directory: Path, pattern: str) -> list[Path]:
    if set(pattern) & set("*["):
        return list(directory.glob(pattern))
    # `Path.glob` passes over links that lead nowhere.
    return [directory / pattern] if os.path.lexists(directory / pattern) else []


class StoredStudy(NamedTuple):
    """A study as its files have it."""

    about: dict[str, Any]
    """The content of `study.json`."""
    events: list[Event]
    """Of its journal."""
    state: StudyState
    """What they say."""


def read_study(directory: Path, flag: str = "STUDY", address: str | None = None) -> StoredStudy:
    """Read `study.json` and the journal.

    Args:
        directory: of the study.
        flag: that named it, for the error.
        address: of it as it is typed; `directory` if None.

    Raises:
        ValueError: no study is there, or it is damaged: the file, the line and the field.
    """
    about = read_study_file(directory, flag)
    check_fields(directory, about, flag)
    journal = directory / JOURNAL
    objective = Objective(about["metric"], about["mode"])
    events, state = read_journal(journal, objective, study=address or str(directory))
    if "crc" not in about and any(CHECKSUM in line for line in read_lines(journal)[-1:]):
        raise ValueError(f"{flag} {directory}: {STUDY_FILE}: crc is missing")
    for number, event in enumerate(events, start=1):
        if isinstance(event, Result) and event.metrics.get(objective.metric) is None:
            raise ValueError(
                f"{journal}: line {number}: result.metrics.{objective.metric} is missing"
            )
    return StoredStudy(about, events, state)
