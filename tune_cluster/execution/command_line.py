"""The command line of a job: the options that all studies share, and the job's own parameters."""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

import docstring_parser
import tyro
from rich.console import Console

from tune_cluster.execution.flags import Flag, read_flags
from tune_cluster.execution.options import (
    ONE_SESSION,
    OPTION_NAMES,
    RESUMABLE,
    SMOKE_TEST_EPOCHS,
    SMOKE_TEST_TRIALS,
    Options,
    check_stored_type,
    flag,
    options_of,
)
from tune_cluster.storage.store import expanded

T = TypeVar("T")

PATHS = ("storage_path", "resume", "learn_from", "dataset")
"""Options that may be a path, or may be no path."""

ADDED: Mapping[str, object] = {
    **{"repair": False, "resume_or_start": False},
    **{"defaults": False, "learn_from": None, "ensemble": None, "verbose": False},
    "report": True,
}
"""Options that are missing in the `study.json` of an earlier version, with their meaning there."""

REMOVED = ("dataset", "data_dir", "model")
"""Options of all jobs in an earlier version, which now belong to the jobs that use them."""


@dataclass(frozen=True)
class Command:
    """The parsed options and parameters of a job."""

    options: Options
    own: dict[str, Any]
    """The job's own parameters."""
    changed: frozenset[str] = frozenset()
    """Names of the shared options whose value is not the default."""

    def stored(self) -> dict[str, Any]:
        """Return both as plain JSON, for `study.json`; fields of a dataclass among the job's
        parameters are stored beside the parameters."""
        own: dict[str, Any] = {}
        for name, value in self.own.items():
            nested = is_dataclass(value) and not isinstance(value, type)
            own.update(asdict(value) if nested else {name: value})
        both = {"flags": asdict(self.options), "options": own}
        return {
            kind: {k: str(v) if isinstance(v, Path) else v for k, v in values.items()}
            for kind, values in both.items()
        }


def parse(job: Callable[..., object], argv: Sequence[str], stored: Any = None) -> Command:
    """Parse the command line of `job`; with `stored`, a study's stored command gives the defaults.

    It ends the process with code 0 after `--help`.

    Args:
        job: job whose parameters become flags.
        argv: arguments of the command line.
        stored: content of `study.json`, if a study is resumed.

    Raises:
        ValueError: a flag is unknown, of the wrong type or out of range; a parameter of the job
            cannot be a flag; with `stored`, a value must not change.
    """
    own = _own_flags(job)
    defaults = _defaults(own, stored)
    helps = _helps(Options)
    hints = typing.get_type_hints(Options, include_extras=True)
    shared = [Flag(n, hints[n], defaults[n], helps[n], "") for n in hints if n in OPTION_NAMES]
    if not {"-h", "--help"}.isdisjoint(argv):
        resumed = (
            f"With --resume STUDY these may change: {_changing(own)}. The script must say the same "
            "metric, mode, space, searcher, scheduler and name of the trainable."
        )
        _print_paragraphs([*_paragraphs(job), resumed, ""])
    try:
        lists = [
            flag(one.name) for one in own if typing.get_origin(one.annotation) in (tuple, list)
        ]
        words = gathered(argv, lists)
        typed = read_flags([*shared, *own], words, defaults, prog=f"python {sys.argv[0]}")
    except ValueError as error:
        if "Unrecognized" not in str(error):
            raise
        raise ValueError(
            f"{error}; a script with a parser of its own passes main(job, rest) what `args, rest = "
            "parser.parse_known_args()` leaves"
        ) from None
    return _command(own, defaults, {n: _typed(n, v) for n, v in typed.items()}, stored)


def gathered(words: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the words of a command line with all values of a repeated flag behind one occurrence,
    for each flag in `names`; the parser would read the last occurrence alone."""
    values: dict[str, list[str]] = {}
    rest: list[str] = []
    into = rest
    for word in words:
        name, equals, value = word.partition("=")
        if name in names:
            into = values.setdefault(name, [])
            into += [value] * bool(equals)
        elif word.startswith("--"):
            into = rest
            into.append(word)
        else:
            into.append(word)
    return [*rest, *(word for name, found in values.items() for word in (name, *found))]


def arguments_of(
    job: Callable[..., object], arguments: Mapping[str, Any], stored: Any = None
) -> Command:
    """Return the same from keyword arguments in Python."""
    own = _own_flags(job)
    defaults = _defaults(own, stored)
    values = dict(defaults)
    for name, value in arguments.items():
        group = next((f.group for f in own if f.group is not None and f.parameter == name), None)
        if group is not None:
            values.update({known.name: getattr(value, known.name) for known in fields(group)})
        elif name in defaults:
            text = name in PATHS and isinstance(value, Path)
            values[name] = _typed(name, str(value) if text else value)
        else:
            raise ValueError(f"{name}: unknown option; the options are {', '.join(defaults)}")
    return _command(own, defaults, values, stored)


def _command(
    own: Sequence[Flag], defaults: Mapping[str, Any], values: Mapping[str, Any], stored: Any
) -> Command:
    if stored is not None:
        values = _as_chosen(defaults, values, stored["options"])
        _refuse_changes(own, defaults, values)
    shared = {name: values[name] for name in values if name in OPTION_NAMES}
    changed = frozenset(name for name, value in shared.items() if value != defaults[name])
    if shared["smoke_test"] and stored is None:
        small = {"trials": SMOKE_TEST_TRIALS, "max_epochs": SMOKE_TEST_EPOCHS}
        for name, value in small.items():
            if name in changed:
                raise ValueError(
                    f"{flag(name)} {shared[name]}: a smoke test has {value}; leave one of the two "
                    "flags out"
                )
        # The job may determine the number of trials.
        shared["max_epochs"] = SMOKE_TEST_EPOCHS
    parameters: dict[str, Any] = {}
    for one in own:
        if one.group is None:
            parameters[one.parameter] = values[one.name]
        elif one.parameter not in parameters:
            parameters[one.parameter] = one.group(
                **{known.name: values[known.name] for known in fields(one.group)}
            )
    return Command(options_of(**shared), parameters, changed)


def bound(command: Callable[..., T], argv: Sequence[str], *, prog: str) -> Callable[[], T]:
    """Bind the arguments of a command line to a command; keyword-only parameters are flags.

    The `*flags` of a command get all other arguments, unread, except the command's own flags.

    Args:
        command: function to call.
        argv: arguments of the command line.
        prog: name of the program, for messages.

    Raises:
        ValueError: an argument is missing, unknown or of the wrong type.
    """
    parameters = inspect.signature(command, eval_str=True).parameters.values()
    own = [p for p in parameters if p.kind is not p.VAR_POSITIONAL]
    positional = [p for p in own if p.kind is not p.KEYWORD_ONLY]
    read, rest = list(argv), []
    if len(own) < len(parameters):
        rest, typed = read, []
        names = [flag(p.name) for p in own if p.kind is p.KEYWORD_ONLY]
        for name in names:
            at = next((n for n, word in enumerate(rest) if word.partition("=")[0] == name), None)
            if at is not None:
                words = 1 if "=" in rest[at] else 2
                typed += rest[at : at + words]
                del rest[at : at + words]
        # A command that passes its flags on leaves the help to its script.
        if names and not {"-h", "--help"}.isdisjoint(rest):
            typed = ["--help"]
        read, rest = [*rest[: len(positional)], *typed], rest[len(positional) :]
    helps = _helps(command)
    flags = []
    for p in own:
        kind = p.annotation
        if p.kind is not p.KEYWORD_ONLY:
            name = p.name.upper() if p.default is p.empty else f"[{p.name.upper()}]"
            kind = Annotated[tyro.conf.Positional[kind], tyro.conf.arg(metavar=name)]  # type: ignore[misc, valid-type]
        flags.append(Flag(p.name, kind, p.default, helps.get(p.name, ""), p.name))
    if not {"-h", "--help"}.isdisjoint(read):
        print_help(command)
    elif own and own[0].default is inspect.Parameter.empty and (not read or read[0][:1] == "-"):
        raise ValueError(f"{prog}: {own[0].name.upper()} is missing: {flags[0].help}")
    values = read_flags(flags, read, {p.name: p.default for p in own}, prog=prog)
    first = [values.pop(p.name) for p in positional]
    return partial(command, *first, *rest, **values)


def print_help(command: Callable[..., object]) -> None:
    """Print what the docstring of a command says above its arguments."""
    _print_paragraphs([*_paragraphs(command), ""])


def _paragraphs(function: Callable[..., object]) -> list[str]:
    """Return the paragraphs of a docstring above its arguments, one line each."""
    text = (inspect.getdoc(function) or "").split("\nArgs:")[0]
    return [line for paragraph in text.split("\n\n") if (line := " ".join(paragraph.split()))]


def _print_paragraphs(paragraphs: Sequence[str]) -> None:
    # By rich, which breaks lines between words: tyro does not break descriptions.
    Console().print("\n\n".join(paragraphs), highlight=False, markup=False)


def _changing(own: Sequence[Flag]) -> str:
    return ", ".join(map(flag, [*RESUMABLE, *(one.name for one in own if one.resumable)]))


def _helps(documented: object) -> dict[str, str]:
    """Return the documentation of the fields of a dataclass or the parameters of a function,
    without line breaks, which tyro would keep."""
    if inspect.isclass(documented):
        # The source of a class has its own fields alone.
        classes = [one for one in reversed(documented.__mro__) if is_dataclass(one)]
        found = [p for one in classes for p in docstring_parser.parse_from_object(one).params]
    else:
        found = docstring_parser.parse(inspect.getdoc(documented) or "").params
    return {p.arg_name: " ".join((p.description or "").split()) for p in found}


def _own_flags(job: Callable[..., object]) -> list[Flag]:
    """Return the flags of a job: its parameters after the options; of a dataclass each field."""
    try:
        parameters = list(inspect.signature(job, eval_str=True).parameters.values())
    except (NameError, AttributeError, TypeError, SyntaxError) as error:
        raise ValueError(f"the types of the job's parameters cannot be read: {error}") from None
    if not parameters or parameters[0].kind is inspect.Parameter.KEYWORD_ONLY:
        raise ValueError("the job needs a first parameter, the options: def job(options, ...)")
    helps = _helps(job)
    found: list[Flag] = []
    for parameter in parameters[1:]:
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            found += _flags_of(parameter, helps.get(parameter.name, ""))
    taken = {*OPTION_NAMES, "help"}
    for name in (one.name for one in found):
        if name in taken:
            instead = f"read options.{name}, or " * (name in OPTION_NAMES)
            raise ValueError(
                f"{flag(name)}: the job's parameter {name} has the name of another flag; "
                f"{instead}give it another name"
            )
        taken.add(name)
    return found


def _flags_of(parameter: inspect.Parameter, help_text: str) -> Iterator[Flag]:
    name, group, default = parameter.name, parameter.annotation, parameter.default
    if isinstance(group, type) and is_dataclass(group):
        helps, hints = _helps(group), typing.get_type_hints(group, include_extras=True)
        whole = group() if default is parameter.empty else default
        for known in fields(group):
            value = getattr(whole, known.name)
            yield Flag(known.name, hints[known.name], value, helps.get(known.name, ""), name, group)
        return
    # `--resume STUDY` alone must be a complete command line.
    if default is parameter.empty:
        raise ValueError(f"{flag(name)}: the job's parameter needs a default")
    if parameter.annotation is parameter.empty:
        raise ValueError(
            f"{flag(name)}: the job's parameter needs a type, such as "
            f"{name}: {type(default).__name__} = {default!r}"
        )
    yield Flag(name, parameter.annotation, default, help_text, name)


def _defaults(own: Sequence[Flag], stored: Any) -> dict[str, Any]:
    """Return the default of each flag: of a resumed study its stored value."""
    shared = {known.name: known.default for known in fields(Options)}
    defaults = {**shared, **{one.name: one.default for one in own}}
    if stored is None:
        return defaults
    hints = {**typing.get_type_hints(Options), **{one.name: one.annotation for one in own}}
    earlier = {name for one in own for name in getattr(one.group, "earlier", ())}
    allowed = {
        "flags": {*OPTION_NAMES, *REMOVED},
        "options": {*(one.name for one in own), *earlier},
    }
    for kind, names in allowed.items():
        for name, value in stored[kind].items():
            if name not in names:
                raise ValueError(
                    f"--resume: study.json: {kind}.{name!r:.60} is unknown to this job"
                )
            if name in defaults:
                check_stored_type(f"{kind}.{name}", hints[name], value)
                # JSON has neither paths nor tuples.
                typed = isinstance(defaults[name], (Path, tuple)) and value is not None
                defaults[name] = type(defaults[name])(value) if typed else value
    for group in {one.group for one in own}:
        # A value that was chosen when the study began is kept, however it was chosen.
        defaults.update(getattr(group, "of_study", lambda _: {})(stored))
    lacking = OPTION_NAMES - stored["flags"].keys()
    for name in sorted(lacking - ADDED.keys()):
        raise ValueError(f"--resume: study.json: flags.{name} is missing")
    return {**defaults, **{name: ADDED[name] for name in lacking}, **ONE_SESSION}


def _as_chosen(
    defaults: Mapping[str, Any], values: Mapping[str, Any], said: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the values, with the study's own choice in place of a value that left the choice to
    it: `--searcher auto`, given again, is no change."""
    return {
        name: defaults[name] if name in said and value == said[name] else value
        for name, value in values.items()
    }


def _typed(name: str, value: Any) -> Any:
    """Return a given value, with `~` expanded in a path."""
    if isinstance(value, (tuple, list)):
        return type(value)(_typed(name, item) for item in value)
    if isinstance(value, Path):
        return Path(expanded(flag(name), str(value)))
    return expanded(flag(name), value) if name in PATHS and value is not None else value


def _refuse_changes(own: Sequence[Flag], before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    free = {*RESUMABLE, *ONE_SESSION, *(one.name for one in own if one.resumable)}
    if now["resume_or_start"]:
        # The study was found by these.
        free |= {"name", "storage_path"}
    for name, was in before.items():
        if was != now[name] and name not in free:
            raise ValueError(
                f"{flag(name)} {now[name]}: the study was started with {was}; on resume only these "
                f"may change: {_changing(own)}"
            )
    if before["trials"] is not None and (now["trials"] or 0) < before["trials"]:
        raise ValueError(
            f"--trials {now['trials']}: the study has {before['trials']} already; it can only grow"
        )
