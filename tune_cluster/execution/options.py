"""The options that all studies share: a job is called with them, and each is a flag."""

from __future__ import annotations

import json
import math
import types
import typing
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import tyro
from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.dataclasses import dataclass
from typing_extensions import Self

from tune_cluster.storage.quota import parse_bytes
from tune_cluster.storage.store import check_address, check_name, expanded

RESUMABLE = (
    "trials",
    "max_concurrent",
    "cpus_per_trial",
    "gpus_per_trial",
    "address",
    "time_budget",
    "epoch_budget",
    "target",
    "study_patience",
    "keep_best",
    "checkpoint_budget",
    "price_per_gpu_hour",
    "yes",
)
"""What a resume may change: none of it changes what a trial computes."""

ONE_SESSION = {
    **{"time_budget": None, "address": None, "resume": None},
    **{"resume_or_start": False, "repair": False, "yes": False},
}
"""What is said for one session, and is not taken over by the next one. (A flag that is set by
default could only be unset: `--no-yes`.)"""

DEFAULT_TRIALS = 64
"""Where nobody says how many: enough for two or three hyperparameters."""

DEFAULT_EPOCHS = 27
"""Where nobody says how many: rungs of 1, 3 and 9 epochs below it."""

LEAST_SHARE = 0.0001
"""Of a core or a GPU, as Ray counts them."""

SMOKE_TEST_TRIALS, SMOKE_TEST_EPOCHS = 4, 3
"""Of a smoke test, whatever the job."""


def flag(name: str) -> str:
    """`--max-epochs` for `max_epochs`."""
    return "--" + name.replace("_", "-")


def _checked(check: Callable[[Any], object]) -> AfterValidator:
    """A validator that keeps the value which `check` does not refuse."""

    def checked(value: Any) -> Any:
        check(value)
        return value

    return AfterValidator(checked)


def _expanded(name: str) -> AfterValidator:
    return AfterValidator(lambda path: expanded(flag(name), path))


def _check_gpus(gpus: float) -> None:
    if 0 < gpus < LEAST_SHARE:
        raise ValueError(f"it must be 0, or at least {LEAST_SHARE:g}")
    if gpus > 1 and gpus != int(gpus):
        raise ValueError("it must be a fraction up to 1 or a whole number")


def _metavar(name: str) -> Any:
    return tyro.conf.arg(metavar=name)


# Beyond these bounds no machine has the memory for the trials, and no generator takes the seed.
_Trials = Annotated[int, Field(ge=1, le=1_000_000)]
_Epochs = Annotated[int, Field(ge=1, le=1_000_000_000)]
_Seed = Annotated[int, Field(ge=0, lt=2**64)]
_Count = Annotated[int, Field(ge=1)]
_Cpus = Annotated[float, Field(ge=LEAST_SHARE, le=1_000_000)]
_Gpus = Annotated[float, Field(ge=0, le=1_000_000), _checked(_check_gpus)]
_Name = Annotated[str, _checked(lambda name: check_name("--name", name))]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Options:
    """The options that all studies share.

    Raises:
        ValueError: a value out of its range.
    """

    trials: Annotated[_Trials | None, _metavar("N")] = None
    """Trials in all; on resume more than before, and the missing ones are run. Without it what the
    job says, or 64, 8 for a population, all points of a grid."""
    max_epochs: Annotated[_Epochs | None, _metavar("N")] = None
    """Epochs after which a trial has ended that was not stopped before. Without it 27, or what a
    preset was found with."""
    seed: _Seed = 0
    """Decides configurations, split and every trial's random streams."""
    defaults: bool = True
    """The first trial has the defaults of the space; with --no-defaults, as for a comparison, the
    searcher suggests it."""
    learn_from: Annotated[Annotated[str, _expanded("learn_from")] | None, _metavar("FOLDER")] = None
    """Earlier studies of the same trainable, on whatever data: a folder of studies, or
    s3://bucket/folder. Up to 8 trials begin with what was best there."""
    cpus_per_trial: _Cpus = 1.0
    """CPU cores of a trial, and its threads."""
    gpus_per_trial: _Gpus = 0.0
    """GPUs of a trial; 0.25 puts four on one."""
    max_concurrent: Annotated[_Count | None, _metavar("N")] = None
    """Trials at once; without it as many as the cluster holds."""
    address: Annotated[str | None, _metavar("ADDRESS")] = None
    """A running cluster (host:port, or auto); local starts one for this job; without it one is
    found or started."""
    storage_path: Annotated[str, _expanded("storage_path")] = "results"
    """Where studies are kept: a folder on storage that all nodes share, or s3://bucket/folder."""
    name: Annotated[_Name | None, _metavar("NAME")] = None
    """Of the study, the folder STORAGE-PATH/NAME; without it the job's name and the time."""
    resume: Annotated[Annotated[str, _expanded("resume")] | None, _metavar("STUDY")] = None
    """The folder of a study, or s3://bucket/folder/name, to be gone on with."""
    resume_or_start: bool = False
    """Resume the study of that --name, or start it if there is none: one command for every system
    that runs a job again."""
    repair: bool = False
    """With --resume, of a study whose journal is damaged: go on with a copy of what is whole of it,
    which is written beside it."""
    time_budget: Annotated[Annotated[float, Field(gt=0)] | None, _metavar("SECONDS")] = None
    """Seconds after which the study ends in order; it can be resumed."""
    epoch_budget: Annotated[_Count | None, _metavar("EPOCHS")] = None
    """Epochs of all trials together after which the study ends."""
    target: Annotated[float | None, _metavar("VALUE")] = None
    """Of the study's metric: the first trial that reaches it ends the study."""
    study_patience: Annotated[_Count | None, _metavar("N")] = None
    """So many trials that end without a new best end the study."""
    keep_best: Annotated[_Count, _metavar("N")] = 5
    """So many of the best trials keep their best checkpoint when they have ended; fewer where a
    budget is short."""
    checkpoint_budget: Annotated[
        Annotated[str, _checked(parse_bytes)] | None, _metavar("BYTES")
    ] = None
    """What the checkpoints of all trials together may take at any moment, such as 10GB or 8GiB;
    without it nothing is counted. `best/` is a copy beside them."""
    price_per_gpu_hour: Annotated[Annotated[float, Field(ge=0)] | None, _metavar("MONEY")] = None
    """What a GPU costs an hour: the cost estimate before the study is then in money too."""
    yes: bool = False
    """Do what is asked for, however large: without a question at the terminal, and a grid of more
    than 10,000 points."""
    smoke_test: bool = False
    """4 trials of 3 epochs, on the smallest dataset unless one is given: does everything work?"""

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.repair and self.resume is None:
            raise ValueError("--repair: give --resume STUDY too, the study that is damaged")
        if self.resume_or_start and self.resume is not None:
            raise ValueError("--resume-or-start: it finds the study by --name; leave out --resume")
        if self.resume_or_start and self.name is None:
            raise ValueError("--resume-or-start: give --name NAME too, by which the study is found")
        check_address("--storage-path", self.storage_path)
        check_address("--resume", self.resume or "")
        check_address("--learn-from", self.learn_from or "")
        return self

    @property
    def epochs(self) -> int:
        """Epochs of a trial that is not stopped: `max_epochs`, else 27."""
        return DEFAULT_EPOCHS if self.max_epochs is None else self.max_epochs

    @property
    def start_points(self) -> list[dict[str, object]]:
        """What the first trials of a job have: all defaults, or nothing."""
        return [{}] if self.defaults else []


OPTION_NAMES = frozenset(known.name for known in fields(Options))


def options_of(**values: Any) -> Options:
    """`Options(**values)`, whose ValueError is one line with flag, value and rule."""
    try:
        return Options(**values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        rule = str(first["msg"]).removeprefix("Value error, ").replace("Input should", "it should")
        if not first["loc"] or rule.startswith("--"):
            raise ValueError(rule) from None
        value = first["input"]
        shown = f"{value:g}" if isinstance(value, float) and math.isfinite(value) else value
        raise ValueError(f"{flag(str(first['loc'][0]))} {shown}: {rule}") from None


def check_stored_type(name: str, annotation: Any, value: Any) -> None:
    """Refuse a value of `study.json` that is not of an option's type."""
    if not _plain(annotation):
        return
    try:
        # As JSON: it has paths as texts, and tuples as lists.
        TypeAdapter(annotation).validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        why = error.errors(include_url=False)[0]["msg"].replace("Input should", "it should")
        raise ValueError(f"--resume: study.json: {name} is {value!r:.60}; {why}") from None


def _plain(annotation: Any) -> bool:
    """Whether JSON has values of a type as they are."""
    origin = typing.get_origin(annotation)
    if origin is typing.Literal:
        return True
    if origin is Annotated:
        return _plain(typing.get_args(annotation)[0])
    if origin in (list, tuple, dict, typing.Union, types.UnionType):
        return all(inner is Ellipsis or _plain(inner) for inner in typing.get_args(annotation))
    return annotation in (bool, int, float, str, Path, type(None))
