"""A search space: a selection of hyperparameters as data, which all strategies share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from search_spaces.hyperparameter import Hyperparameter
from search_spaces.values import Value, ValueIndex, as_plain, same

SETTLING = ("epochs_warmup", "freeze_epochs")
"""Hyperparameters that count the first epochs, whose metrics are not comparable: the learning rate
is still low, or only the head is trained."""

SAMPLES = 64
"""Number of sampled configurations in a check for incompatible values."""


def _checked_parameters(space: str, given: object) -> tuple[Hyperparameter, ...]:
    if isinstance(given, Mapping):
        raise ValueError(
            f"space {space}: got a dict with {', '.join(map(str, given)) or 'nothing'}; give a "
            "tuple of Hyperparameter, since Ray's domains are not read here"
        )
    parameters = tuple(given) if isinstance(given, (tuple, list)) else (given,)
    for parameter in parameters:
        if not isinstance(parameter, Hyperparameter):
            raise ValueError(
                f"space {space}: {parameter!r} is no Hyperparameter; give Hyperparameter(...)"
            )
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
    """A named selection of hyperparameters for one question; all others have `fixed` values.

    Two branches may have a hyperparameter of the same name, each with its own range: their
    conditions must exclude each other.

    Raises:
        ValueError: a parameter appears twice, is also fixed, comes before the one that its
            condition names, or can never exist.
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
        """Unique name of each of `parameters`: with its condition if the name occurs twice."""
        names = [p.name for p in self.parameters]
        return [p.name if names.count(p.name) == 1 else p.branch for p in self.parameters]

    def fix(self, /, **values: Value) -> Space:
        """Return the space with these values fixed, without parameters that can no longer exist.

        A hyperparameter whose existence still depends on the search is fixed only where it exists:
        `momentum` under SGD, and not under Adam.
        """
        values = {name: self._own(name, value) for name, value in values.items()}
        open_names = {name for name in values if self._depends(name, set(values))}
        fixed = {k: v for k, v in {**dict(self.fixed), **values}.items() if k not in open_names}
        searched = [
            p.only(values[p.name]) if p.name in open_names else p
            for p in self.parameters
            if p.name not in fixed
        ]
        possible = tuple(possible_under(fixed, searched))
        return replace(self, parameters=possible, fixed=tuple(fixed.items()))

    def _depends(self, name: str, fixed: set[str]) -> bool:
        """Return whether the existence of a hyperparameter depends on searched ones."""
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
        """Return the space's own value, with its type, that equals `value`."""
        for parameter in self.parameters:
            if parameter.name == name and parameter.has(value):
                return parameter.restored(value)
        return value

    def point(self, u: Sequence[float]) -> dict[str, Value]:
        """Return the configuration at `u`, one number in [0, 1) for each of `parameters`.

        A parameter whose condition does not hold is left out but still uses its number, so that the
        others do not change.
        """
        if len(u) != len(self.parameters):
            raise ValueError(
                f"space {self.name}: got {len(u)} numbers; give {len(self.parameters)}, one for "
                "each hyperparameter"
            )
        config: dict[str, Value] = dict(self.fixed)
        for parameter, at in zip(self.parameters, u, strict=True):
            if parameter.exists_under(config):
                config[parameter.name] = parameter.at(at)
        return config

    def unit(self, config: Mapping[str, object]) -> list[float | None]:
        """Return the inverse of `point`: the number of each parameter, None if it does not exist.

        For a list or an integer range it is the middle of the value's share of [0, 1).

        Raises:
            ValueError: a value is missing or not in the space.
        """
        numbers: list[float | None] = []
        known = {**dict(self.fixed), **config}
        for parameter in self.parameters:
            if not parameter.exists_under(known):
                numbers.append(None)
            elif parameter.name not in config:
                raise ValueError(
                    f"space {self.name}: {parameter.name} is missing in {config}; give its value"
                )
            else:
                numbers.append(parameter.unit(config[parameter.name]))
        return numbers

    def complete(self, partial: Mapping[str, object]) -> dict[str, Value]:
        """Return `partial` completed to a configuration of this space.

        A missing value is the default, or the end of the range that is nearest to the default.

        Raises:
            ValueError: a value is not in the space, or a hyperparameter does not exist here.
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
        """Return `config`, as read from JSON, with this space's own values."""
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
        """Largest number of epochs, in this space, before which trials cannot be compared."""
        found = [value for name in SETTLING for value in self.values_of(name)]
        # A user's space may have None as a value.
        return max((float(v) for v in found if isinstance(v, (int, float))), default=0.0)

    def values_of(self, name: str) -> tuple[Value, ...]:
        """Return the values that a hyperparameter may have here, of a range its two ends; none if
        the space does not have it."""
        found = [value for fixed, value in self.fixed if fixed == name]
        for parameter in self.parameters:
            if parameter.name == name:
                found += parameter.values or (parameter.low, parameter.high)
        return tuple(found)

    def samples(self) -> Iterable[dict[str, Value]]:
        """Return the lowest and the highest point, and random ones: enough to include values that
        no trainable accepts, and common pairs of incompatible values."""
        for u in (0.0, 1.0 - 2**-53):
            yield self.point([u] * len(self.parameters))
        for uniforms in np.random.default_rng(0).random((SAMPLES, len(self.parameters))):
            yield self.point(uniforms.tolist())

    def describe(self) -> dict[str, object]:
        """Return the space as plain JSON, for `study.json`."""
        return {
            "name": self.name,
            "parameters": [parameter.describe() for parameter in self.parameters],
            "fixed": dict(self.fixed),
        }


def possible_under(
    fixed: Mapping[str, Value], parameters: Iterable[Hyperparameter]
) -> list[Hyperparameter]:
    """Return those of `parameters` that can exist beside the `fixed` values and each other."""
    found: list[Hyperparameter] = []
    for parameter in parameters:
        if any(map(parameter.may_depend_on, found)) or parameter.exists_under(fixed):
            found.append(parameter)
    return found


def checked_space(given: object, of: str) -> Space:
    """Return `given` if it is a `Space`; raise a ValueError that names `of` otherwise."""
    if isinstance(given, Space):
        return given
    names = f" with {', '.join(map(str, given))}" if isinstance(given, Mapping) else ""
    raise ValueError(
        f"{of}: the space is a {type(given).__name__}{names}; give a Space of Hyperparameter, "
        "since Ray's domains are not read here"
    )


def nested(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration as a trainable gets it: `outer/inner` becomes a nested dictionary."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        *outer, last = name.split("/")
        place = found
        for key in outer:
            place = place.setdefault(key, {})
        place[last] = value
    return found


def flattened(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inverse of `nested`."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            found.update({f"{name}/{inner}": at for inner, at in flattened(value).items()})
        else:
            found[name] = value
    return found
