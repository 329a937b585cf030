"""`study.json`: the settings of a study, and a check that the resuming script has the same ones."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, ConfigDict, Field
from typing_extensions import NotRequired, TypedDict

from search_spaces.objective import Mode
from tune_cluster.storage.inside import read_regular, write_file
from tune_cluster.storage.integrity import check, crc_of, parse
from tune_cluster.storage.retry import StorageRetry
from tune_cluster.storage.store import LocalStore

STUDY_FILE = "study.json"
BEST, BEST_FILE = "best", "best.json"
"""Folder of the best checkpoint, and the file in it that describes it."""
DATA_FILE = "data.html"
"""Page of the look at the data."""
SCHEMA_VERSION = 1

NOT_CHECKED = frozenset(
    ("crc", "job", "command", "notices", "versions", "git_commit", "created", "price")
)
"""Fields that are only shown, and may change; the checksum excludes them."""

FIELDS = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)

Positive: TypeAlias = Annotated[int, Field(ge=1, le=2**53)]

Bound: TypeAlias = Annotated[float, Field(ge=-1e300, le=1e300)]
"""End of a range, between which a difference is finite."""

Amount: TypeAlias = Annotated[float, Field(ge=0, le=1e300)]


def _has_its_values(parameter: _Parameter) -> _Parameter:
    """Refuse a hyperparameter whose range no number can be drawn from."""
    low, high = parameter.get("low"), parameter.get("high")
    if (low is None) != (high is None):
        raise ValueError("low and high come together")
    if low is not None and high is not None and low > high:
        raise ValueError(f"low is {low}, above high, {high}")
    if low is not None and low <= 0 and parameter.get("scale") == "log":
        raise ValueError(f"low is {low}; a log scale is of positive numbers")
    return parameter


class _Parameter(TypedDict):
    __pydantic_config__ = FIELDS  # type: ignore[misc]

    name: str
    low: NotRequired[Bound]
    high: NotRequired[Bound]
    scale: NotRequired[Literal["linear", "log"]]
    integer: NotRequired[bool]
    values: NotRequired[list[Any]]
    condition: NotRequired[dict[str, list[Any]]]
    """Values of another hyperparameter under which this one exists."""


class _Space(TypedDict):
    __pydantic_config__ = FIELDS  # type: ignore[misc]

    parameters: list[Annotated[_Parameter, AfterValidator(_has_its_values)]]
    fixed: dict[str, Any]


class _Rungs(TypedDict):
    __pydantic_config__ = FIELDS  # type: ignore[misc]

    rungs: list[Positive]
    grace_period: Positive | None
    """None: the lowest rungs are left out if they rank trials badly."""
    reduction_factor: Annotated[int, Field(ge=2, le=2**53)]
    max_epochs: Positive


class _Dataset(TypedDict):
    name: str
    source: str
    notice: str
    fingerprint: str


class _Flags(TypedDict):
    __pydantic_config__ = FIELDS  # type: ignore[misc]

    storage_path: str
    trials: NotRequired[Positive | None]
    gpus_per_trial: NotRequired[Amount | None]
    price_per_gpu_hour: NotRequired[Amount | None]


class _Audits(TypedDict):
    study: str
    share: Annotated[float, Field(gt=0, le=1)]


class _Candidate(TypedDict):
    name: str
    trial: int | None
    """Trial of the first study that has its configuration; None if no trial has."""
    config: dict[str, Any]


class _Confirms(TypedDict):
    study: str
    top: Positive
    seeds: Positive
    candidates: NotRequired[Annotated[list[_Candidate], Field(min_length=1)]]
    """Known from the first session on, as `fresh_split` is."""
    fresh_split: NotRequired[bool]


class StudyFile(TypedDict):
    """Fields of `study.json`."""

    __pydantic_config__ = FIELDS  # type: ignore[misc]

    schema_version: int
    job: str
    command: Annotated[list[str], Field(min_length=2)]
    """Interpreter, script, and its arguments."""
    seed: Annotated[int, Field(ge=0)]
    metric: str
    mode: Mode
    flags: _Flags
    """Flags that all jobs share, by name."""
    options: dict[str, Any]
    """Flags of the job itself."""
    space: _Space
    strategy: dict[str, Any]
    """Descriptions of searcher and scheduler."""
    dataset: _Dataset
    notices: NotRequired[list[str]]
    """Notices shown to the user at the start."""
    cluster_gpus: NotRequired[Annotated[float, Field(ge=0)]]
    """GPUs of the cluster at the start."""
    leakage: NotRequired[dict[str, Annotated[float, Field(ge=0, le=1)]]]
    """Share of a part's samples that another part has too, by the names of both."""
    inputs: NotRequired[dict[str, str]]
    """Fingerprints of other inputs of the trials."""
    versions: NotRequired[dict[str, str]]
    git_commit: NotRequired[str]
    created: NotRequired[str]
    audits: NotRequired[_Audits]
    """Name of a study beside this one, and the share of its stopped trials that this one
    continues."""
    confirms: NotRequired[_Confirms]
    """Name of a study beside this one, and which of its configurations this one trains again, with
    how many seeds; whether each seed splits the data anew."""
    price: NotRequired[dict[str, Any]]
    crc: NotRequired[int]
    """CRC-32 of the fields that determine the results; absent in files of an earlier version."""


def write_json(
    path: Path,
    content: Mapping[str, Any],
    retry: StorageRetry | None = None,
    study: Path | None = None,
) -> None:
    """Write a complete JSON file or leave the old one unchanged, as `write_text`."""
    write_text(path, json.dumps(content, indent=2, default=str) + "\n", retry, study)


def write_text(
    path: Path, text: str, retry: StorageRetry | None = None, study: Path | None = None
) -> None:
    """Write a complete file or leave the old one unchanged.

    Args:
        path: path of the file.
        text: its new content.
        retry: retries of the storage.
        study: directory above the file, in which no link is followed; the folder of the file if
            None.

    Raises:
        LinkError: a folder between the two is a link.
        StorageLostError: the storage failed permanently.
    """
    folder = path.parent
    waiting = retry or StorageRetry(LocalStore(folder))
    waiting(lambda: write_file(study or folder, path, text.encode()))


def write_study_file(
    directory: Path, description: Mapping[str, Any], retry: StorageRetry | None = None
) -> None:
    """Write `study.json` with its checksum, as `write_json`."""
    content = json.loads(json.dumps(description, default=str))
    content["crc"] = crc_of(content, NOT_CHECKED)
    write_json(directory / STUDY_FILE, content, retry)


def read_study_file(directory: Path, flag: str = "--resume") -> dict[str, Any]:
    """Return the content of `study.json`.

    Args:
        directory: folder of the study.
        flag: flag that named it, for error messages.

    Raises:
        ValueError: there is no study in `directory`, this version cannot read it, or its file is
            damaged: a field is missing or of another type, or it was changed.
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
        confirms = stored.get("confirms", {})
        if ("candidates" in confirms) != ("fresh_split" in confirms):
            raise ValueError("confirms.candidates and confirms.fresh_split come together")
    except ValueError as error:
        raise ValueError(f"{where}{STUDY_FILE}: {error}") from None
    return stored


ABSENT = "absent"
"""Text for a hyperparameter that does not exist."""


def check_unchanged(directory: Path, **now: Any) -> None:
    """Raise a ValueError, with both values, for a change that would alter the meaning of existing
    trials.

    Args:
        directory: folder of the study; a new one is not checked.
        now: settings of the script, by their name in `study.json`. Fields that an earlier version
            has not written are not compared.
    """
    if not (directory / STUDY_FILE).exists():
        return
    first = read_study_file(directory)
    said = json.loads(json.dumps(now, default=str))
    common = [name for name in said if name in first]
    if changed := [one for n in common for one in differences(n, first[n], said[n])]:
        raise ValueError(
            f"--resume {directory}: the script differs from the start of the study: "
            f"{'; '.join(changed)}. Change that back, or start a new study"
        )


def differences(name: str, was: Any, here: Any) -> Iterator[str]:
    """Yield both values of each part that differs, in words."""
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
    """Return the searched and the fixed hyperparameters of the space in a `study.json`, by name;
    the order determines the values of each point."""
    searched = {branch(parameter): parameter for parameter in space["parameters"]}
    return {**searched, **space["fixed"], "order of the hyperparameters": list(searched)}


def branch(parameter: Mapping[str, Any]) -> str:
    """Return the name of a hyperparameter with its condition: each branch may have its own."""
    condition = parameter.get("condition")
    return str(parameter["name"]) if condition is None else f"{parameter['name']} for {condition}"
