"""`study.json`: what a study was started with, and whether the resuming script still says so."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import ConfigDict, Field
from typing_extensions import NotRequired, TypedDict

from search_spaces.objective import Mode
from tune_cluster.storage.inside import read_regular, write_file
from tune_cluster.storage.integrity import check, crc_of, parse
from tune_cluster.storage.retry import StorageRetry
from tune_cluster.storage.store import LocalStore

STUDY_FILE = "study.json"
SCHEMA_VERSION = 1

NOT_CHECKED = frozenset(
    ("crc", "job", "command", "notices", "versions", "git_commit", "created", "price")
)
"""What is only shown, and may be another one: no checksum is of it."""

FIELDS = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)

Positive: TypeAlias = Annotated[int, Field(ge=1, le=2**53)]


class _Parameter(TypedDict):
    name: str


class _Space(TypedDict):
    parameters: list[_Parameter]
    fixed: dict[str, Any]


class _Rungs(TypedDict):
    __pydantic_config__ = FIELDS  # type: ignore[misc]

    rungs: list[Positive]
    grace_period: Positive | None
    """None: the lowest rungs are left out where they do not rank."""
    reduction_factor: Annotated[int, Field(ge=2, le=2**53)]
    max_epochs: Positive


class _Dataset(TypedDict):
    name: str
    source: str
    notice: str
    fingerprint: str


class _Flags(TypedDict):
    storage_path: str


class _Audits(TypedDict):
    study: str
    share: Annotated[float, Field(gt=0, le=1)]


class StudyFile(TypedDict):
    """The fields of `study.json`."""

    __pydantic_config__ = FIELDS  # type: ignore[misc]

    schema_version: int
    job: str
    command: Annotated[list[str], Field(min_length=2)]
    """Interpreter, script, and what was typed after them."""
    seed: Annotated[int, Field(ge=0)]
    metric: str
    mode: Mode
    flags: _Flags
    """Those that all jobs share, by their names."""
    options: dict[str, Any]
    """The job's own."""
    space: _Space
    strategy: dict[str, Any]
    """Searcher and scheduler, each as it describes itself."""
    dataset: _Dataset
    notices: NotRequired[list[str]]
    """What a person was told before anything else."""
    inputs: NotRequired[dict[str, str]]
    """Fingerprints of what else the trials depend on."""
    versions: NotRequired[dict[str, str]]
    git_commit: NotRequired[str]
    created: NotRequired[str]
    audits: NotRequired[_Audits]
    """The name of a study beside this one, and the share of its stopped trials that this one
    continues."""
    price: NotRequired[dict[str, Any]]
    crc: NotRequired[int]
    """The CRC-32 of what decides on the study's table; an earlier version has written none."""


def write_json(
    path: Path,
    content: Mapping[str, Any],
    retry: StorageRetry | None = None,
    study: Path | None = None,
) -> None:
    """Writes the whole file or leaves the old one, as `write_text` does."""
    write_text(path, json.dumps(content, indent=2, default=str) + "\n", retry, study)


def write_text(
    path: Path, text: str, retry: StorageRetry | None = None, study: Path | None = None
) -> None:
    """Writes the whole file or leaves the old one.

    Args:
        study: the directory that the file is below, in which no link is followed; that of the file
            if None.

    Raises:
        LinkError: a folder between the two is a link.
        StorageLostError: the storage failed, and did not come back.
    """
    folder = path.parent
    waiting = retry or StorageRetry(LocalStore(folder))
    waiting(lambda: write_file(study or folder, path, text.encode()))


def write_study_file(
    directory: Path, description: Mapping[str, Any], retry: StorageRetry | None = None
) -> None:
    """Writes `study.json` with its checksum, as `write_json` does."""
    content = json.loads(json.dumps(description, default=str))
    content["crc"] = crc_of(content, NOT_CHECKED)
    write_json(directory / STUDY_FILE, content, retry)


def read_study_file(directory: Path, flag: str = "--resume") -> dict[str, Any]:
    """What a study was started with, as it was written; `flag` named it, for the error.

    Raises:
        ValueError: there is no study in `directory`, one that this version cannot read, or one
            whose file is damaged: a field is missing or of another type, or it was changed.
    """
    where = f"{flag} {directory}: "
    try:
        data = read_regular(directory / STUDY_FILE)
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(f"{where}no study is there (it has no {STUDY_FILE})") from None
    except OSError as error:
        raise ValueError(f"{where}{STUDY_FILE} cannot be read ({error.strerror})") from None
    try:
        stored: dict[str, Any] = parse(data)
        version = stored.get("schema_version") if isinstance(stored, dict) else None
        if version != SCHEMA_VERSION:
            raise ValueError(
                f"written in schema {version!r:.40}, this version reads {SCHEMA_VERSION}"
            )
        if "crc" in stored and stored["crc"] != crc_of(stored, NOT_CHECKED):
            raise ValueError(
                "it was changed since it was written: its checksum is another one; only "
                f"{', '.join(sorted(NOT_CHECKED - {'crc'}))} may be others"
            )
        check(StudyFile, stored)
        if "rungs" in stored["strategy"]:
            check(_Rungs, stored["strategy"])
    except ValueError as error:
        raise ValueError(f"{where}{STUDY_FILE}: {error}") from None
    return stored


ABSENT = "absent"
"""In place of a hyperparameter that is not there."""


def check_unchanged(directory: Path, **now: Any) -> None:
    """Refuses, by a ValueError with both values, what would give another meaning to the trials that
    are known.

    Args:
        directory: of the study; nothing is refused of one that is new.
        now: by its name in `study.json`, what the script says. What an earlier version has not
            written there is not compared.
    """
    if not (directory / STUDY_FILE).exists():
        return
    first = read_study_file(directory)
    said = json.loads(json.dumps(now, default=str))
    common = [name for name in said if name in first]
    if changed := [one for n in common for one in differences(n, first[n], said[n])]:
        raise ValueError(
            f"--resume {directory}: the script does not say what the study was started with: "
            f"{'; '.join(changed)}. Put that back, or start a new study"
        )


def differences(name: str, was: Any, here: Any) -> Iterator[str]:
    """In words, both values of each part that is another one."""
    if name == "space":
        was, here = dimensions(was), dimensions(here)
    if isinstance(was, Mapping) and isinstance(here, Mapping):
        for part in {**was, **here}:
            # A value may be None.
            before, now = was.get(part, ABSENT), here.get(part, ABSENT)
            if before != now:
                yield f"{part} was {before}, here {now}"
    elif was != here:
        yield f"{name} was {was}, here {here}"


def dimensions(space: Mapping[str, Any]) -> dict[str, Any]:
    """What is searched and what is fixed in the space of a `study.json`, by name; the order decides
    which point has which value."""
    searched = {branch(parameter): parameter for parameter in space["parameters"]}
    return {**searched, **space["fixed"], "order of the hyperparameters": list(searched)}


def branch(parameter: Mapping[str, Any]) -> str:
    """The name of a hyperparameter, and where it exists: each branch may have one of that name."""
    condition = parameter.get("condition")
    return str(parameter["name"]) if condition is None else f"{parameter['name']} for {condition}"
