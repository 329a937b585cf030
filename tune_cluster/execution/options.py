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
    "report",
    "verbose",
    "yes",
)
"""Options that a resume may change: none of them changes the results of a trial."""

ONE_SESSION = {
    **{"time_budget": None, "address": None, "resume": None},
    **{"resume_or_start": False, "repair": False, "ensemble": None},
    **{"verbose": False, "yes": False, "report": True},
}
"""Options of one session, which the next one does not take over. (A flag that is set by default
could only be unset: `--no-yes`; one that is unset only set, so that `--no-report`, given again,
would be unknown.)"""

DEFAULT_TRIALS = 64
"""Default number of trials: enough for two or three hyperparameters."""

OPEN_END = 1_000_000
"""Epochs of a trial whose function returns by itself, without a limit from the user."""

DEFAULT_EPOCHS = 27
"""Default number of epochs: allows rungs of 1, 3 and 9 epochs."""

LEAST_SHARE = 0.0001
"""Smallest share of a core or a GPU that Ray counts."""

SMOKE_TEST_TRIALS, SMOKE_TEST_EPOCHS = 4, 3
"""Trials and epochs of a smoke test, for every job."""


def flag(name: str) -> str:
    """Return `--max-epochs` for `max_epochs`."""
    return "--" + name.replace("_", "-")


def _checked(check: Callable[[Any], object]) -> AfterValidator:
    """Return a validator that keeps the value if `check` does not raise."""

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


MOST_TRIALS = 1_000_000
"""Largest number of trials: beyond it no machine has the memory for them."""

# No generator accepts a larger seed.
_Trials = Annotated[int, Field(ge=1, le=MOST_TRIALS)]
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
        ValueError: a value is out of its range.
    """

    trials: Annotated[_Trials | None, _metavar("N")] = None
    """Number of trials; on resume more than before, and the missing ones are run. Default: what the
    job sets, or 64, 8 for a population, all points of a grid."""
    max_epochs: Annotated[_Epochs | None, _metavar("N")] = None
    """Epochs after which a trial ends if it was not stopped before. Default: 27, or those of the
    preset."""
    seed: _Seed = 0
    """Seed of the configurations, the split and every trial's random streams."""
    defaults: bool = True
    """The first trial has the defaults of the space; with --no-defaults, as for a comparison, the
    searcher suggests it."""
    learn_from: Annotated[Annotated[str, _expanded("learn_from")] | None, _metavar("FOLDER")] = None
    """Earlier studies of the same trainable, on any data: a folder of studies, or
    s3://bucket/folder. Up to 8 trials begin with the best configurations there."""
    cpus_per_trial: _Cpus = 1.0
    """CPU cores of a trial, and its threads."""
    gpus_per_trial: _Gpus = 0.0
    """GPUs of a trial; 0.25 puts four on one."""
    max_concurrent: Annotated[_Count | None, _metavar("N")] = None
    """Trials at once. Default: as many as the cluster holds."""
    address: Annotated[str | None, _metavar("ADDRESS")] = None
    """A running cluster (host:port, or auto); local starts one for this job. Default: one that is
    found, or a new one."""
    storage_path: Annotated[str, _expanded("storage_path")] = "results"
    """Folder of the studies, on storage that all nodes share, or s3://bucket/folder."""
    name: Annotated[_Name | None, _metavar("NAME")] = None
    """Name of the study, in the folder STORAGE-PATH/NAME. Default: the job's name and the time."""
    resume: Annotated[Annotated[str, _expanded("resume")] | None, _metavar("STUDY")] = None
    """The study to resume: its folder, or s3://bucket/folder/name."""
    resume_or_start: bool = False
    """Resume the study of that --name, or start it if there is none: one command for every system
    that runs a job again."""
    repair: bool = False
    """With --resume, of a study whose journal is damaged: resume a copy with its intact part, which
    is written beside it."""
    ensemble: Annotated[Annotated[int, Field(ge=2, le=1000)] | None, _metavar("N")] = None
    """With --resume: train nothing, and compare ensembles of the N best trials, as `tune-cluster
    evaluate` does."""
    time_budget: Annotated[Annotated[float, Field(gt=0)] | None, _metavar("SECONDS")] = None
    """Seconds after which the study ends in order; it can be resumed."""
    epoch_budget: Annotated[_Count | None, _metavar("EPOCHS")] = None
    """Total epochs of all trials after which the study ends."""
    target: Annotated[float | None, _metavar("VALUE")] = None
    """Value of the study's metric: the first trial that reaches it ends the study."""
    study_patience: Annotated[_Count | None, _metavar("N")] = None
    """Number of trials that end without a new best after which the study ends."""
    keep_best: Annotated[_Count, _metavar("N")] = 5
    """Number of best trials that keep their best checkpoint when they have ended; fewer if a budget
    is short."""
    checkpoint_budget: Annotated[
        Annotated[str, _checked(parse_bytes)] | None, _metavar("BYTES")
    ] = None
    """Limit for the checkpoints of all trials together, such as 10GB or 8GiB. Default: no limit.
    `best/`, a copy, is not counted."""
    price_per_gpu_hour: Annotated[Annotated[float, Field(ge=0)] | None, _metavar("MONEY")] = None
    """Price of a GPU per hour: adds the money to the cost estimate before the study."""
    report: bool = True
    """Write the report into the study when it ends, for which the extra `report` must be installed;
    with --no-report, `tune-cluster report STUDY` writes it later."""
    verbose: bool = False
    """Print the metrics of each epoch of each trial, and its loss, scores, learning rate and
    throughput every `print_freq` updates, when the epoch ends."""
    yes: bool = False
    """Do what is asked for, however large: without a question at the terminal, and a grid of more
    than 10,000 points."""
    smoke_test: bool = False
    """Run 4 trials of 3 epochs, on the smallest dataset unless one is given, to test that all
    works."""

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.repair and self.resume is None:
            raise ValueError("--repair: give --resume STUDY too, the study that is damaged")
        if self.ensemble is not None and self.resume is None:
            raise ValueError("--ensemble: give --resume STUDY too, the study that is evaluated")
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
        """Configurations of a job's first trials: one with all defaults, or none."""
        return [{}] if self.defaults else []


OPTION_NAMES = frozenset(known.name for known in fields(Options))


def options_of(**values: Any) -> Options:
    """Return `Options(**values)`; its ValueError is one line with flag, value and rule."""
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
    """Raise a ValueError for a value of `study.json` that has not the type of its option."""
    if not _plain(annotation):
        return
    try:
        # As JSON: it has texts for paths, and lists for tuples.
        TypeAdapter(annotation).validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        why = error.errors(include_url=False)[0]["msg"].replace("Input should", "it should")
        raise ValueError(f"--resume: study.json: {name} is {value!r:.60}; {why}") from None


def _plain(annotation: Any) -> bool:
    """Return whether JSON has values of a type unchanged."""
    origin = typing.get_origin(annotation)
    if origin is typing.Literal:
        return True
    if origin is Annotated:
        return _plain(typing.get_args(annotation)[0])
    if origin in (list, tuple, dict, typing.Union, types.UnionType):
        return all(inner is Ellipsis or _plain(inner) for inner in typing.get_args(annotation))
    return annotation in (bool, int, float, str, Path, type(None))
