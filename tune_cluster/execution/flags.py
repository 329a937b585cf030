"""Flags of a command line, and the values that its words give them, read by tyro."""

from __future__ import annotations

import copy
import difflib
import inspect
import io
import re
import types
import typing
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, field, make_dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from tune_cluster.command_words import taken
from tune_cluster.execution.options import flag

NAMES: Mapping[object, str] = {
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    Path: "a path",
    str: "a text",
}
"""Allowed values of each type, in words."""


@dataclass(frozen=True)
class Flag:
    """A flag of the job itself."""

    name: str
    annotation: Any
    default: Any
    help: str
    parameter: str
    """Parameter of the job that takes its value."""
    group: type | None = None
    """Dataclass that has it as a field, which is the parameter's type; None without one."""

    @property
    def resumable(self) -> bool:
        """Whether `--resume` may change it."""
        return self.name in getattr(self.group, "resumable", ())


def read_flags(
    flags: Sequence[Flag], argv: Sequence[str], defaults: Mapping[str, Any], *, prog: str
) -> dict[str, Any]:
    """Return the values of the flags on a command line, by name; raise a ValueError for an unknown
    one or one of the wrong type."""
    kind = make_dataclass(
        "CommandLine",
        [
            # A dataclass does not accept a list as a default.
            (
                one.name,
                Annotated[one.annotation, tyro.conf.arg(help=one.help or None)],
                field()
                if defaults[one.name] is inspect.Parameter.empty
                else field(default_factory=partial(copy.deepcopy, defaults[one.name])),
            )
            for one in flags
        ],
        frozen=True,
        kw_only=True,
    )
    errors = io.StringIO()
    try:
        with redirect_stderr(errors):
            parsed: Any = tyro.cli(
                kind,
                prog=prog,
                args=list(argv),
                description="",
                config=(tyro.conf.FlagCreatePairsOff,),
            )
    except SystemExit as ended:
        if not ended.code:
            raise
        message = _message_in(errors.getvalue())
        failed = re.match(r"Error parsing (--[\w-]+)", message)
        for one in flags:
            if failed and flag(one.name) == failed[1]:
                message = _refused(one, argv, flags)
        if message.startswith("Unrecognized"):
            message += _meant_by(message, [flag(one.name)[2:] for one in flags])
        raise ValueError(f"{message}; --help lists the flags") from None
    return {one.name: getattr(parsed, one.name) for one in flags}


def _message_in(box: str) -> str:
    """Return the error that tyro prints in a box of several lines, as one line."""
    printed = [line.strip("│ ") for line in box.splitlines()]
    # Between the head of the box and the line above the help, if any.
    lines = [line for line in printed if line and line[0] not in "╭╰"]
    end = next((at for at, line in enumerate(lines) if line.startswith("─")), len(lines))
    # The errors of the single types of a union are left out.
    return " ".join(lines[:end]).partition(" Got errors:")[0].rstrip(".")


def _meant_by(message: str, known: Sequence[str]) -> str:
    """Return which flags may be meant by those that a message names, as its last words.

    Args:
        message: the error.
        known: names of all flags, without the dashes.
    """
    unknown = re.findall(r"(?<![\w-])--([\w-]+)", message)
    near = [name for word in unknown for name in difflib.get_close_matches(word, known, n=1)]
    return f" (did you mean --{' --'.join(near)}?)" if near else ""


def _refused(one: Flag, argv: Sequence[str], flags: Sequence[Flag]) -> str:
    """Return what was given to a flag, what is allowed, and the flag that may be meant."""
    words = " ".join(taken(argv, flag(one.name))[1])
    mistakes = [getattr(other.group, "taken_for", {}) for other in flags]
    meant = {mistake[one.name] for mistake in mistakes if one.name in mistake}
    instead = "".join(f" (did you mean {flag(name)} {words}?)" for name in meant)
    return f"{flag(one.name)} {words}: it must be {allowed(one.annotation)}{instead}"


def allowed(kind: Any) -> str:
    """Return the values that a flag of this type takes, in words.

    >>> allowed(int | Literal["auto"] | None)
    'a whole number or auto'
    """
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        return allowed(inside[0])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(allowed(one) for one in inside if one is not type(None))
    if origin is Literal:
        return ", ".join(map(str, inside))
    if origin in (tuple, list):
        return f"{allowed(inside[0])}, once or several times" if inside else "a list"
    return NAMES.get(kind, str(kind))
