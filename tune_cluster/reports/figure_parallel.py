"""The figure of a report in which a line is a trial, over all its hyperparameters, by plotly.

It is made of paths. Plotly's own parallel coordinates leave out what some trials do not have, and
tell no trial.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from search_spaces import needs_extra
from search_spaces.objective import shown_value
from tune_cluster.reports.figure_axes import axis_of
from tune_cluster.reports.figure_style import COLOURS, LAYOUT, is_finite
from tune_cluster.reports.trial_table import Row

with needs_extra("report"):
    import plotly.graph_objects as go
    from plotly.colors import sample_colorscale

if TYPE_CHECKING:
    from search_spaces.objective import Objective

MOST_LINES = 1000
"""Number of trials that are drawn at first; the legend draws the others."""

BEST_LINES = 200
"""How many of these are the best; the others are spread over all trials."""

SHADES = 10
"""Number of colours of the values: each is a trace, a fixed cost to the browser."""

COLOURS_OF_SHADES = [
    str(colour)
    for colour in sample_colorscale("Viridis", [i / (SHADES - 1) for i in range(SHADES)])
]

TICKS, MOST_LABELS = 5, 12
"""Ticks of a range, and at most of an axis of other values."""

NOWHERE = -0.13
"""Height at which a line passes an axis on which its trial has no value; others are from 0 to 1."""


TEXT = "#202124"
"""Colour of texts."""


class _Scale(NamedTuple):
    """An axis of the figure."""

    name: str
    heights: NDArray[np.float64]
    """Height of each trial, `[trials]`."""
    ticks: list[tuple[float, str]]
    """Heights of texts."""


def parallel_figure(
    rows: Sequence[Row], parameters: Sequence[dict[str, Any]], objective: Objective
) -> go.Figure | None:
    """Draw each trial as a line over its hyperparameters and its value, coloured by the value.

    No trial is left out: one without a value, or without a hyperparameter that others have, passes
    below the axis. Of more than `MOST_LINES` trials the legend draws the others (`first_drawn`).

    Args:
        rows: the trials at their best epochs, the best first.
        parameters: entries of the space.
        objective: objective of the study.

    Returns:
        None if nothing is searched or tried.
    """
    names = list(dict.fromkeys(one["name"] for one in parameters))
    if not names or not rows:
        return None
    valued = [row for row in rows if is_finite(row.value)]
    ordered = [*valued, *(row for row in rows if not is_finite(row.value))]
    scales = [_scale(ordered, name, parameters) for name in names]
    scales.append(_metric_scale(ordered, objective))
    heights = np.column_stack([scale.heights for scale in scales]).round(4)
    first = first_drawn(len(rows))
    shades = _shades([objective.key(float(row.value or 0.0)) for row in valued])
    lines = _Lines(ordered, heights)
    figure = go.Figure()
    # What a selection leaves out, which the page puts here.
    figure.add_scatter(
        **lines.of([]), line={"width": 1, "color": "#e0e0e0"}, meta="left", showlegend=False
    )
    for at_first in (False, True):
        more = "" if at_first else " more"
        chosen = np.flatnonzero(first == at_first).tolist()
        for kind, colours in _by_kind_and_colour(ordered, shades, chosen).items():
            count = sum(map(len, colours.values()))
            for number, (colour, found) in enumerate(colours.items(), 1):
                figure.add_scatter(
                    **lines.of(found),
                    line={"width": 1, "color": colour},
                    opacity=0.7,
                    meta="lines",
                    name=f"{count}{more} trials{kind}",
                    legendgroup=f"{kind}{more}",
                    showlegend=number == len(colours),
                    visible=True if at_first else "legendonly",
                )
    ticks = [(at, *tick) for at, scale in enumerate(scales) for tick in scale.ticks]
    figure.add_scatter(
        x=[at + (0.04 if at == len(names) else -0.04) for at, _, _ in ticks],
        y=[height for _, height, _ in ticks],
        text=[text for _, _, text in ticks],
        mode="text",
        textposition=[f"middle {'right' if at == len(names) else 'left'}" for at, _, _ in ticks],
        textfont={"size": 10, "color": TEXT, "shadow": ", ".join(["0 0 2px white"] * 4)},
        # A selection is of lines.
        unselected={"textfont": {"color": TEXT}},
        hoverinfo="skip",
        showlegend=False,
    )
    places = list(range(len(scales)))
    return figure.update_layout(
        **{**LAYOUT, "legend": {"orientation": "h", "y": -0.02}, "margin": {"t": 40, "b": 20}},
        height=440,
        dragmode="select",
        xaxis={
            "side": "top",
            "range": [-0.7, len(names) + 0.7],
            "tickvals": places,
            "ticktext": [scale.name for scale in scales],
            "gridcolor": "#5f6368",
            "zeroline": False,
            "fixedrange": True,
        },
        yaxis={"visible": False, "range": [NOWHERE - 0.07, 1.05], "fixedrange": True},
    )


def text_of(trials: int) -> str:
    """Return what the figure of so many trials shows."""
    text = (
        "A line is a trial; the better its value, the lighter. It passes below an axis on which it "
        "has no value. Drag a box over a part of an axis to select, with Shift over one more."
    )
    if trials <= MOST_LINES:
        return text
    drawn = int(first_drawn(trials).sum())
    return (
        f"{text} Drawn are {drawn} of {trials} trials, the best {BEST_LINES} and 1 in "
        f"{step_of(trials)} of the others; a click on its legend draws the rest."
    )


def first_drawn(trials: int) -> NDArray[np.bool_]:
    """Return which trials are drawn at first, the best first: the best `BEST_LINES`, and every nth
    of the others."""
    drawn = np.ones(trials, dtype=bool)
    if trials > MOST_LINES:
        drawn[BEST_LINES:] = False
        drawn[BEST_LINES :: step_of(trials)] = True
    return drawn


def step_of(trials: int) -> int:
    """Return n if of so many trials every nth is drawn at first, beside the best."""
    return max(1, math.ceil((trials - BEST_LINES) / (MOST_LINES - BEST_LINES)))


class _Lines(NamedTuple):
    """The lines of all trials."""

    rows: Sequence[Row]
    heights: NDArray[np.float64]
    """`[trials, axes]`."""

    def of(self, chosen: Sequence[int]) -> dict[str, Any]:
        """Return some of them as one trace, with gaps between them."""
        axes = self.heights.shape[1]
        return {
            "mode": "lines",
            "x": [*range(axes), None] * len(chosen),
            "y": [height for at in chosen for height in (*self.heights[at].tolist(), None)],
            "customdata": [self.rows[at].trial for at in chosen for _ in range(axes + 1)],
            "hovertemplate": "trial %{customdata}<extra></extra>",
        }


def _by_kind_and_colour(
    rows: Sequence[Row], shades: NDArray[np.int64], chosen: Sequence[int]
) -> dict[str, dict[str, list[int]]]:
    """Return trials with a value by the colour of its shade, and those without by their status; in
    the order in which they are drawn, so that the best are above the worst."""
    found: dict[str, dict[str, list[int]]] = {"": {}}
    for at in reversed(chosen):
        if at < len(shades):
            kind, colour = "", COLOURS_OF_SHADES[shades[at]]
        else:
            kind, colour = f": {rows[at].status}, no value", COLOURS[rows[at].status]
        found.setdefault(kind, {}).setdefault(colour, []).append(at)
    return found


def _scale(rows: Sequence[Row], name: str, parameters: Sequence[dict[str, Any]]) -> _Scale:
    there = np.array([name in row.config for row in rows])
    heights = np.full(len(rows), NOWHERE)
    ticks = [] if there.all() else [(NOWHERE, "not set")]
    if not there.any():
        return _Scale(name, heights, ticks)
    axis = axis_of([row.config[name] for row in rows if name in row.config], name, parameters)
    heights[there] = axis.unit
    if axis.labels:
        last = max(1, len(axis.labels) - 1)
        step = math.ceil(len(axis.labels) / MOST_LABELS)
        ticks += [(at / last, text) for at, text in enumerate(axis.labels)][::step]
    else:
        places = np.linspace(0, 1, TICKS if axis.ends[0] != axis.ends[1] else 1)
        texts = [f"{value:.3g}" for value in axis.back(places)]
        ticks += list(zip(places.tolist(), texts, strict=True))
    return _Scale(name, heights, ticks)


def _metric_scale(rows: Sequence[Row], objective: Objective) -> _Scale:
    there = np.array([is_finite(row.value) for row in rows])
    heights = np.full(len(rows), NOWHERE)
    ticks = [] if there.all() else [(NOWHERE, "no value")]
    if there.any():
        values = np.array([row.value for row in rows if is_finite(row.value)], dtype=float)
        low, high = float(values.min()), float(values.max())
        heights[there] = (values - low) / (high - low or 1.0)
        like = max(abs(low), abs(high))
        for place in np.linspace(0, 1, TICKS if low != high else 1).tolist():
            ticks.append((place, shown_value(low + place * (high - low), like=like)))
    return _Scale(objective.metric, heights, ticks)


def _shades(keys: Sequence[float]) -> NDArray[np.int64]:
    """Return the shade of each trial by the key of its value, the best the last; those of the worst
    tenth share one, since the worst may be far away."""
    if not keys:
        return np.zeros(0, dtype=np.int64)
    found = np.array(keys)
    low, high = np.quantile(found, (0.0, 0.9))
    unit = 1 - np.clip((found - low) / (high - low or 1.0), 0, 1)
    shades: NDArray[np.int64] = np.minimum((unit * SHADES).astype(np.int64), SHADES - 1)
    return shades
