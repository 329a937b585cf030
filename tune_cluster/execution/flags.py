"""The command line of a job: the flags that all jobs share, and the job's own parameters."""

from __future__ import annotations

import copy
import inspect
import json
import math
import sys
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields, make_dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import docstring_parser
import tyro
from pydantic import TypeAdapter, ValidationError
from rich.console import Console

from tune_cluster.storage.addresses import check_address, check_name, expanded
from tune_cluster.storage.quota import parse_bytes

RESUMABLE = (
    "trials",
    "max_concurrent",
    "cpus_per_trial",
    "gpus_per_trial",
    "address",
    "dataset",
    "data_dir",
    "time_budget",
    "epoch_budget",
    "target",
    "study_patience",
    "keep_best",
    "checkpoint_budget",
    "price_per_gpu_hour",
    "yes",
)
"""What `--resume` lets change: none of it changes what a trial computes."""

LATER = ("repair",)
"""What a study of an earlier version does not say."""

PATHS = ("storage_path", "resume", "dataset")
"""What may be a path, and may be none."""

LARGEST = {"trials": 1_000_000, "max_epochs": 1_000_000_000, "seed": 2**64 - 1}
"""Beyond it no machine has the memory for the trials, and no generator takes the seed."""

LEAST_SHARE, MOST = 0.0001, 1_000_000
"""Of a core or GPU, as Ray counts them."""

TRIALS = 64
"""Where nobody says how many: enough for two or three hyperparameters."""

EPOCHS = 27
"""Where nobody says how many: rungs of 1, 3 and 9 epochs below it."""

MODEL = "mlp"
"""Where nobody says which: an epoch in a second."""

SMOKE_TEST = {"trials": 4, "max_epochs": 3}
"""What a smoke test has, whatever the job."""


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The flags that all jobs share.

    Raises:
        ValueError: a value out of its range.
    """

    trials: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Trials in all; on resume more than before, and the missing ones are run. Without it 64, 8
    for a population, all points of a grid, or a preset's seeds."""
    max_epochs: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Epochs after which a trial has ended that was not stopped before. Without it 27, or what a
    preset was found with."""
    dataset: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """fashion_mnist, mnist, cifar10 or digits, or the path of your own: an .npz file with x and y,
    or a folder of images by class. Without it fashion_mnist, and digits where that cannot be
    had."""
    data_dir: Path = Path("data")
    """Where datasets are kept."""
    model: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """mlp, cnn, resnet or linear. Without it mlp, or what the job searches."""
    seed: int = 0
    """Decides configurations, split and every trial's random streams."""
    cpus_per_trial: float = 1.0
    """CPU cores of a trial, and its threads."""
    gpus_per_trial: float = 0.0
    """GPUs of a trial; 0.25 puts four on one."""
    max_concurrent: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Trials at once; without it as many as the cluster holds."""
    address: Annotated[str | None, tyro.conf.arg(metavar="ADDRESS")] = None
    """A running cluster (host:port, or auto); local starts one for this job; without it one is
    found or started."""
    storage_path: str = "results"
    """Where studies are kept: a folder on storage that all nodes share, or s3://bucket/folder."""
    name: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Of the study, the folder STORAGE-PATH/NAME; without it the job's name and the time."""
    resume: Annotated[str | None, tyro.conf.arg(metavar="STUDY")] = None
    """The folder of a study, or s3://bucket/folder/name, to be gone on with."""
    repair: bool = False
    """With --resume, of a study whose journal is damaged: go on with a copy of what is whole of it,
    which is written beside it."""
    time_budget: Annotated[float | None, tyro.conf.arg(metavar="SECONDS")] = None
    """Seconds after which the study ends in order; it can be resumed."""
    epoch_budget: Annotated[int | None, tyro.conf.arg(metavar="EPOCHS")] = None
    """Epochs of all trials together after which the study ends."""
    target: Annotated[float | None, tyro.conf.arg(metavar="VALUE")] = None
    """Of the study's metric: the first trial that reaches it ends the study."""
    study_patience: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """So many trials that end without a new best end the study."""
    keep_best: Annotated[int, tyro.conf.arg(metavar="N")] = 5
    """So many of the best trials keep their best checkpoint when they have ended; fewer where a
    budget is short."""
    checkpoint_budget: Annotated[str | None, tyro.conf.arg(metavar="BYTES")] = None
    """What the checkpoints of all trials together may take at any moment, such as 10GB or 8GiB;
    without it nothing is counted. `best/` is a copy beside them."""
    price_per_gpu_hour: Annotated[float | None, tyro.conf.arg(metavar="MONEY")] = None
    """What a GPU costs an hour: the price before the study is then in money too."""
    yes: bool = False
    """Do what is asked for, however large: without a question at the terminal, and a grid of more
    than 10,000 points."""
    smoke_test: bool = False
    """4 trials of 3 epochs, on digits unless --dataset is given: does everything work?"""

    def __post_init__(self) -> None:
        at_least_one = (
            *("trials", "max_epochs", "max_concurrent", "epoch_budget", "study_patience"),
            "keep_best",
        )
        for name, least in (*((name, 1) for name in at_least_one), ("seed", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{flag(name)} must be at least {least}, got {value}")
        for name, most in LARGEST.items():
            value = getattr(self, name)
            if value is not None and value > most:
                raise ValueError(f"{flag(name)} must be at most {most:,}, got {value:,}")
        for name in ("cpus_per_trial", "time_budget"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise ValueError(f"{flag(name)} must be above 0, got {value}")
        for name in ("cpus_per_trial", "gpus_per_trial"):
            value = getattr(self, name)
            if 0 < value < LEAST_SHARE or MOST < value < math.inf:
                raise ValueError(
                    f"{flag(name)} must be from {LEAST_SHARE:g} to {MOST:,}, got {value:g}"
                )
        money = self.price_per_gpu_hour
        if money is not None and not (money >= 0 and math.isfinite(money)):
            raise ValueError(f"--price-per-gpu-hour must be at least 0, got {money:g}")
        if self.checkpoint_budget is not None:
            parse_bytes(self.checkpoint_budget)
        if self.target is not None and not math.isfinite(self.target):
            raise ValueError(f"--target must be a finite number, got {self.target}")
        gpus = self.gpus_per_trial
        if gpus < 0 or not math.isfinite(gpus) or (gpus > 1 and gpus != int(gpus)):
            raise ValueError(
                f"--gpus-per-trial must be a fraction up to 1 or a whole number, got {gpus:g}"
            )
        if self.name is not None:
            check_name("--name", self.name)
        if self.repair and self.resume is None:
            raise ValueError("--repair: give --resume STUDY too, the study that is damaged")
        check_address("--storage-path", self.storage_path)
        check_address("--resume", self.resume or "")


@dataclass(frozen=True)
class Command:
    """A command line as parsed."""

    flags: Flags
    options: dict[str, Any]
    """The job's own parameters."""
    given: frozenset[str] = frozenset()
    """The names of shared flags that were given another value than they have without it."""

    def stored(self) -> dict[str, Any]:
        """Both as plain JSON, for `study.json`."""
        both = {"flags": asdict(self.flags), "options": self.options}
        return {
            kind: {k: str(v) if isinstance(v, Path) else v for k, v in values.items()}
            for kind, values in both.items()
        }


def parse(job: Callable[..., object], argv: Sequence[str], stored: Any = None) -> Command:
    """The command line for `job`; with `stored`, what a study was started with, as its defaults.

    Ends the process with code 2 and a message where a flag is unknown, of the wrong type or out of
    its range.

    Raises:
        ValueError: with `stored`, a value that must not change; a parameter of the job that cannot
            be a flag; a flag that a smoke test would ignore.
    """
    command_type = _command_type(job)
    default = None if stored is None else _from_stored(command_type, stored)
    if not {"-h", "--help"}.isdisjoint(argv):
        # By rich, which breaks a line between words: tyro breaks what it describes at none.
        Console().print(_about(job), highlight=False, markup=False)
    parsed: Flags | None = tyro.cli(
        command_type,
        prog=f"python {sys.argv[0]}",
        args=list(argv),
        default=default,
        description="",
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    assert parsed is not None
    parsed = replace(
        parsed, **{f.name: _typed(f.name, getattr(parsed, f.name)) for f in fields(parsed)}
    )
    if default is not None:
        _refuse_changes(default, parsed)
    shared = {f.name: getattr(parsed, f.name) for f in fields(Flags)}
    without = Flags() if default is None else default
    given = frozenset(name for name, value in shared.items() if value != getattr(without, name))
    if shared["smoke_test"] and stored is None:
        for name, value in SMOKE_TEST.items():
            if name in given:
                raise ValueError(
                    f"{flag(name)} {shared[name]}: a smoke test has {value}; leave one of the two "
                    "flags out"
                )
        shared.update(SMOKE_TEST, dataset=shared["dataset"] or "digits")
    options = {f.name: getattr(parsed, f.name) for f in fields(parsed) if f.name not in shared}
    return Command(Flags(**shared), options, given)


def flag(name: str) -> str:
    """`--max-epochs` for `max_epochs`."""
    return "--" + name.replace("_", "-")


def _about(job: Callable[..., object]) -> str:
    """What a job asks, and what may change on a resume; a paragraph is a line."""
    asked = (inspect.getdoc(job) or "").split("\nArgs:")[0]
    paragraphs = [" ".join(paragraph.split()) for paragraph in asked.split("\n\n")]
    changing = ", ".join(map(flag, RESUMABLE))
    resumed = (
        f"With --resume STUDY these may change: {changing}. The script must say the same metric, "
        "mode, space, searcher, scheduler and name of the trainable."
    )
    return "\n\n".join([*filter(None, paragraphs), resumed, ""])


def _command_type(job: Callable[..., object]) -> type[Flags]:
    """The shared flags and the job's own parameters as one dataclass, with their help."""
    documented = docstring_parser.parse(inspect.getdoc(job) or "").params
    documented += docstring_parser.parse_from_object(Flags).params
    # Without the breaks of its lines here, which tyro would keep.
    helps = {p.arg_name: " ".join((p.description or "").split()) for p in documented}
    types = typing.get_type_hints(Flags, include_extras=True)
    shared = [
        (
            known.name,
            Annotated[types[known.name], tyro.conf.arg(help=helps[known.name])],
            field(default=known.default),
        )
        for known in fields(Flags)
    ]
    own = [
        (
            parameter.name,
            Annotated[parameter.annotation, tyro.conf.arg(help=helps.get(parameter.name, ""))],
            # A list is no default that a dataclass takes.
            field(default_factory=partial(copy.deepcopy, parameter.default))
            if isinstance(parameter.default, (list, dict, set))
            else field(default=parameter.default),
        )
        for parameter in _own_parameters(job)
    ]
    return make_dataclass("CommandLine", [*shared, *own], bases=(Flags,), frozen=True, kw_only=True)


def _own_parameters(job: Callable[..., object]) -> list[inspect.Parameter]:
    """The parameters of a job after the study, each of which becomes a flag.

    Raises:
        ValueError: the job takes no study, or a parameter has no type, no default, or the name of
            a shared flag.
    """
    try:
        parameters = list(inspect.signature(job, eval_str=True).parameters.values())
    except (NameError, AttributeError, TypeError, SyntaxError) as error:
        raise ValueError(f"the types of the job's parameters cannot be read: {error}") from None
    if not parameters or parameters[0].kind is inspect.Parameter.KEYWORD_ONLY:
        raise ValueError("the job needs a first parameter, the study: def job(study, ...)")
    shared = {known.name for known in fields(Flags)}
    named = [p for p in parameters[1:] if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    for parameter in named:
        name = parameter.name
        if name in (*shared, "help"):
            instead = f"read study.flags.{name}, or " * (name in shared)
            raise ValueError(
                f"{flag(name)}: the job's parameter {name} has the name of a flag that all jobs "
                f"have; {instead}give it another name"
            )
        # `--resume STUDY` alone must be a whole command line.
        if parameter.default is parameter.empty:
            raise ValueError(f"{flag(name)}: the job's parameter needs a default")
        if parameter.annotation is parameter.empty:
            raise ValueError(
                f"{flag(name)}: the job's parameter needs a type, such as "
                f"{name}: {type(parameter.default).__name__} = {parameter.default!r}"
            )
    return named


def _from_stored(command_type: type[Flags], stored: Any) -> Flags:
    _check_stored(command_type, stored)
    values = {**stored["flags"], **stored["options"]}
    for known in fields(command_type):
        # JSON has neither.
        if isinstance(known.default, (Path, tuple)) and values.get(known.name) is not None:
            values[known.name] = type(known.default)(values[known.name])
    # How long one session may take, where it runs and that it is agreed to was said for that one
    # (and a flag that is set by default could only be unset: `--no-yes`).
    values.update(time_budget=None, address=None, resume=None, repair=False, yes=False)
    return command_type(**values)


def _check_stored(command_type: type[Flags], stored: Any) -> None:
    """Holds what a study was started with against the types of flags and parameters.

    Raises:
        ValueError: a flag is missing, unknown or of another type.
    """
    hints = typing.get_type_hints(command_type)
    shared = {known.name for known in fields(Flags)}
    for kind, names in (("flags", shared), ("options", hints.keys() - shared)):
        for name in stored[kind].keys() - names:
            raise ValueError(f"--resume: study.json: {kind}.{name!r:.60} is unknown to this job")
        for name in sorted(names):
            if name in stored[kind]:
                _check_type(f"{kind}.{name}", hints[name], stored[kind][name])
            elif kind == "flags" and name not in LATER:
                raise ValueError(f"--resume: study.json: flags.{name} is missing")


def _check_type(name: str, annotation: Any, value: Any) -> None:
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
    if origin in (list, tuple, dict, typing.Union, types.UnionType):
        return all(inner is Ellipsis or _plain(inner) for inner in typing.get_args(annotation))
    return annotation in (bool, int, float, str, Path, type(None))


def _typed(name: str, value: Any) -> Any:
    """A value of the command line, with `~` expanded where it is a path."""
    if isinstance(value, (tuple, list)):
        return type(value)(_typed(name, item) for item in value)
    if isinstance(value, Path):
        return Path(expanded(flag(name), str(value)))
    return expanded(flag(name), value) if name in PATHS and value is not None else value


def _refuse_changes(default: Flags, parsed: Flags) -> None:
    for known in fields(default):
        before, now = getattr(default, known.name), getattr(parsed, known.name)
        if before == now or known.name in (*RESUMABLE, "resume", "repair"):
            continue
        allowed = ", ".join(map(flag, RESUMABLE))
        raise ValueError(
            f"{flag(known.name)} {now}: the study was started with {before}; on resume only these "
            f"may change: {allowed}"
        )
    if default.trials is not None and (parsed.trials or 0) < default.trials:
        raise ValueError(
            f"--trials {parsed.trials}: the study has {default.trials} already; it can only grow"
        )
