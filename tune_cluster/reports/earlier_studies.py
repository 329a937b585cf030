"""Earlier studies of a folder that a new study learns from, with what the studies beside them say.

A confirmation and an audit are no studies to learn from by themselves: they train chosen
configurations of another one. `STUDY-confirm` says which of the best of STUDY are the best with
other seeds, and `STUDY-audit` how stopped trials of STUDY went on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from search_spaces.objective import Objective
from search_spaces.searchers.portfolio import Confirmed
from search_spaces.trial_events import Earlier
from tune_cluster.reports.audit import AUDIT, continuations
from tune_cluster.reports.confirm import CONFIRM, Confirmation
from tune_cluster.storage.s3 import S3Store, refusing
from tune_cluster.storage.store import SCHEME
from tune_cluster.study.directory import local_copy
from tune_cluster.study.earlier import trials_by_index
from tune_cluster.study.stored import StoredStudy, read_study
from tune_cluster.study.study_file import STUDY_FILE, read_study_file

FLAG = "--learn-from"

NEWEST = 20
"""Largest number of studies of a folder to learn from, the newest."""


@dataclass(frozen=True)
class EarlierStudies:
    """Studies in a folder that have trained a trainable."""

    trials: dict[str, list[Earlier]] = field(default_factory=dict)
    """Ended trials, by the address of their study; those that an audit has continued, to their
    end."""
    confirmed: dict[str, Confirmed] = field(default_factory=dict)
    """What was confirmed, by the address of the study; the newest confirmation first."""
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
    firsts: list[tuple[str, str, Path]] = []
    confirmations: list[tuple[str, str, Path]] = []
    audits: dict[str, Path] = {}
    for study in _studies_in(folder):
        with _named(found, study):
            directory = local_copy(study)
            about = read_study_file(directory, FLAG)
            alike = (about.get("trainable"), about["metric"], about["mode"])
            if alike != (trainable, objective.metric, objective.mode):
                continue
            if "audits" in about:
                audits[study.removesuffix(AUDIT)] = directory
            else:
                kind = confirmations if "confirms" in about else firsts
                kind.append((str(about.get("created", "")), study, directory))
    for _, study, directory in sorted(firsts)[-NEWEST:]:
        with _named(found, study):
            stored = read_study(directory, FLAG, study)
            if trials := _continued(study, stored):
                found.trials[study] = trials
            if study in audits:
                with _named(found, f"{study}{AUDIT}"):
                    audit = read_study(audits[study], FLAG, f"{study}{AUDIT}")
                    found.trials[study] = _continued(study, stored, audit)
    for _, study, directory in sorted(confirmations, reverse=True)[:NEWEST]:
        with _named(found, study):
            confirmation = Confirmation.of(read_study(directory, FLAG, study))
            if confirmation is not None and confirmation.best:
                found.confirmed[study.removesuffix(CONFIRM)] = _confirmed(study, confirmation)
    return found


@contextmanager
def _named(found: EarlierStudies, study: str) -> Iterator[None]:
    """Leave out a study that cannot be read, and note why."""
    try:
        yield
    except (OSError, ValueError) as error:
        text = str(error)
        found.unread.append(text if study in text else f"{study}: {text}")


def _continued(study: str, stored: StoredStudy, audit: StoredStudy | None = None) -> list[Earlier]:
    """Return the trials of a study, each with the epochs for which it was continued later."""
    trials = trials_by_index(study, stored)
    metric = stored.state.objective.metric
    later = continuations(stored.events, None if audit is None else audit.state)
    for index, more in later.items():
        if index in trials and more.ended and not more.infrastructure_failure:
            values: dict[str, Any] = {
                str(epoch): value
                for epoch, result in more.results.items()
                if (value := result.get(metric)) is not None
            }
            known = trials[index]
            status: Any = more.status
            trials[index] = replace(known, values={**known.values, **values}, status=status)
    return [*trials.values()]


def _confirmed(study: str, confirmation: Confirmation) -> Confirmed:
    configs = confirmation.candidates
    return Confirmed(
        study=study,
        best=[configs[name] for name in confirmation.best],
        worse=[configs[name] for name in confirmation.worse],
    )


def _studies_in(folder: str) -> Iterator[str]:
    """Yield the addresses of the studies in a folder, and in its subfolders."""
    if folder.startswith(SCHEME):
        bucket = S3Store(folder)
        with refusing(FLAG, bucket):
            files = [Path(name) for name in bucket.files()]
    else:
        top = Path(folder)
        if not top.is_dir():
            raise ValueError(f"{FLAG} {folder}: there is no such folder")
        patterns = (f"*/{STUDY_FILE}", f"*/*/{STUDY_FILE}")
        files = [path.relative_to(top) for pattern in patterns for path in top.glob(pattern)]
    studies = {path.parent for path in files if path.name == STUDY_FILE}
    for path in sorted(studies):
        if len(path.parts) in (1, 2):
            yield f"{folder.rstrip('/')}/{path}"
