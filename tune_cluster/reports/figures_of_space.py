"""The figures of a report of the values that were tried, by plotly: each hyperparameter alone, and
several together. `customdata` is the index of a trial, by which the page links figures and tables;
each value is that of the trial's best epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces import needs_extra
from search_spaces.values import key_of, short
from tune_cluster.reports.figure_axes import axis_of, lost_of, position_on
from tune_cluster.reports.figure_style import (
    BEST_COLOUR,
    COLOURS,
    LAYOUT,
    Mark,
    hover_format,
    is_finite,
)
from tune_cluster.reports.trial_table import Row

with needs_extra("report"):
    import plotly.graph_objects as go

if TYPE_CHECKING:
    from search_spaces.objective import Objective

BUCKETS = 10
"""Number of buckets of a range in an isolation plot."""

NEIGHBOURS, GRID = 10, 40
"""Trials that a point of a contour is the mean of, and points of each of its axes."""


def isolation_figures(
    rows: Sequence[Row], parameters: Sequence[dict[str, Any]], objective: Objective
) -> list[go.Figure]:
    """Draw the value of each trial by each hyperparameter, a figure each, with the best trial of
    each bucket in front (Godbole et al. 2023, *Deep Learning Tuning Playbook*, isolation plots): a
    flat line of best trials means that the hyperparameter does not matter, if the others are tuned.

    Args:
        rows: the trials at their best epochs.
        parameters: entries of the space.
        objective: objective of the study.
    """
    values = [float(row.value) for row in rows if row.value is not None and is_finite(row.value)]
    low, high = min(values, default=0.0), max(values, default=1.0)
    margin = 0.06 * (high - low) or 0.06
    worst = max(values, key=objective.key, default=low)
    names = dict.fromkeys(one["name"] for one in parameters)
    return [
        _isolation_figure(
            [row for row in rows if name in row.config], name, parameters, objective, worst
        ).update_yaxes(range=[low - margin, high + margin])
        for name in names
    ]


def isolation_key(rows: Sequence[Row]) -> list[Mark]:
    """Return what the marks of the isolation figures stand for."""
    found = {row.status for row in rows if is_finite(row.value)}
    marks = [Mark("●", COLOURS[status], status) for status in COLOURS if status in found]
    if lost_of(rows):
        marks.append(Mark("×", COLOURS["diverged"], "no value: diverged or failed"))
    return [*marks, Mark("◆", BEST_COLOUR, "best of its part of the range")]


def _isolation_figure(
    rows: Sequence[Row],
    name: str,
    parameters: Sequence[dict[str, Any]],
    objective: Objective,
    worst: float,
) -> go.Figure:
    """Draw the trials that have a hyperparameter; those without a value are at the worst."""
    figure = go.Figure()
    branches = [one for one in parameters if one["name"] == name]
    ranged = all("low" in one for one in branches)
    log = ranged and any(one.get("scale") == "log" for one in branches)
    valued = [row for row in rows if is_finite(row.value)]
    shown = hover_format(row.value for row in valued)
    of_a_trial = (
        f"trial %{{customdata[0]}}, epoch %{{customdata[1]}}: %{{y:{shown}}}<extra></extra>"
    )
    for status in COLOURS:
        here = [row for row in valued if row.status == status]
        if here:
            figure.add_scatter(
                x=[_place(row.config[name], ranged) for row in here],
                y=[row.value for row in here],
                mode="markers",
                marker={"color": COLOURS[status], "size": 5, "opacity": 0.45},
                customdata=[[row.trial, row.best_epoch] for row in here],
                hovertemplate=of_a_trial,
            )
    if lost := lost_of(rows):
        figure.add_scatter(
            x=[_place(row.config[name], ranged) for row in lost],
            y=[worst] * len(lost),
            mode="markers",
            marker={"symbol": "x", "color": COLOURS["diverged"], "size": 7},
            customdata=[[row.trial, row.status] for row in lost],
            hovertemplate="trial %{customdata[0]}: %{customdata[1]}<extra></extra>",
        )
    best = _best_of_buckets(valued, name, branches, ranged, log, objective)
    figure.add_scatter(
        x=[_place(row.config[name], ranged) for row in best],
        y=[row.value for row in best],
        mode="lines+markers" if ranged else "markers",
        line={"color": BEST_COLOUR},
        marker={"color": BEST_COLOUR, "size": 8, "symbol": "diamond"},
        customdata=[[row.trial, row.best_epoch] for row in best],
        hovertemplate=of_a_trial,
    )
    if log:
        figure.update_xaxes(type="log", exponentformat="e")
    elif not ranged:
        order = [_place(v, False) for one in branches for v in one.get("values", ())]
        figure.update_xaxes(type="category", categoryorder="array", categoryarray=order)
    if not rows:
        figure.update_xaxes(showticklabels=False)
        figure.add_annotation(
            text="no trial has it", xref="paper", yref="paper", x=0.5, y=0.5, showarrow=False
        )
    return figure.update_layout(
        **{**LAYOUT, "margin": {"l": 55, "r": 10, "t": 32, "b": 32}},
        height=250,
        showlegend=False,
        title={"text": name, "font": {"size": 13}, "x": 0.5, "y": 0.97},
    )


def _best_of_buckets(
    rows: Sequence[Row],
    name: str,
    branches: Sequence[dict[str, Any]],
    ranged: bool,
    log: bool,
    objective: Objective,
) -> list[Row]:
    found: dict[Any, Row] = {}
    low = min((one["low"] for one in branches), default=0.0) if ranged else 0.0
    high = max((one["high"] for one in branches), default=1.0) if ranged else 1.0
    for row in rows:
        if name not in row.config or row.value is None:
            continue
        value = row.config[name]
        bucket: Any = key_of(value)
        if ranged:
            # A value that another program has written may have no place on the axis.
            if not is_finite(value) or (log and value <= 0):
                continue
            ends = (math.log(low), math.log(high)) if log else (low, high)
            at = math.log(value) if log else value
            bucket = min(BUCKETS - 1, int(BUCKETS * (at - ends[0]) / ((ends[1] - ends[0]) or 1)))
        known = found.get(bucket)
        if known is None or known.value is None or objective.better(row.value, known.value):
            found[bucket] = row
    if not ranged:
        return list(found.values())
    return [found[bucket] for bucket in sorted(found)]


def contour_figure(
    rows: Sequence[Row],
    parameters: Sequence[dict[str, Any]],
    names: Sequence[str],
    objective: Objective,
) -> go.Figure | None:
    """Draw the metric over two hyperparameters: each trial, the mean of the nearest trials between
    them, and a cross where a trial diverged or failed without a value. None if fewer than two
    hyperparameters, or too few trials, have values."""
    from sklearn.neighbors import KNeighborsRegressor

    valued = [row for row in rows if is_finite(row.value) and all(n in row.config for n in names)]
    if len(names) < 2 or len(valued) <= NEIGHBOURS:
        return None
    axes = [axis_of([row.config[name] for row in valued], name, parameters) for name in names]
    places = np.column_stack([axis.unit for axis in axes])
    values = np.array([row.value for row in valued], dtype=float)
    smooth = KNeighborsRegressor(n_neighbors=NEIGHBOURS, weights="distance").fit(places, values)
    line = np.linspace(0, 1, GRID)
    grid = np.array([(x, y) for y in line for x in line])
    low, high = np.quantile(values, (0.1, 1.0) if objective.mode == "max" else (0.0, 0.9))
    colours = {"colorscale": "Viridis", "reversescale": objective.mode == "min"}
    figure = go.Figure(
        go.Contour(
            x=axes[0].back(line),
            y=axes[1].back(line),
            z=smooth.predict(grid).reshape(GRID, GRID),
            zmin=low,
            zmax=high,
            line={"width": 0},
            hoverinfo="skip",
            colorbar={"title": objective.metric},
            **colours,
        )
    )
    figure.add_scatter(
        x=axes[0].values,
        y=axes[1].values,
        mode="markers",
        marker={
            "size": 6,
            "color": values,
            "cmin": low,
            "cmax": high,
            "line": {"width": 0.5, "color": "white"},
            **colours,
        },
        customdata=[[row.trial, row.value, row.best_epoch] for row in valued],
        hovertemplate="trial %{customdata[0]}, epoch %{customdata[2]}: "
        f"%{{customdata[1]:{hover_format(values.tolist())}}}<extra></extra>",
    )
    lost = [row for row in lost_of(rows) if all(name in row.config for name in names)]
    if lost:
        figure.add_scatter(
            x=[position_on(axes[0], row.config) for row in lost],
            y=[position_on(axes[1], row.config) for row in lost],
            mode="markers",
            marker={"symbol": "x", "size": 8, "color": COLOURS["diverged"]},
            customdata=[[row.trial, row.status] for row in lost],
            hovertemplate="trial %{customdata[0]}: %{customdata[1]}<extra></extra>",
        )
    for axis, update in zip(axes, (figure.update_xaxes, figure.update_yaxes), strict=True):
        update(title=axis.name, exponentformat="e", type="log" if axis.log else "linear")
        if axis.labels:
            update(tickvals=list(range(len(axis.labels))), ticktext=axis.labels)
    return figure.update_layout(**LAYOUT, height=440, showlegend=False)


def _place(value: Any, ranged: bool) -> Any:
    return value if ranged and isinstance(value, (int, float)) else short(value)
