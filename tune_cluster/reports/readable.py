"""Any folder with trials as a study for a report: of ours, damaged or not, or of Ray Tune."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from search_spaces.objective import Mode, Objective
from tune_cluster.reports.overview import state_of
from tune_cluster.reports.ray_experiment import is_ray_experiment, read_ray_experiment
from tune_cluster.study.directory import local_copy
from tune_cluster.study.journal import DamagedJournalError
from tune_cluster.study.state import StudyState
from tune_cluster.study.stored import StoredStudy, read_study
from tune_cluster.study.study_file import STUDY_FILE, read_study_file


class Readable(NamedTuple):
    """A study, or what can be read of it."""

    directory: Path
    study: StoredStudy
    state: str
    """State of the study, as `overview.state_of` returns it."""
    notice: str
    """What is missing; empty if nothing is."""


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
        return Readable(directory, study, "an experiment of Ray Tune", "")
    try:
        study = read_study(directory, address=address)
        return Readable(directory, study, state_of(directory, study), "")
    except DamagedJournalError as error:
        about = read_study_file(directory)
        events = error.whole.events
        state = StudyState(Objective(about["metric"], about["mode"]), events)
        study = StoredStudy(about, events, state)
        return Readable(directory, study, "damaged", f"the journal is damaged: {error}")
