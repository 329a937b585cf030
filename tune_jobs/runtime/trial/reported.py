"""What a trainable reports, as numbers that the journal can hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

from ray.tune.result import AUTO_RESULT_KEYS

BAD_VALUE = 1e9
"""What scheduler and searcher are told instead of a value that is missing or not finite, with the
sign that makes it bad. Their models rank values, so that its size does not matter."""

NOT_METRICS = {"done", *AUTO_RESULT_KEYS}
"""What Tune puts into a result, or reads out of it, by itself."""


def metrics_of(result: Mapping[str, Any]) -> dict[str, Real | None]:
    """The numbers of an epoch. The journal has no NaN; the study's metric and the losses are finite
    here."""
    return {
        name: value if math.isfinite(value) else None
        for name, value in result.items()
        if isinstance(value, Real) and name not in NOT_METRICS
    }


def not_finite(result: Mapping[str, Any], metric: str) -> str | None:
    """The first of the metric and the losses whose value is not finite."""
    for name, value in result.items():
        told = name == metric or name.endswith("loss")
        if told and isinstance(value, Real) and not math.isfinite(value):
            return name
    return None


def plain(value: Any) -> Any:
    """A number of NumPy or torch as Python's own, which JSON can hold; anything else as it is."""
    try:
        return value.item()
    except (AttributeError, ValueError, RuntimeError):
        # No number, or an array of several.
        return value
