"""Comparison of strategies: the best value so far over the epochs spent."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from rich.text import Text

from search_spaces import needs_extra
from search_spaces.objective import Objective, shown_value
from search_spaces.trial_events import Ended, Result
from tune_cluster.plain_text import in_picture, one_line
from tune_cluster.reports.plots import save_picture
from tune_cluster.storage.inside import write_file
from tune_cluster.study.stored import read_study


@dataclass(frozen=True)
class Run:
    """One study of a comparison."""

    strategy: str
    seed: int
    best: NDArray[np.float64]
    """Best value after 1, 2, … epochs of all trials together, [epochs]."""
    trials: int


def read_runs(folder: Path) -> tuple[list[Run], Objective]:
    """Return the studies in `folder`, in their order, and their common objective.

    Raises:
        ValueError: there is no study, or their objectives differ.
    """
    runs: list[Run] = []
    objective = None
    for path in sorted(folder.glob("*/study.json")):
        about, events, state = read_study(path.parent)
        if objective is not None and state.objective != objective:
            raise ValueError(
                f"{path.parent}: mode={state.objective.mode} of {state.objective.metric}, and of "
                f"the studies before it mode={objective.mode} of {objective.metric}: only studies "
                "with one objective can be compared"
            )
        objective = state.objective
        strategy = about["options"].get("strategy")
        if not isinstance(strategy, str):
            raise ValueError(f"{path}: options.strategy is missing: it is no study of a comparison")
        values: list[float | None] = []
        for event in events:
            if isinstance(event, Result):
                values.append(event.metrics.get(objective.metric))
            elif isinstance(event, Ended) and event.status == "diverged":
                values.append(None)  # A lost epoch was spent too.
        if values:
            best = best_so_far(values, objective)
            runs.append(Run(strategy, about["seed"], best, len(state.trials)))
    if objective is None or not runs:
        raise ValueError(f"{folder}: has no study of a comparison; run compare_strategies first")
    return runs, objective


def best_so_far(values: Sequence[float | None], objective: Objective) -> NDArray[np.float64]:
    """Return the best of the values up to each one; NaN before the first."""
    best, found = math.nan, []
    for value in values:
        if value is not None and (math.isnan(best) or objective.better(value, best)):
            best = value
        found.append(best)
    return np.array(found)


def show_comparison(folder: Path) -> str:
    """Write table and plot; return the table as text.

    `to common` is the number of epochs until a study reached the final value of the median
    strategy: the mean over the seeds, in brackets the number of seeds that reached it.
    """
    runs, objective = read_runs(folder)
    metric = objective.metric
    strategies = list(dict.fromkeys(run.strategy for run in runs))
    # All are compared at the end of the shortest.
    budget = min(len(run.best) for run in runs)
    final = {s: [run.best[budget - 1] for run in runs if run.strategy == s] for s in strategies}
    common = float(np.median([np.mean(values) for values in final.values()]))
    rows = []
    for strategy in sorted(strategies, key=lambda s: objective.key(float(np.mean(final[s])))):
        mine = [run for run in runs if run.strategy == strategy]
        reached = [epochs_to(run, common, objective) for run in mine]
        known = [epochs for epochs in reached if epochs is not None]
        to_common = f"{np.mean(known):.0f} ({len(known)} of {len(mine)})" if known else "never"
        rows.append(
            {
                "strategy": strategy,
                "seeds": len(mine),
                f"{metric} mean": shown_value(float(np.mean(final[strategy]))),
                "lowest": shown_value(min(final[strategy])),
                "highest": shown_value(max(final[strategy])),
                f"epochs to {shown_value(common)}": to_common,
                "trials": f"{np.mean([run.trials for run in mine]):.0f}",
            }
        )
    lines = io.StringIO()
    writer = csv.DictWriter(lines, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    write_file(folder, folder / "comparison.csv", lines.getvalue().encode())
    draw_comparison(runs, strategies, budget, metric, folder / "comparison.png")
    table = Table(title=f"after {budget} epochs")
    for head in rows[0]:
        table.add_column(cell(head))
    for row in rows:
        table.add_row(*map(cell, row.values()))
    console = Console(width=120)
    with console.capture() as captured:
        console.print(table)
    return captured.get()


def cell(value: object) -> Text:
    """Return a table cell for any value."""
    return Text(one_line(value))


def epochs_to(run: Run, value: float, objective: Objective) -> int | None:
    """Return the epochs of all trials until the best was as good as `value`; None if never."""
    for epochs, best in enumerate(run.best.tolist(), start=1):
        if not math.isnan(best) and not objective.better(value, best):
            return epochs
    return None


def draw_comparison(
    runs: list[Run], strategies: list[str], budget: int, metric: str, target: Path
) -> None:
    """Draw the mean of each strategy over its seeds, and the band from the worst to the best."""
    with needs_extra("plots"):
        from matplotlib.figure import Figure
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    epochs = np.arange(1, budget + 1)
    later = []
    for strategy in strategies:
        curves = np.array([run.best[:budget] for run in runs if run.strategy == strategy])
        (line,) = axes.plot(
            epochs, np.nanmean(curves, axis=0), label=in_picture(strategy), linewidth=2
        )
        axes.fill_between(
            epochs, curves.min(axis=0), curves.max(axis=0), color=line.get_color(), alpha=0.12
        )
        later.append(curves[:, budget // 10 :])
    # The first trials would compress the relevant range into one line.
    bottom, top = np.nanmin(later), np.nanmax(later)
    margin = 0.05 * (top - bottom) or 0.01
    axes.set_ylim(bottom - margin, top + margin)
    axes.set(xlabel="epochs of all trials together", ylabel=in_picture(f"best {metric} so far"))
    axes.grid(color="0.92")
    axes.legend(loc="lower right", frameon=False)
    save_picture(figure, target)
