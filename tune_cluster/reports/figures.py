"""The figures of a report of the course of a study, by plotly. Each point belongs to a trial:
`customdata` is its index, by which the page links figures and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from search_spaces import needs_extra
from tune_cluster.reports.course import Band, Course
from tune_cluster.reports.figure_style import BEST_COLOUR, COLOURS, LAYOUT, hover_format, is_finite
from tune_cluster.reports.importance import Importances
from tune_cluster.reports.overfitting import LOSSES, overfits_from
from tune_cluster.reports.trial_table import Row
from tune_cluster.reports.work import Work
from tune_cluster.study.state import TrialState

with needs_extra("report"):
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

if TYPE_CHECKING:
    from search_spaces.objective import Objective

MOST_CURVES = 10
"""Number of trials with learning curves."""


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
        customdata=[*zip(course.best_trials, course.best_epochs, strict=True)],
        hovertemplate="trial %{customdata[0]}, its epoch %{customdata[1]}: "
        f"%{{y:{hover_format(course.values)}}}, "
        "after %{x} epochs of all<extra></extra>",
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
                epochs = [e for e in sorted(trial.results) if is_finite(trial.results[e].get(key))]
                values = [trial.results[epoch][key] for epoch in epochs]
                figure.add_scatter(
                    x=epochs,
                    y=values,
                    mode="lines" if len(epochs) > 1 else "markers",
                    line={"color": colour, "dash": "dot" if key == LOSSES[0] else "solid"},
                    showlegend=column == 1,
                    customdata=[trial.index] * len(epochs),
                    hovertemplate=f"{name}, epoch %{{x}}: {key} "
                    f"%{{y:{hover_format(values)}}}<extra></extra>",
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


def distribution_figure(rows: Sequence[Row], objective: Objective) -> go.Figure:
    """Draw the share of the trials that are at least as good as a value, by their best epochs: the
    empirical distribution function, with trials without a value counted as worst."""
    valued = sorted(
        (row for row in rows if is_finite(row.value)),
        key=lambda row: objective.key(float(row.value or 0.0)),
    )
    figure = go.Figure(
        go.Scatter(
            x=[row.value for row in valued],
            y=(np.arange(len(valued)) + 1) / max(1, len(rows)),
            mode="lines",
            line={"shape": "vh", "color": COLOURS["finished"]},
            customdata=[[row.trial, row.best_epoch] for row in valued],
            hovertemplate="%{y:.1%} of the trials are at least as good as trial %{customdata[0]}, "
            f"epoch %{{customdata[1]}}: %{{x:{hover_format(row.value for row in valued)}}}"
            "<extra></extra>",
        )
    )
    return figure.update_layout(
        **LAYOUT,
        height=320,
        xaxis_title=objective.metric,
        yaxis={"title": "share of the trials", "tickformat": ".0%"},
    )


def timeline_figure(work: Mapping[str, Sequence[Work]]) -> go.Figure | None:
    """Draw which trial trained when on which node: a bar for each stretch of work. None if no time
    is known."""
    if not work:
        return None
    figure = go.Figure()
    for node, lane in work.items():
        figure.add_bar(
            x=[one.end - one.begin for one in lane],
            base=[one.begin for one in lane],
            y=[f"node {node}"] * len(lane),
            orientation="h",
            marker={"line": {"width": 0.3, "color": "white"}},
            opacity=0.6,
            name=f"node {node}",
            customdata=[one.trial for one in lane],
            hovertemplate="trial %{customdata}: %{base:.0f} s and %{x:.0f} s more<extra></extra>",
        )
    return figure.update_layout(
        **LAYOUT, barmode="overlay", height=160 + 50 * len(work), xaxis_title="seconds"
    )


def _palette(count: int) -> list[str]:
    from plotly.colors import sample_colorscale

    if count < 2:
        return [BEST_COLOUR] * count
    return [str(colour) for colour in sample_colorscale("Turbo", np.linspace(0.05, 0.95, count))]
