"""Colours and layout that the figures of a report share."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from search_spaces.objective import SMALLEST_IN_DECIMALS, SMALLEST_IN_TWO_DECIMALS

COLOURS = {
    "finished": "#1f77b4",
    "stopped": "#9aa0a6",
    "running": "#17becf",
    "pending": "#17becf",
    "diverged": "#d62728",
    "failed": "#8c564b",
}
BEST_COLOUR = "#ff7f0e"

LAYOUT: dict[str, Any] = {
    "template": "plotly_white",
    "margin": {"l": 60, "r": 20, "t": 40, "b": 50},
    "font": {"size": 12},
    "hoverlabel": {"namelength": -1},
    "legend": {"orientation": "h", "y": 1.12, "x": 0},
    # What a person has zoomed, hidden or selected stays when the page of a running study changes.
    "uirevision": "kept",
}


class Mark(NamedTuple):
    """What a mark stands for, in a key above figures that share one."""

    symbol: str
    colour: str
    name: str


def hover_format(values: Iterable[Any]) -> str:
    """Return plotly's format for values of a metric: that of `shown_value` for their median."""
    sizes = sorted(abs(value) for value in values if is_finite(value))
    size = sizes[len(sizes) // 2] if sizes else 0.0
    if size >= SMALLEST_IN_TWO_DECIMALS:
        return ".2f"
    return ".4f" if size == 0 or size >= SMALLEST_IN_DECIMALS else ".3e"


def is_finite(value: Any) -> bool:
    """Return whether a value is a finite number."""
    return isinstance(value, (int, float)) and math.isfinite(value)
