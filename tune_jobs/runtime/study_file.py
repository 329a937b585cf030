"""`study.json`: what a study was started with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tune_jobs.runtime.storage.inside import write_file
from tune_jobs.runtime.storage.outage import Outages
from tune_jobs.runtime.storage.places import Folder

STUDY_FILE = "study.json"
SCHEMA_VERSION = 1


def write_json(
    path: Path,
    content: Mapping[str, Any],
    outages: Outages | None = None,
    study: Path | None = None,
) -> None:
    """Writes the whole file or leaves the old one.

    Args:
        path: of the file.
        content: of it.
        outages: of its storage.
        study: the directory that the file is below, in which no link is followed; that of the file
            if None.

    Raises:
        LinkError: a folder between the two is a link.
        StorageLostError: the storage failed, and did not come back.
    """
    write_text(path, json.dumps(content, indent=2, default=str) + "\n", outages, study)


def write_text(
    path: Path, text: str, outages: Outages | None = None, study: Path | None = None
) -> None:
    """The same for a text."""
    folder = path.parent
    waiting = outages or Outages(Folder(folder))
    waiting(lambda: write_file(study or folder, path, text.encode()))


def read_study_file(directory: Path, flag: str = "--resume") -> dict[str, Any]:
    """What a study was started with.

    Args:
        directory: of the study.
        flag: that named it, for the error.

    Raises:
        ValueError: there is no study in `directory`, or one that this version cannot read.
    """
    path = directory / STUDY_FILE
    if not path.is_file():
        raise ValueError(f"{flag} {directory}: no study is there (it has no {STUDY_FILE})")
    try:
        stored: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{flag} {directory}: {STUDY_FILE} is not JSON ({error})") from None
    if stored.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(
            f"{flag} {directory}: written in schema {stored.get('schema_version')}, this version "
            f"reads {SCHEMA_VERSION}"
        )
    return stored
