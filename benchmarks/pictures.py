"""Regret against the epochs that a study has spent, as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from compare import summary
from runs import PLANS, Run

STYLES = ("-", "--", ":")
"""Of lines."""


def picture(panels: Mapping[int, Mapping[str, Sequence[Run]]], plan: str, path: Path) -> None:
    """Draw a panel for each number of workers, and in it a line for each strategy: the mean over
    the tasks (the seeds of each averaged), with a band of one standard error to both sides.

    Args:
        panels: by number of workers and strategy, its runs of the plan.
        plan: that they are of.
        path: of the picture; its suffix says in which format.
    """
    # No display is needed.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6 * len(panels) + 2, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for place, (workers, strategies) in zip(axes, panels.items(), strict=True):
        for number, (strategy, runs) in enumerate(strategies.items()):
            mean, error = band(runs)
            # There are ten colours.
            style = STYLES[number // 10 % len(STYLES)]
            (line,) = place.plot(PLANS[plan].budgets, mean, style, label=strategy)
            low, high = mean - error, mean + error
            place.fill_between(
                PLANS[plan].budgets, low, high, color=line.get_color(), alpha=0.15, linewidth=0
            )
        place.set_title(f"{workers} {'worker' if workers == 1 else 'workers'}")
        place.set_xlabel("epochs of all trials together")
        place.grid(alpha=0.3)
    axes[0].set_ylabel("normalised regret, mean and standard error over the tasks")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper")
    figure.savefig(path, dpi=150)


def band(runs: Sequence[Run]) -> tuple[np.ndarray, np.ndarray]:
    """By the budgets of a plan, the mean over the tasks and its standard error."""
    count = len(runs[0].regret)
    found = [summary(runs, lambda run, at=at: run.regret[at]) for at in range(count)]  # type: ignore[misc]
    return np.array([one.mean for one in found]), np.array([one.error for one in found])
