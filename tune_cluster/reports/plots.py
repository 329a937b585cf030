"""Plot of a study: the curve of every trial, the best one in front, and the tried values."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_spaces import needs_extra
from search_spaces.objective import shown_value
from tune_cluster.plain_text import in_picture
from tune_cluster.storage.inside import write_file
from tune_cluster.study.state import TrialState
from tune_cluster.study.stored import read_study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"finished": "tab:blue", "stopped": "0.6", "diverged": "tab:red", "failed": "tab:red"}


def draw_curves(study: Path, target: Path) -> None:
    """Draw the metric of each trial by epoch, and one or two hyperparameters with their results.

    Raises:
        OSError, ValueError: `study` is no readable study, or matplotlib is missing.
    """
    with needs_extra("plots"):
        from matplotlib.figure import Figure
    about, _, state = read_study(study)
    metric, trials, best = state.objective.metric, state.trials.values(), state.best
    shown = shown_hyperparameters(about, [trial.config for trial in trials])
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    curves, points = figure.subplots(1, 2, sharey=True, width_ratios=[3, 2])
    points.set_visible(bool(shown))
    for trial in trials:
        is_best = best is not None and trial is best.trial
        epochs = sorted(trial.results)
        curves.plot(
            epochs,
            [trial.results[epoch].get(metric) for epoch in epochs],
            color="tab:orange" if is_best else COLOURS.get(trial.status, "0.6"),
            linewidth=2.2 if is_best else 1,
            marker="o" if trial.epochs == 1 else None,
            markersize=3,
            zorder=3 if is_best else 2,
        )
    for label, colour in (("best", "tab:orange"), ("ran to the end", "tab:blue")):
        curves.plot([], [], color=colour, label=label)
    curves.plot([], [], color=COLOURS["stopped"], label="stopped at a rung")
    for rung in about["strategy"].get("rungs", []):
        if rung in state.judged and not state.judged[rung].used:
            continue
        curves.axvline(rung, color="0.85", linewidth=1, zorder=1)
    curves.set(xlabel="epoch", ylabel=in_picture(metric))
    # The corner where the curves do not end.
    corner = "lower right" if state.objective.mode == "max" else "upper right"
    curves.legend(loc=corner, frameon=False)

    if shown:
        scatter(figure, points, shown, [trial for trial in trials if trial.best])
    if best is not None:
        top = best.value
        # Diverged and bad trials would compress the relevant range into one line.
        if state.objective.mode == "max" and top > 0:
            curves.set_ylim(max(0.0, top - 0.25), top + 0.02)
        trained = sum(len(trial.results) for trial in trials)
        what = ", ".join(filter(None, (about["job"], about["dataset"]["name"])))
        title = f"{what}: {len(trials)} trials, {trained} epochs, best {metric} {shown_value(top)}"
        figure.suptitle(in_picture(title))
    save_picture(figure, target)


FIRST_SHOWN = ("learning_rate", "batch_size")
"""Hyperparameters that are shown first, if they are searched."""

MOST_TICKS = 8
"""Largest number of values for a colour bar that names each of them."""


def shown_hyperparameters(
    about: Mapping[str, Any], configs: Sequence[Mapping[str, Any]]
) -> dict[str, bool]:
    """Return the first two searched hyperparameters with numbers, ranges before lists.

    The value tells whether each is drawn on a log scale: a range if it is searched so, a list if
    its numbers are above 0.
    """
    found: dict[str, bool] = {}
    parameters = {one["name"]: one for one in about["space"]["parameters"]}
    lists = {name for name, one in parameters.items() if "low" not in one}
    for name in sorted(parameters, key=lambda name: (name not in FIRST_SHOWN, name in lists)):
        numbers = [n for config in configs if (n := _number(config.get(name))) is not None]
        if numbers and len(found) < 2:
            as_log = name in lists or parameters[name].get("scale") == "log"
            found[name] = as_log and min(numbers) > 0
    return {name: found[name] for name in sorted(found, key=lists.__contains__)}


def scatter(
    figure: Figure, place: Axes, shown: Mapping[str, bool], trials: Sequence[TrialState]
) -> None:
    """Draw the best value of each trial by one hyperparameter, coloured by another.

    Args:
        figure: figure of the colour bar.
        place: axes to draw on.
        shown: one or two names, and whether each is on a log scale.
        trials: trials that have a best value.
    """
    from matplotlib.colors import LogNorm, Normalize

    (x, in_log), *colours = shown.items()
    drawn = [trial for trial in trials if _number(trial.config.get(x)) is not None]
    style: dict[str, Any] = {}
    sizes = []
    for name, log_colours in colours:
        sizes = [_number(trial.config.get(name)) for trial in drawn]
        if drawn and None not in sizes:
            style = {
                "c": sizes,
                "cmap": "viridis",
                "norm": LogNorm() if log_colours else Normalize(),
            }
    found = place.scatter(
        [trial.config[x] for trial in drawn],
        [trial.best.value for trial in drawn if trial.best],
        s=[12 + 3 * trial.epochs for trial in drawn],
        **style,
    )
    if style:
        values = sorted({size for size in sizes if size is not None})
        ticks = values if len(values) <= MOST_TICKS else None
        bar = figure.colorbar(found, label=in_picture(colours[0][0]), ticks=ticks, format="%g")
        bar.minorticks_off()
    place.set(xscale="log" if in_log else "linear", xlabel=in_picture(x))


def _number(value: object) -> float | None:
    # A user's space may have words or lists as values.
    numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if numeric else None  # type: ignore[return-value]


def save_picture(figure: Figure, target: Path) -> None:
    """Write a figure as a PNG; it replaces an existing file or link."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    write_file(target.parent, target, content.getvalue())
