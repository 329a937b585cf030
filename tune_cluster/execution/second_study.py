"""A second study beside a first one, run by the script of the first: its creation.

It is created like a study that has started and has no trial yet: from then on it is resumed as any
other study.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from tune_cluster.plain_text import argument
from tune_cluster.reports.beside import name_in
from tune_cluster.study.directory import StudyDirectory
from tune_cluster.study.journal import JOURNAL
from tune_cluster.study.stored import StoredStudy
from tune_cluster.study.study_file import read_study_file, write_study_file

OWN_FLAGS = {
    **{"epoch_budget": None, "target": None, "study_patience": None},
    **{"learn_from": None, "trials": 1},
}
"""Options that a second study does not take over: it ends with its last trial, and knows its own
configurations and their number."""


def check_ready(study: str, first: StoredStudy) -> None:
    """Raise a ValueError if a trial of the first study has not ended, or its script, which runs the
    second one, is not there."""
    left = len(first.state.trials) - first.state.ended
    if left:
        raise ValueError(
            f"STUDY {study}: {left} of its trials have not ended; finish it first: "
            f"--resume {argument(study)}"
        )
    script = first.about["command"][1]
    if not Path(script).is_file():
        raise ValueError(
            f"STUDY {study}: its script {script} is not there; call this where the study was "
            "started"
        )


def create(
    address: str, first: Mapping[str, Any], *, searcher: str, flags: Mapping[str, Any], **more: Any
) -> None:
    """Create a second study.

    Args:
        address: its address.
        first: content of `study.json` of the first study.
        searcher: name of the class of its searcher.
        flags: its own values of shared options, beside `OWN_FLAGS`.
        more: further fields of its `study.json`.

    Raises:
        ValueError: the storage cannot be written.
    """
    name = name_in(address)
    with ExitStack() as held:
        directory = StudyDirectory.create(address.removesuffix(f"/{name}"), name, held)
        description = {
            **{field: value for field, value in first.items() if field not in ("crc", "price")},
            "flags": {**first["flags"], **OWN_FLAGS, "name": name, **flags},
            "strategy": {"searcher": searcher},
            "points": None,
            **more,
            "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }
        write_study_file(directory.path, description)


def of_this(directory: Path, field: str, study: str, what: str) -> dict[str, Any]:
    """Return the content of `study.json` of an existing second study; raise a ValueError if its
    `field` does not name the first study, of which it is to be `what`."""
    known = read_study_file(directory)
    if known.get(field, {}).get("study") != name_in(study):
        raise ValueError(
            f"STUDY {study}: {directory.name} exists beside it, and is no {what} of it"
        )
    return known


def remove_unbegun(address: str) -> None:
    """Remove the second study at an address if no session of it has begun: its script has refused
    it or could not be run, or the user has declined it."""
    # There is none, or another driver has it.
    with suppress(ValueError), ExitStack() as held:
        directory = StudyDirectory.find(address, held)
        if not (directory.path / JOURNAL).stat().st_size:
            shutil.rmtree(directory.path, ignore_errors=True)
