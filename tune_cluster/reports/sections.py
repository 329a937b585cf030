"""The figures of a report in their order, each with what it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from search_spaces.values import short
from tune_cluster.reports.course import band_of, course_of
from tune_cluster.reports.figure_style import Mark, is_finite
from tune_cluster.reports.importance import Importances
from tune_cluster.reports.trial_table import Row
from tune_cluster.reports.work import Work
from tune_cluster.study.stored import StoredStudy

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True, kw_only=True)
class Section:
    """Figures with their heading and what they show."""

    name: str
    """Name in the addresses of its figures, the same while the study grows."""
    title: str
    text: str
    figures: Sequence[go.Figure | None]
    """One, or several small ones side by side; None where there is nothing to draw."""
    key: Sequence[Mark] = ()
    """What the marks of several stand for."""

    @property
    def named_figures(self) -> list[tuple[str, go.Figure]]:
        """Its figures with a name for each."""
        return [(f"{self.name}-{at}", figure) for at, figure in enumerate(self.figures) if figure]


def sections_of(
    study: StoredStudy,
    rows: Sequence[Row],
    found: Importances,
    work: Mapping[str, Sequence[Work]],
) -> list[Section]:
    """Return the sections of a study that have something to draw.

    Args:
        study: the study.
        rows: its trials, the best first.
        found: importance of its hyperparameters.
        work: what ran where.

    Raises:
        ValueError: a library of the extra `report` is not installed.
    """
    from tune_cluster.reports import figure_parallel, figures, figures_of_space

    objective, parameters = study.state.objective, study.about["space"]["parameters"]
    trials = [study.state.trials[row.trial] for row in rows if row.value is not None]
    important = [one.name for one in found.each]
    # Those that diverged or failed before it are shown as what they are.
    far = [
        row
        for row in rows
        if found.epoch is not None and (row.epochs_run >= found.epoch or row.value is None)
    ]
    epoch = "" if found.epoch is None else short(found.epoch)
    made = [
        Section(
            name="course",
            title="Best value so far",
            text="The band is what the same trials give in other orders: inside it, the course is "
            "luck.",
            figures=[figures.course_figure(course_of(study), band_of(study), objective.metric)],
        ),
        Section(
            name="curves",
            title="Learning curves of the best trials",
            text="A cross marks where a trial begins to overfit: its validation loss rises while "
            "its training loss falls.",
            figures=[figures.curves_figure(trials, objective.metric) if trials else None],
        ),
        Section(
            name="importance",
            title="Importance of the hyperparameters",
            text=f"Share of the variance of {objective.metric} after epoch {epoch}, that a "
            "hyperparameter explains alone, with the interval over trials drawn again.",
            figures=[figures.importance_figure(found) if found.each else None],
        ),
        Section(
            name="isolation",
            title="Each hyperparameter in isolation",
            text="Every trial at its best epoch, and the best trial of each part of the range: "
            "where these are flat, the value does not matter; where they rise to an end, the range "
            f"is too narrow.{_untold(rows)}",
            figures=figures_of_space.isolation_figures(rows, parameters, objective),
            key=figures_of_space.isolation_key(rows),
        ),
        Section(
            name="parallel",
            title="All hyperparameters together",
            text=figure_parallel.text_of(len(rows)),
            figures=[figure_parallel.parallel_figure(rows, parameters, objective)],
        ),
        Section(
            name="contour",
            title="The two most important hyperparameters",
            text=f"{objective.metric} of the trials that have reached epoch {epoch}, smoothed over "
            f"the {figures_of_space.NEIGHBOURS} nearest of them; a cross is a trial without a "
            f"value.{_fewer(rows, far)}",
            figures=[figures_of_space.contour_figure(far, parameters, important[:2], objective)],
        ),
        Section(
            name="distribution",
            title="Distribution of the trials",
            text="How many trials are at least this good; those without a value never are.",
            figures=[figures.distribution_figure(rows, objective) if trials else None],
        ),
        Section(
            name="work",
            title="What ran where",
            text="A bar is the work of a trial on a node, without waiting.",
            figures=[figures.timeline_figure(work)],
        ),
    ]
    return [section for section in made if section.named_figures]


def _untold(rows: Sequence[Row]) -> str:
    """Return how many trials have no value yet, which no figure of values can show."""
    count = sum(not is_finite(row.value) and row.status in ("pending", "running") for row in rows)
    return f" {count} more have no value yet." if count else ""


def _fewer(rows: Sequence[Row], drawn: Sequence[Row]) -> str:
    left = len(rows) - len(drawn)
    return f" The {left} trials that have not are left out." if left else ""
