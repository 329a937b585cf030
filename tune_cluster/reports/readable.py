"""Any folder with trials as a study for a report: of ours, damaged or not, or of Ray Tune."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from search_spaces.objective import Mode, Objective
from tune_cluster.reports.audit import AUDIT, AUDIT_FILE, audit_lines
from tune_cluster.reports.beside import absolute, is_there
from tune_cluster.reports.confirm import Confirmation, confirmation_beside
from tune_cluster.reports.overview import state_of
from tune_cluster.reports.ray_experiment import (
    OF_RAY_TUNE,
    is_ray_experiment,
    read_ray_experiment,
)
from tune_cluster.storage.integrity import parse
from tune_cluster.storage.store import Store
from tune_cluster.study.directory import local_copy
from tune_cluster.study.journal import DamagedJournalError
from tune_cluster.study.state import StudyState
from tune_cluster.study.stored import StoredStudy, read_study
from tune_cluster.study.study_file import STUDY_FILE, read_study_file


class Siblings(NamedTuple):
    """What the studies beside one say of it."""

    confirmation: Confirmation | None = None
    audit: Sequence[tuple[str, str]] = ()
    """Lines of its audit; none without one."""
    notices: Sequence[str] = ()
    """Why one of them cannot be read."""


class Readable(NamedTuple):
    """A study, or what can be read of it."""

    directory: Path
    address: str
    """Address that a person gave, which names the study in commands: `directory` may be a copy."""
    study: StoredStudy
    state: str
    """State of the study, as `overview.state_of` returns it."""
    notice: str
    """What is missing; empty if nothing is."""
    siblings: Siblings = Siblings()


def readable(address: str, metric: str | None = None, mode: Mode | None = None) -> Readable:
    """Read a study by its address, the intact part of a damaged one, or an experiment of Ray Tune.

    Args:
        address: a folder, or s3://bucket/folder/name.
        metric: metric of an experiment of Ray Tune.
        mode: its mode.

    Raises:
        ValueError: there is nothing to read.
    """
    directory = local_copy(address)
    if not (directory / STUDY_FILE).exists() and is_ray_experiment(directory):
        study = read_ray_experiment(directory, metric, mode)
        return Readable(directory, address, study, OF_RAY_TUNE, "")
    try:
        study = read_study(directory, address=address)
        siblings = siblings_of(address, study)
        return Readable(directory, address, study, state_of(directory, study), "", siblings)
    except DamagedJournalError as error:
        about = read_study_file(directory)
        events = error.whole.events
        state = StudyState(Objective(about["metric"], about["mode"]), events)
        study = StoredStudy(about, events, state)
        notice = f"the journal is damaged: {error}"
        return Readable(directory, address, study, "damaged", notice, siblings_of(address, study))


def siblings_of(address: str, study: StoredStudy) -> Siblings:
    """Return what `NAME-confirm` and `NAME-audit` say of a study; of a confirmation itself, what it
    says of its own."""
    notices, confirmation, lines = [], None, []
    address = absolute(address)
    try:
        confirmation = Confirmation.of(study) or confirmation_beside(address)
    except ValueError as error:
        notices.append(f"its confirmation cannot be read: {error}")
    try:
        if is_there(f"{address}{AUDIT}"):
            lines = audit_lines(parse(Store.at(f"{address}{AUDIT}").read(AUDIT_FILE)))
    except FileNotFoundError:
        notices.append("its audit has not ended yet")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        notices.append(f"its audit cannot be read: {AUDIT_FILE}: {type(error).__name__}: {error}")
    return Siblings(confirmation, lines, notices)
