"""Trials of earlier studies that a new study learns from.

They are copied to the new study's journal, so that a resume does not depend on the other studies,
which may have been extended or deleted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from search_spaces.objective import Objective
from search_spaces.trial_events import Earlier
from tune_cluster.storage.s3 import S3Store, refusing
from tune_cluster.storage.store import SCHEME
from tune_cluster.study.directory import local_copy
from tune_cluster.study.stored import StoredStudy, read_study
from tune_cluster.study.study_file import STUDY_FILE, read_study_file

NEWEST = 20
"""Largest number of studies of a folder to learn from, the newest."""


def earlier_trials(study: str, objective: Objective) -> list[Earlier]:
    """Return the ended trials of the study at that address; raise a ValueError if there is none, or
    it has another objective."""
    directory = local_copy(study)
    stored = read_study(directory, flag="--warm-start")
    theirs = stored.state.objective
    if theirs != objective:
        raise ValueError(
            f"--warm-start {study}: its objective is the {theirs.mode} of {theirs.metric}, that of "
            f"this study the {objective.mode} of {objective.metric}; give a study with the same one"
        )
    return _trials(study, stored)


@dataclass(frozen=True)
class EarlierStudies:
    """Studies in a folder that have trained a trainable."""

    trials: dict[str, list[Earlier]] = field(default_factory=dict)
    """Ended trials, by the address of their study."""
    unread: list[str] = field(default_factory=list)
    """Sentences that explain which studies could not be read, and why."""


def earlier_studies(folder: str, trainable: str, objective: Objective) -> EarlierStudies:
    """Return the newest studies in a folder, or in its subfolders as `tune-cluster compare` makes
    them, that have trained `trainable` for the same metric and mode.

    Args:
        folder: a path or `s3://bucket/folder`.
        trainable: name of the trainable.
        objective: metric and mode.

    Raises:
        ValueError: the folder does not exist, or cannot be read.
    """
    found = EarlierStudies()
    about = []
    for study in _studies_in(folder):
        try:
            directory = local_copy(study)
            description = read_study_file(directory, "--learn-from")
            alike = (description.get("trainable"), description["metric"], description["mode"])
            if alike == (trainable, objective.metric, objective.mode):
                about.append((str(description.get("created", "")), study, directory))
        except (OSError, ValueError) as error:
            found.unread.append(str(error))
    for _, study, directory in sorted(about)[-NEWEST:]:
        try:
            if trials := _trials(study, read_study(directory, "--learn-from", study)):
                found.trials[study] = trials
        except (OSError, ValueError) as error:
            found.unread.append(str(error))
    return found


def _studies_in(folder: str) -> list[str]:
    """Return the addresses of the studies in a folder, and in its subfolders."""
    if folder.startswith(SCHEME):
        bucket = S3Store(folder)
        with refusing("--learn-from", bucket):
            files = [Path(name) for name in bucket.files()]
    else:
        top = Path(folder)
        if not top.is_dir():
            raise ValueError(f"--learn-from {folder}: there is no such folder")
        patterns = (f"*/{STUDY_FILE}", f"*/*/{STUDY_FILE}")
        files = [path.relative_to(top) for pattern in patterns for path in top.glob(pattern)]
    studies = {path.parent for path in files if path.name == STUDY_FILE}
    return [f"{folder.rstrip('/')}/{path}" for path in sorted(studies) if len(path.parts) in (1, 2)]


def _trials(study: str, stored: StoredStudy) -> list[Earlier]:
    metric = stored.state.objective.metric
    return [
        Earlier(
            study=study,
            config=trial.config,
            values={str(epoch): result[metric] for epoch, result in trial.results.items()},  # type: ignore[misc]
            status=trial.status,  # type: ignore[arg-type]
        )
        for trial in stored.state.trials.values()
        if trial.ended and not trial.infrastructure_failure
    ]
