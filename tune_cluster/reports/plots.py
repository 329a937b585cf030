"""The picture of a study: every trial's curve, the best one in front, and what was tried."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces import needs_extra
from search_spaces.objective import shown_value
from tune_cluster.plain_text import in_picture
from tune_cluster.storage.inside import write_file
from tune_cluster.study.stored import read_study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = {"finished": "tab:blue", "stopped": "0.6", "diverged": "tab:red", "failed": "tab:red"}


def draw_curves(study: Path, target: Path) -> None:
    """Draws the metric of each trial by epoch, and the learning rates with what they reached.

    Raises:
        OSError, ValueError: `study` holds no study that can be read, or matplotlib is missing.
    """
    with needs_extra("plots"):
        from matplotlib.colors import LogNorm
        from matplotlib.figure import Figure
    about, _, state = read_study(study)
    metric, trials, best = state.objective.metric, state.trials.values(), state.best
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    curves, points = figure.subplots(1, 2, sharey=True, width_ratios=[3, 2])
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
    curves.legend(loc="lower right", frameon=False)

    reached = [(trial, found) for trial in trials if (found := trial.best)]
    rates = [_number(trial.config.get("learning_rate")) for trial, _ in reached]
    sizes = [_number(trial.config.get("batch_size")) for trial, _ in reached]
    coloured = bool(sizes) and all(size is not None and size > 0 for size in sizes)
    drawn = points.scatter(
        rates,
        [found.value for _, found in reached],
        c=sizes if coloured else None,
        norm=LogNorm() if coloured else None,
        s=[12 + 3 * trial.epochs for trial, _ in reached],
        cmap="viridis" if coloured else None,
    )
    if coloured:
        bar = figure.colorbar(drawn, label="batch_size", ticks=sorted(set(sizes)), format="%d")
        bar.minorticks_off()
    in_log = all(rate is None or rate > 0 for rate in rates)
    points.set(xscale="log" if in_log else "linear", xlabel="learning_rate")
    if best is not None:
        top = best.value
        # The diverged and the unlucky would press what matters into one line.
        if state.objective.mode == "max" and top > 0:
            curves.set_ylim(max(0.0, top - 0.25), top + 0.02)
        trained = sum(len(trial.results) for trial in trials)
        title = (
            f"{about['job']}, {about['dataset']['name']}: {len(trials)} trials, {trained} epochs, "
            f"best {metric} {shown_value(top)}"
        )
        figure.suptitle(in_picture(title))
    save_picture(figure, target)


def _number(value: object) -> float | None:
    # A space of one's own may have words, or lists, there.
    return value if isinstance(value, (int, float)) else None


def save_picture(figure: Figure, target: Path) -> None:
    """Writes a figure as a PNG, in the place of a link as of any file that was there."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    write_file(target.parent, target, content.getvalue())
