"""The difference between two studies: settings, space, and what was found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces.objective import shown_value
from search_spaces.values import short
from tune_cluster.study.stored import StoredStudy

LEFT_OUT = ("crc", "schema_version", "created", "command", "price", "notices")
"""Fields of `study.json` that differ between any two studies, or follow from others."""

SESSION = ("flags.name", "flags.resume", "flags.resume_or_start", "flags.repair", "flags.yes")
"""Flags that say how a session was started, and nothing of the study."""

MISSING = object()


@dataclass(frozen=True)
class Difference:
    """One thing that differs."""

    name: str
    first: str
    second: str


def differences(first: StoredStudy, second: StoredStudy) -> list[Difference]:
    """Return what differs between two studies: what was found first, then settings by name."""
    found = dict(_found(first)), dict(_found(second))
    settings = dict(_settings(first.about)), dict(_settings(second.about))
    return [*_between(*found), *_between(*settings)]


def _between(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[Difference]:
    for name in dict.fromkeys([*first, *second]):
        a, b = first.get(name, MISSING), second.get(name, MISSING)
        if a != b:
            yield Difference(name, _shown(a), _shown(b))


def _found(study: StoredStudy) -> Iterator[tuple[str, Any]]:
    state = study.state
    yield "trials", len(state.trials)
    yield "epochs", sum(len(trial.results) for trial in state.trials.values())
    yield from sorted(state.counts.items())
    best = state.best
    if best is not None:
        yield f"best {state.objective.metric}", shown_value(best.value)
        yield "best epoch", best.epoch
        for one in study.about["space"]["parameters"]:
            config = best.trial.config_at(best.epoch)
            if one["name"] in config:
                yield f"best {one['name']}", config[one["name"]]


def _settings(about: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in about.items():
        if name in LEFT_OUT:
            continue
        if name == "space":
            yield from _space(value)
        elif isinstance(value, Mapping):
            inner = ((f"{name}.{key}", at) for key, at in value.items())
            yield from (one for one in inner if one[0] not in SESSION)
        else:
            yield name, value


def _space(space: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for one in space["parameters"]:
        where = "".join(
            f" where {name}={','.join(map(short, values))}"
            for name, values in one.get("condition", {}).items()
        )
        yield f"range of {one['name']}{where}", _range(one)
    for name, value in space["fixed"].items():
        yield f"fixed {name}", value


def _range(parameter: Mapping[str, Any]) -> str:
    if "low" in parameter:
        scale = parameter.get("scale", "linear")
        return f"{short(parameter['low'])} to {short(parameter['high'])}, {scale}"
    return ", ".join(map(short, parameter.get("values", ())))


def _shown(value: Any) -> str:
    return "" if value is MISSING else short(value)
