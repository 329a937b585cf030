"""The figures of a report, by plotly. Each point belongs to a trial: `customdata` is its index, by
which the page links figures and tables. Each value is that of the trial's best epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from search_spaces import needs_extra
from search_spaces.values import key_of, short
from tune_cluster.reports.course import Band, Course
from tune_cluster.reports.importance import Importances
from tune_cluster.reports.overfitting import LOSSES, overfits_from
from tune_cluster.reports.trial_table import Row
from tune_cluster.study.state import TrialState
from tune_cluster.study.stored import StoredStudy

with needs_extra("report"):
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

if TYPE_CHECKING:
    from search_spaces.objective import Objective

COLOURS = {
    "finished": "#1f77b4",
    "stopped": "#9aa0a6",
    "running": "#17becf",
    "pending": "#17becf",
    "diverged": "#d62728",
    "failed": "#8c564b",
}
BEST_COLOUR = "#ff7f0e"

BUCKETS = 10
"""Number of buckets of a range in an isolation plot."""

SUBPLOTS_IN_A_ROW = 3

NEIGHBOURS, GRID = 10, 40
"""Trials that a point of a contour is the mean of, and points of each of its axes."""

MOST_CURVES = 10
"""Number of trials with learning curves."""

LAYOUT: dict[str, Any] = {
    "template": "plotly_white",
    "margin": {"l": 60, "r": 20, "t": 40, "b": 50},
    "font": {"size": 12},
    "hoverlabel": {"namelength": -1},
    "legend": {"orientation": "h", "y": 1.12, "x": 0},
}


def course_figure(course: Course, band: Band | None, metric: str) -> go.Figure:
    """Draw the best value so far against the epochs spent, with the band of other orders."""
    figure = go.Figure()
    if band is not None:
        for edge, fill in ((band.low, None), (band.high, "tonexty")):
            figure.add_scatter(
                x=band.epochs,
                y=edge,
                mode="lines",
                line={"width": 0},
                fill=fill,
                fillcolor="rgba(31,119,180,0.15)",
                name="5 to 95% of other orders",
                showlegend=fill is not None,
                hoverinfo="skip",
            )
    figure.add_scatter(
        x=course.epochs,
        y=course.values,
        mode="lines+markers",
        line={"shape": "hv", "color": BEST_COLOUR},
        name="best so far",
        customdata=course.best_trials,
        hovertemplate="trial %{customdata}: %{y:.5g} after %{x} epochs<extra></extra>",
    )
    return figure.update_layout(
        **LAYOUT, height=360, xaxis_title="epochs of all trials together", yaxis_title=metric
    )


def curves_figure(trials: Sequence[TrialState], metric: str) -> go.Figure:
    """Draw the learning curves of the best trials: the metric, and training and validation loss,
    with a cross where a trial begins to overfit.

    Args:
        trials: the best trials, the best first.
        metric: metric of the study.
    """
    chosen = trials[:MOST_CURVES]
    with_losses = any(
        all(name in metrics for name in LOSSES)
        for trial in chosen
        for metrics in trial.results.values()
    )
    titles = [metric, "loss: training dotted, validation solid"][: 2 if with_losses else 1]
    figure = make_subplots(1, len(titles), subplot_titles=titles)
    palette = _palette(len(chosen))
    for trial, colour in zip(chosen, palette, strict=True):
        name = f"trial {trial.index}"
        common = {"legendgroup": name, "name": name}
        for column, metrics in enumerate([(metric,), LOSSES][: len(titles)], start=1):
            for key in metrics:
                epochs = [e for e in sorted(trial.results) if _finite(trial.results[e].get(key))]
                figure.add_scatter(
                    x=epochs,
                    y=[trial.results[epoch][key] for epoch in epochs],
                    mode="lines" if len(epochs) > 1 else "markers",
                    line={"color": colour, "dash": "dot" if key == LOSSES[0] else "solid"},
                    showlegend=column == 1,
                    customdata=[trial.index] * len(epochs),
                    hovertemplate=f"{name}, epoch %{{x}}: {key} %{{y:.5g}}<extra></extra>",
                    row=1,
                    col=column,
                    **common,
                )
        begins = overfits_from(trial)
        if begins is not None and with_losses:
            figure.add_scatter(
                x=[begins],
                y=[trial.results[begins][LOSSES[1]]],
                mode="markers",
                marker={"symbol": "x", "size": 10, "color": colour},
                showlegend=False,
                customdata=[trial.index],
                hovertemplate=f"{name} overfits from epoch %{{x}}<extra></extra>",
                row=1,
                col=2,
                legendgroup=name,
            )
    figure.update_xaxes(title_text="epoch")
    return figure.update_layout(**{**LAYOUT, "legend": {}}, height=400)


def importance_figure(found: Importances) -> go.Figure:
    """Draw the importance of each hyperparameter, the largest on top, with 5 to 95% intervals."""
    each = found.each[::-1]
    figure = go.Figure(
        go.Bar(
            x=[one.mean for one in each],
            y=[one.name for one in each],
            orientation="h",
            marker_color=COLOURS["finished"],
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [one.high - one.mean for one in each],
                "arrayminus": [one.mean - one.low for one in each],
            },
            hovertemplate="%{y}: %{x:.0%}<extra></extra>",
        )
    )
    return figure.update_layout(
        **LAYOUT,
        height=120 + 26 * len(each),
        xaxis={"title": "share of the variance", "tickformat": ".0%", "rangemode": "tozero"},
        yaxis={"automargin": True},
    )


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
    valued = [row for row in rows if _finite(row.value)]
    lost = [row for row in rows if not _finite(row.value) and row.status in ("diverged", "failed")]
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
        if ranged and isinstance(value, (int, float)):
            ends = (math.log(low), math.log(high)) if log else (low, high)
            at = math.log(value) if log and value > 0 else value
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
    """Draw each trial as a line over its hyperparameters and its value, coloured by the value."""
    valued = [row for row in rows if _finite(row.value)]
    names = list(dict.fromkeys(one["name"] for one in parameters))
    names = [name for name in names if all(name in row.config for row in valued)]
    if not valued or not names:
        return None
    dimensions = []
    for name in names:
        axis = _axis([row.config[name] for row in valued], name, parameters)
        ticks, texts = np.arange(len(axis.labels), dtype=float), axis.labels
        placed = np.log10(axis.values) if axis.log else axis.values
        if not axis.labels:
            ticks = np.linspace(placed.min(), placed.max(), 5)
            texts = [f"{10**tick if axis.log else tick:.3g}" for tick in ticks]
        dimensions.append({"label": name, "values": placed, "tickvals": ticks, "ticktext": texts})
    values = np.array([row.value for row in valued], dtype=float)
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


def distribution_figure(rows: Sequence[Row], objective: Objective) -> go.Figure:
    """Draw the share of the trials that are at least as good as a value, by their best epochs: the
    empirical distribution function, with trials without a value counted as worst."""
    valued = sorted(
        (row for row in rows if _finite(row.value)),
        key=lambda row: objective.key(float(row.value or 0.0)),
    )
    figure = go.Figure(
        go.Scatter(
            x=[row.value for row in valued],
            y=(np.arange(len(valued)) + 1) / max(1, len(rows)),
            mode="lines",
            line={"shape": "vh", "color": COLOURS["finished"]},
            customdata=[row.trial for row in valued],
            hovertemplate="%{y:.1%} of the trials are at least %{x:.5g} (trial %{customdata})"
            "<extra></extra>",
        )
    )
    return figure.update_layout(
        **LAYOUT,
        height=320,
        xaxis_title=objective.metric,
        yaxis={"title": "share of the trials", "tickformat": ".0%"},
    )


def contour_figure(
    rows: Sequence[Row],
    parameters: Sequence[dict[str, Any]],
    names: Sequence[str],
    objective: Objective,
) -> go.Figure | None:
    """Draw the metric over two hyperparameters: each trial, and the mean of the nearest trials
    between them. None if fewer than two hyperparameters, or too few trials, have values."""
    from sklearn.neighbors import KNeighborsRegressor

    valued = [row for row in rows if _finite(row.value) and all(n in row.config for n in names)]
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
        customdata=[[row.trial, row.value] for row in valued],
        hovertemplate="trial %{customdata[0]}: %{customdata[1]:.5g}<extra></extra>",
    )
    for axis, update in zip(axes, (figure.update_xaxes, figure.update_yaxes), strict=True):
        update(title=axis.name, exponentformat="e", type="log" if axis.log else "linear")
        if axis.labels:
            update(tickvals=list(range(len(axis.labels))), ticktext=axis.labels)
    return figure.update_layout(**LAYOUT, height=440, showlegend=False)


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
    if all("low" in one for one in branches) and all(map(_finite, values)):
        log = min(values) > 0 and any(one.get("scale") == "log" for one in branches)
        return _Axis(name, log, [], np.array(values, dtype=float), (min(values), max(values)))
    listed = [short(value) for one in branches for value in one.get("values", ())]
    labels = list(dict.fromkeys([*listed, *map(short, values)]))
    places = np.array([labels.index(short(value)) for value in values], dtype=float)
    return _Axis(name, False, labels, places, (0.0, max(1.0, len(labels) - 1.0)))


def timeline_figure(study: StoredStudy) -> go.Figure | None:
    """Draw which trial trained when on which node: a bar from one result to the next."""
    from search_spaces.trial_events import Result
    from tune_cluster.study.events import Started

    first = next((event.time for event in study.events if event.time is not None), None)
    if first is None:
        return None
    since: dict[int, float] = {}
    bars: dict[str, list[tuple[int, float, float]]] = {}
    for event in study.events:
        if isinstance(event, Started) and event.time is not None:
            since[event.trial] = event.time - first
        elif isinstance(event, Result) and event.time is not None:
            end = event.time - first
            lane = bars.setdefault(event.node or "unknown", [])
            begin = since.get(event.trial, end)
            if lane and lane[-1][0] == event.trial and lane[-1][2] >= begin - 1e-9:
                lane[-1] = (event.trial, lane[-1][1], end)
            else:
                lane.append((event.trial, begin, end))
            since[event.trial] = end
    figure = go.Figure()
    for node, lane in bars.items():
        figure.add_bar(
            x=[end - begin for _, begin, end in lane],
            base=[begin for _, begin, _ in lane],
            y=[f"node {node}"] * len(lane),
            orientation="h",
            marker={"line": {"width": 0.3, "color": "white"}},
            opacity=0.6,
            name=f"node {node}",
            customdata=[trial for trial, _, _ in lane],
            hovertemplate="trial %{customdata}: %{base:.0f} s and %{x:.0f} s more<extra></extra>",
        )
    return figure.update_layout(
        **LAYOUT, barmode="overlay", height=160 + 50 * len(bars), xaxis_title="seconds"
    )


def _place(value: Any, ranged: bool) -> Any:
    return value if ranged and isinstance(value, (int, float)) else short(value)


def _finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _palette(count: int) -> list[str]:
    from plotly.colors import sample_colorscale

    if count < 2:
        return [BEST_COLOUR] * count
    return [str(colour) for colour in sample_colorscale("Turbo", np.linspace(0.05, 0.95, count))]
