"""Plot of regret over the epochs that a study has spent."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from compare import summary
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from runs import PLANS, Run

STYLES = ("-", "--", ":")
"""Styles of lines."""


def picture(panels: Mapping[int, Mapping[str, Sequence[Run]]], plan: str, path: Path) -> None:
    """Write the plot of `drawn`; the suffix of `path` determines the format."""
    drawn(panels, plan).savefig(path, dpi=150)


def drawn(panels: Mapping[int, Mapping[str, Sequence[Run]]], plan: str) -> Figure:
    """Draw a panel for each number of workers, and in it a line for each strategy: the mean over
    the tasks (the seeds of each averaged), with a band of one standard error to both sides.

    Args:
        panels: runs of the plan, by number of workers and strategy.
        plan: name of the plan.
    """
    figure = Figure(figsize=(6 * len(panels) + 2, 5), layout="constrained")
    # No display is needed.
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    names = list(dict.fromkeys(name for strategies in panels.values() for name in strategies))
    first, highest = PLANS[plan].at_mark(PLANS[plan].marks[0]), 0.0
    lines = {}
    for place, (workers, strategies) in zip(axes, panels.items(), strict=True):
        for strategy, runs in strategies.items():
            mean, error = band(runs)
            number = names.index(strategy)
            # There are ten colours.
            colour, style = f"C{number % 10}", STYLES[number // 10 % len(STYLES)]
            budgets = PLANS[plan].budgets
            (lines[strategy],) = place.plot(budgets, mean, style, color=colour, label=strategy)
            place.fill_between(
                budgets, mean - error, mean + error, color=colour, alpha=0.15, linewidth=0
            )
            highest = max(highest, float(mean[first]))
        place.set_title(f"{workers} {'worker' if workers == 1 else 'workers'}")
        place.set_xlabel("epochs of all trials together")
        place.grid(alpha=0.3)
    # The first values with many workers would leave no room for the rest.
    axes[0].set_ylim(top=1.4 * highest)
    axes[0].set_ylabel("normalised regret, mean and standard error over the tasks")
    figure.legend([lines[name] for name in names], names, loc="outside right upper")
    return figure


def band(runs: Sequence[Run]) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean over the tasks and its standard error, by the budgets of a plan."""
    count = len(runs[0].regret)
    found = [summary(runs, lambda run, at=at: run.regret[at]) for at in range(count)]  # type: ignore[misc]
    return np.array([one.mean for one in found]), np.array([one.error for one in found])
