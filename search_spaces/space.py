"""A search space: a selection of hyperparameters as data, which every strategy reads alike."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from search_spaces.hyperparameter import Hyperparameter
from search_spaces.values import Value, ValueIndex, as_plain, as_tuples, same

SETTLING = ("epochs_warmup", "freeze_epochs")
"""Hyperparameters that count first epochs whose metrics say little: with a low learning rate, or
with the head alone in training."""

SAMPLES = 64
"""Of a space, to look for values that do not go together."""


def _checked_parameters(space: str, given: object) -> tuple[Hyperparameter, ...]:
    if isinstance(given, Mapping):
        raise ValueError(
            f"space {space}: got a dict with {', '.join(map(str, given)) or 'nothing'}; give a "
            "tuple of Hyperparameter, since Ray's domains are not read here"
        )
    parameters = tuple(given) if isinstance(given, (tuple, list)) else (given,)
    for parameter in parameters:
        if not isinstance(parameter, Hyperparameter):
            raise ValueError(f"space {space}: {parameter!r} is no Hyperparameter")
    return parameters


def _checked_fixed(space: str, given: object) -> tuple[tuple[str, Value], ...]:
    pairs = tuple(given.items()) if isinstance(given, Mapping) else given
    try:
        return tuple((name, as_plain(value, f"{name}: fixed value")) for name, value in pairs)  # type: ignore[attr-defined]
    except TypeError:
        raise ValueError(
            f"space {space}: fixed must be pairs of name and value, got {given!r}"
        ) from None


@dataclass(frozen=True)
class Space:
    """A named selection of hyperparameters, for one question; the rest has `fixed` values.

    Two branches may have a hyperparameter of one name, each with its own range: the conditions must
    exclude each other.

    Raises:
        ValueError: a parameter that can appear twice, is fixed as well, comes before the one that
            its condition names, or can never exist.
    """

    name: str
    parameters: tuple[Hyperparameter, ...]
    fixed: tuple[tuple[str, Value], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", _checked_parameters(self.name, self.parameters))
        object.__setattr__(self, "fixed", _checked_fixed(self.name, self.fixed))
        fixed = dict(self.fixed)
        if len(fixed) < len(self.fixed):
            raise ValueError(f"space {self.name}: a fixed value is given twice: {self.fixed}")
        seen: list[Hyperparameter] = []
        for parameter in self.parameters:
            twice = [p for p in seen if p.name == parameter.name and not parameter.excludes(p)]
            if parameter.name in fixed or twice:
                raise ValueError(f"space {self.name}: {parameter.name} is given twice")
            known = [*fixed, *(p.name for p in seen)]
            if parameter.condition and parameter.condition[0] not in known:
                raise ValueError(
                    f"space {self.name}: {parameter.name} depends on {parameter.condition[0]}, "
                    "which must be in the space, before it, or fixed"
                )
            if not (parameter.exists_under(fixed) or any(map(parameter.may_depend_on, seen))):
                raise ValueError(
                    f"space {self.name}: {parameter.branch} can never exist, since "
                    f"{parameter.condition and parameter.condition[0]} has no such value"
                )
            seen.append(parameter)

    @property
    def labels(self) -> list[str]:
        """A name for each of `parameters` that is unique: with its condition where it needs it."""
        names = [p.name for p in self.parameters]
        return [p.name if names.count(p.name) == 1 else p.branch for p in self.parameters]

    def fix(self, /, **values: Value) -> Space:
        """The same space with these values fixed too, without what can no longer exist.

        A hyperparameter whose existence still depends on the search has its value where it exists
        alone: `momentum` under SGD, and nothing under Adam.
        """
        values = {name: self._own(name, value) for name, value in values.items()}
        open_names = {name for name in values if self._depends(name, set(values))}
        fixed = {k: v for k, v in {**dict(self.fixed), **values}.items() if k not in open_names}
        searched: list[Hyperparameter] = []
        for parameter in self.parameters:
            if not (any(map(parameter.may_depend_on, searched)) or parameter.exists_under(fixed)):
                continue
            if parameter.name in open_names:
                searched.append(parameter.only(values[parameter.name]))
            elif parameter.name not in fixed:
                searched.append(parameter)
        return replace(self, parameters=tuple(searched), fixed=tuple(fixed.items()))

    def _depends(self, name: str, fixed: set[str]) -> bool:
        """Whether the existence of a hyperparameter depends on what is searched."""
        entries = [p for p in self.parameters if p.name == name]
        if not entries or any(p.condition is None for p in entries):
            return False
        (parent,) = {p.condition[0] for p in entries if p.condition}
        above = [p for p in self.parameters if p.name == parent]
        if parent in fixed:
            return self._depends(parent, fixed - {parent})
        covered = ValueIndex([value for p in entries if p.condition for value in p.condition[1]])
        there = [value for p in above for value in p.values]
        return bool(above) and (
            any(covered.of(value) is None for value in there) or self._depends(parent, fixed)
        )

    def _own(self, name: str, value: Value) -> Value:
        """The value that the space has for it, of its own type."""
        for parameter in self.parameters:
            if parameter.name == name and parameter.has(value):
                return parameter.restored(value)
        return value

    def point(self, u: Sequence[float]) -> dict[str, Value]:
        """The configuration at `u`, one number in [0, 1) for each of `parameters`.

        A parameter whose condition does not hold uses up its number and is left out, so that the
        others do not change with it.
        """
        if len(u) != len(self.parameters):
            raise ValueError(f"space {self.name}: {len(self.parameters)} numbers, got {len(u)}")
        config: dict[str, Value] = dict(self.fixed)
        for parameter, at in zip(self.parameters, u, strict=True):
            if parameter.exists_under(config):
                config[parameter.name] = parameter.at(at)
        return config

    def unit(self, config: Mapping[str, object]) -> list[float | None]:
        """The inverse of `point`: the number of each parameter, None of one that is not there; of a
        list or an integer range, the middle of the value's share of [0, 1).

        Raises:
            ValueError: a value is missing or not in the space.
        """
        numbers: list[float | None] = []
        known = {**dict(self.fixed), **config}
        for parameter in self.parameters:
            if not parameter.exists_under(known):
                numbers.append(None)
            elif parameter.name not in config:
                raise ValueError(f"space {self.name}: {parameter.name} is missing in {config}")
            else:
                numbers.append(parameter.unit(config[parameter.name]))
        return numbers

    def complete(self, partial: Mapping[str, object]) -> dict[str, Value]:
        """`partial` as a configuration of this space; what is missing has its default, or the end
        of the range that is nearest to it.

        Raises:
            ValueError: a value that is not in the space, or a name that this point does not have.
        """
        config: dict[str, Value] = dict(self.fixed)
        for parameter in self.parameters:
            if parameter.exists_under(config):
                value = partial.get(parameter.name, parameter.nearest_default)
                config[parameter.name] = parameter.restored(value)
        for name, value in partial.items():
            if name not in config or not same(value, config[name]):
                allowed = ", ".join(config)
                raise ValueError(f"space {self.name}: no {name}={value} here; it has {allowed}")
        return config

    def restored(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """`config`, as JSON gave it back, with the values that this space has for it."""
        whole = dict(config)
        for name, value in self.fixed:
            if name in config and same(config[name], value):
                whole[name] = value
        for parameter in self.parameters:
            name = parameter.name
            there = name in config and parameter.exists_under(config)
            if there and parameter.has(config[name]):
                whole[name] = parameter.restored(config[name])
        return whole

    def settling_epochs(self) -> float:
        """The most epochs of a trial before early stopping would compare like with like."""
        found = [value for name, value in self.fixed if name in SETTLING]
        for parameter in self.parameters:
            if parameter.name in SETTLING:
                found += parameter.values or (parameter.high,)
        # A space of one's own may have None there.
        return max((float(v) for v in found if isinstance(v, (int, float))), default=0.0)

    def samples(self) -> Iterable[dict[str, Value]]:
        """The lowest and the highest point, and random ones: enough to meet a value that no config
        takes, and two that often meet and do not go together."""
        for u in (0.0, 1.0 - 2**-53):
            yield self.point([u] * len(self.parameters))
        for uniforms in np.random.default_rng(0).random((SAMPLES, len(self.parameters))):
            yield self.point(uniforms.tolist())

    def describe(self) -> dict[str, object]:
        """The space as plain JSON, for `study.json`."""
        return {
            "name": self.name,
            "parameters": [parameter.describe() for parameter in self.parameters],
            "fixed": dict(self.fixed),
        }


def checked_space(given: object, of: str) -> Space:
    """The space that a searcher or scheduler was given; a ValueError if it is none."""
    if isinstance(given, Space):
        return given
    names = f" with {', '.join(map(str, given))}" if isinstance(given, Mapping) else ""
    raise ValueError(
        f"{of}: the space is a {type(given).__name__}{names}; give a Space of Hyperparameter, "
        "since Ray's domains are not read here"
    )


def nested(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration as a trainable gets it: what is called `outer/inner` in a dictionary."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        *outer, last = name.split("/")
        place = found
        for key in outer:
            place = place.setdefault(key, {})
        place[last] = value
    return found


def flattened(config: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `nested`."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            found.update({f"{name}/{inner}": at for inner, at in flattened(value).items()})
        else:
            found[name] = value
    return found


FLAGS = {
    "epochs": "--max-epochs",
    "model": "--model",
    "seed": "--seed",
    "train_ratio": "--train-ratio",
}


def parse_fixed(words: Sequence[str]) -> dict[str, Value]:
    """What a person has typed as `name=value`: JSON or Python's literal, else a word.

    Raises:
        ValueError: a word without a name or a value, or a name that has a flag of its own.
    """
    values: dict[str, Value] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not (name and equals and text):
            raise ValueError(f"--fix {word}: give name=value, such as schedule=cosine")
        if name in values:
            raise ValueError(f"--fix {word}: {name} is given twice")
        if name in FLAGS:
            raise ValueError(f"--fix {word}: give {FLAGS[name]}, which the study has to know too")
        values[name] = as_tuples(_read(text))
    return values


def _read(text: str) -> Any:
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            # Brackets without end are one of the last two.
            continue
    return text
