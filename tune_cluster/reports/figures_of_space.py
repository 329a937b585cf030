"""The figures of a report of the values that were tried, by plotly: each hyperparameter alone, and
several together. `customdata` is the index of a trial, by which the page links figures and tables;
each value is that of the trial's best epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from search_spaces import needs_extra
from search_spaces.values import key_of, short
from tune_cluster.reports.figure_style import BEST_COLOUR, COLOURS, LAYOUT, is_finite
from tune_cluster.reports.trial_table import Row

with needs_extra("report"):
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

if TYPE_CHECKING:
    from search_spaces.objective import Objective

BUCKETS = 10
"""Number of buckets of a range in an isolation plot."""

SUBPLOTS_IN_A_ROW = 3

NEIGHBOURS, GRID = 10, 40
"""Trials that a point of a contour is the mean of, and points of each of its axes."""


def isolation_figure(
    rows: Sequence[Row], parameters: Sequence[dict[str, Any]], objective: Objective
) -> go.Figure | None:
    """Draw the value of each trial by each hyperparameter, with the best trial of each bucket in
    front (Godbole et al. 2023, *Deep Learning Tuning Playbook*, isolation plots): a flat line of
    best trials means that the hyperparameter does not matter, if the others are tuned.

    Args:
        rows: the trials at their best epochs.
        parameters: entries of the space.
        objective: objective of the study.

    Returns:
        None if nothing is searched.
    """
    names = list(dict.fromkeys(one["name"] for one in parameters))
    if not names:
        return None
    columns = min(SUBPLOTS_IN_A_ROW, len(names))
    figure = make_subplots(
        math.ceil(len(names) / columns),
        columns,
        subplot_titles=names,
        shared_yaxes=True,
        horizontal_spacing=0.05,
    )
    valued = [row for row in rows if is_finite(row.value)]
    lost = _lost(rows)
    values = [float(row.value) for row in valued if row.value is not None]
    worst = max(values, key=objective.key, default=None)
    shown: set[str] = set()
    for at, name in enumerate(names):
        place = {"row": at // columns + 1, "col": at % columns + 1}
        branches = [one for one in parameters if one["name"] == name]
        ranged = all("low" in one for one in branches)
        log = ranged and any(one.get("scale") == "log" for one in branches)
        for status in COLOURS:
            here = [row for row in valued if row.status == status and name in row.config]
            if not here:
                continue
            figure.add_scatter(
                x=[_place(row.config[name], ranged) for row in here],
                y=[row.value for row in here],
                mode="markers",
                marker={"color": COLOURS[status], "size": 5, "opacity": 0.45},
                name=status,
                legendgroup=status,
                showlegend=status not in shown,
                customdata=[[row.trial, row.best_epoch] for row in here],
                hovertemplate="trial %{customdata[0]}, epoch %{customdata[1]}: %{y:.5g}"
                "<extra></extra>",
                **place,
            )
            shown.add(status)
        gone = [row for row in lost if name in row.config]
        if gone and worst is not None:
            figure.add_scatter(
                x=[_place(row.config[name], ranged) for row in gone],
                y=[worst] * len(gone),
                mode="markers",
                marker={"symbol": "x", "color": COLOURS["diverged"], "size": 7},
                name="no value: diverged or failed",
                legendgroup="lost",
                showlegend="lost" not in shown,
                customdata=[[row.trial, row.status] for row in gone],
                hovertemplate="trial %{customdata[0]}: %{customdata[1]}<extra></extra>",
                **place,
            )
            shown.add("lost")
        best = _best_of_buckets(valued, name, branches, ranged, log, objective)
        figure.add_scatter(
            x=[_place(row.config[name], ranged) for row in best],
            y=[row.value for row in best],
            mode="lines+markers" if ranged else "markers",
            line={"color": BEST_COLOUR},
            marker={"color": BEST_COLOUR, "size": 8, "symbol": "diamond"},
            name="best of its bucket",
            legendgroup="best",
            showlegend="best" not in shown,
            customdata=[[row.trial, row.best_epoch] for row in best],
            hovertemplate="trial %{customdata[0]}, epoch %{customdata[1]}: %{y:.5g}<extra></extra>",
            **place,
        )
        shown.add("best")
        if log:
            figure.update_xaxes(type="log", exponentformat="e", **place)
        elif not ranged:
            order = [_place(v, False) for one in branches for v in one.get("values", ())]
            figure.update_xaxes(
                type="category", categoryorder="array", categoryarray=order, **place
            )
    height = 90 + 250 * math.ceil(len(names) / columns)
    figure.update_layout(**{**LAYOUT, "legend": {"orientation": "h", "y": -0.12}}, height=height)
    return figure


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


def parallel_figure(
    rows: Sequence[Row], parameters: Sequence[dict[str, Any]], objective: Objective
) -> go.Figure | None:
    """Draw each trial as a line over its hyperparameters and its value, coloured by the value; one
    that has diverged or failed without a value is at the worst."""
    valued = [row for row in rows if is_finite(row.value)]
    names = list(dict.fromkeys(one["name"] for one in parameters))
    names = [name for name in names if all(name in row.config for row in valued)]
    if not valued or not names:
        return None
    found = [float(row.value) for row in valued if row.value is not None]
    lost = [row for row in _lost(rows) if all(name in row.config for name in names)]
    valued += lost
    dimensions = []
    for name in names:
        axis = _axis([row.config[name] for row in valued], name, parameters)
        ticks, texts = np.arange(len(axis.labels), dtype=float), axis.labels
        placed = np.log10(axis.values) if axis.log else axis.values
        if not axis.labels:
            ticks = np.linspace(placed.min(), placed.max(), 5)
            texts = [f"{10**tick if axis.log else tick:.3g}" for tick in ticks]
        dimensions.append({"label": name, "values": placed, "tickvals": ticks, "ticktext": texts})
    values = np.array(found + [max(found, key=objective.key)] * len(lost))
    dimensions.append({"label": objective.metric, "values": values})
    low, high = np.quantile(values, (0.1, 1.0) if objective.mode == "max" else (0.0, 0.9))
    figure = go.Figure(
        go.Parcoords(
            dimensions=dimensions,
            line={
                "color": values,
                "colorscale": "Viridis",
                "reversescale": objective.mode == "min",
                "cmin": low,
                "cmax": high,
            },
        )
    )
    return figure.update_layout(
        **{**LAYOUT, "margin": {"l": 90, "r": 60, "t": 60, "b": 30}}, height=380
    )


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
    axes = [_axis([row.config[name] for row in valued], name, parameters) for name in names]
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
        hovertemplate="trial %{customdata[0]}, epoch %{customdata[2]}: %{customdata[1]:.5g}"
        "<extra></extra>",
    )
    lost = [row for row in _lost(rows) if all(name in row.config for name in names)]
    if lost:
        figure.add_scatter(
            x=[_on(axes[0], row.config) for row in lost],
            y=[_on(axes[1], row.config) for row in lost],
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


def _lost(rows: Sequence[Row]) -> list[Row]:
    """Return the trials that have diverged or failed without a value."""
    ends = ("diverged", "failed")
    return [row for row in rows if not is_finite(row.value) and row.status in ends]


class _Axis(NamedTuple):
    """One hyperparameter as an axis."""

    name: str
    log: bool
    labels: list[str]
    """Text of each position, for values that are no range."""
    values: NDArray[np.float64]
    """Position of each trial, `[n]`."""
    ends: tuple[float, float]

    @property
    def unit(self) -> NDArray[np.float64]:
        """Positions from 0 to 1, on the scale of the axis."""
        low, high = map(float, self._scaled(np.array(self.ends)))
        width = high - low or 1.0
        return (self._scaled(self.values) - low) / width

    def back(self, unit: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the inverse of `unit`."""
        low, high = map(float, self._scaled(np.array(self.ends)))
        placed = low + unit * (high - low)
        return np.power(10.0, placed) if self.log else placed

    def _scaled(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.log10(values) if self.log else values


def _axis(values: Sequence[Any], name: str, parameters: Sequence[dict[str, Any]]) -> _Axis:
    branches = [one for one in parameters if one["name"] == name]
    if all("low" in one for one in branches) and all(map(is_finite, values)):
        log = min(values) > 0 and any(one.get("scale") == "log" for one in branches)
        return _Axis(name, log, [], np.array(values, dtype=float), (min(values), max(values)))
    listed = [short(value) for one in branches for value in one.get("values", ())]
    labels = list(dict.fromkeys([*listed, *map(short, values)]))
    places = np.array([labels.index(short(value)) for value in values], dtype=float)
    return _Axis(name, False, labels, places, (0.0, max(1.0, len(labels) - 1.0)))


def _on(axis: _Axis, config: Mapping[str, Any]) -> Any:
    """Return the position of a configuration on an axis; None if its value is not on it."""
    text = short(config[axis.name])
    if not axis.labels:
        return config[axis.name]
    return axis.labels.index(text) if text in axis.labels else None


def _place(value: Any, ranged: bool) -> Any:
    return value if ranged and isinstance(value, (int, float)) else short(value)
