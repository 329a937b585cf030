"""What a hyperparameter and a search space are: data, which every strategy reads alike."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

Value: TypeAlias = float | int | str | tuple[int, ...]
Kind: TypeAlias = Literal["network", "optimization", "regularization", "data"]
Role: TypeAlias = Literal["scientific", "nuisance", "fixed"]
Scale: TypeAlias = Literal["linear", "log"]


@dataclass(frozen=True, kw_only=True)
class Hyperparameter:
    """One entry of the catalogue: a range (`low`, `high`, `scale`) or a list (`values`).

    `role` is the word of Godbole et al., *Deep Learning Tuning Playbook* (2023): scientific (the
    question of the study), nuisance (to be tuned so that the answer is fair) or fixed.

    Raises:
        ValueError: neither or both of range and list, or a range that its scale does not allow.
    """

    name: str
    meaning: str
    default: Value
    kind: Kind
    role: Role
    advice: str
    """Why this range, and who says so."""
    low: float | None = None
    high: float | None = None
    scale: Scale = "linear"
    values: tuple[Value, ...] = ()
    """The values themselves, in order where they have one."""
    condition: tuple[str, tuple[Value, ...]] | None = None
    """The hyperparameter and those of its values under which this one exists."""

    def __post_init__(self) -> None:
        if (self.low is None) != (self.high is None) or (self.low is None) == (not self.values):
            raise ValueError(f"{self.name}: give either low and high, or values")
        if self.low is not None and self.high is not None:
            if not self.low < self.high:
                raise ValueError(f"{self.name}: low {self.low} must be below high {self.high}")
            if self.scale == "log" and self.low <= 0:
                raise ValueError(f"{self.name}: a log scale must start above 0, got {self.low}")

    def at(self, u: float) -> Value:
        """The value at `u` in [0, 1): uniform on the scale of the range, or on the list."""
        if self.low is None or self.high is None:
            return self.values[min(int(u * len(self.values)), len(self.values) - 1)]
        if self.scale == "log":
            # A rounding may lead out of the range.
            return min(self.low * math.pow(self.high / self.low, u), self.high)
        return self.low + u * (self.high - self.low)

    def exists_under(self, config: Mapping[str, object]) -> bool:
        """Whether the condition holds in `config`, which has the parameters before this one."""
        return self.condition is None or config.get(self.condition[0]) in self.condition[1]

    def describe(self) -> dict[str, object]:
        """The dimension as plain JSON, for `study.json`."""
        if self.values:
            return {"name": self.name, "values": list(self.values)}
        return {"name": self.name, "low": self.low, "high": self.high, "scale": self.scale}


@dataclass(frozen=True)
class Space:
    """A named selection of hyperparameters, for one question; the rest has `fixed` values.

    Raises:
        ValueError: a parameter that appears twice, is fixed as well, or comes before the one that
            its condition names.
    """

    name: str
    parameters: tuple[Hyperparameter, ...]
    fixed: tuple[tuple[str, Value], ...] = ()

    def __post_init__(self) -> None:
        seen = [name for name, _ in self.fixed]
        for parameter in self.parameters:
            if parameter.name in seen:
                raise ValueError(f"space {self.name}: {parameter.name} is given twice")
            if parameter.condition and parameter.condition[0] not in seen:
                raise ValueError(
                    f"space {self.name}: {parameter.name} depends on {parameter.condition[0]}, "
                    "which must be in the space, before it, or fixed"
                )
            seen.append(parameter.name)

    def fix(self, **values: Value) -> Space:
        """The same space with these values fixed too; a parameter that is fixed is not searched."""
        kept = tuple((name, value) for name, value in self.fixed if name not in values)
        searched = tuple(p for p in self.parameters if p.name not in values)
        return replace(self, parameters=searched, fixed=(*kept, *values.items()))

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

    def corners(self) -> Iterable[dict[str, Value]]:
        """The lowest, middle and highest point: enough to see a value that no config takes."""
        for u in (0.0, 0.5, 1.0 - 2**-53):
            yield self.point([u] * len(self.parameters))

    def describe(self) -> dict[str, object]:
        """The space as plain JSON, for `study.json`."""
        return {
            "name": self.name,
            "parameters": [parameter.describe() for parameter in self.parameters],
            "fixed": dict(self.fixed),
        }
