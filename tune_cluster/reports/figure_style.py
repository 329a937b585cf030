"""Colours and layout that the figures of a report share."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

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


def is_finite(value: Any) -> bool:
    """Return whether a value is a finite number."""
    return isinstance(value, (int, float)) and math.isfinite(value)
