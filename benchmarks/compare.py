"""Differences between strategies on the tasks that they share."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from runs import Key, Run
from scipy.stats import bootstrap, rankdata


@dataclass(frozen=True)
class Summary:
    """Mean figure of a strategy."""

    tasks: int
    runs: int
    mean: float
    """Mean over the tasks of the mean over the seeds."""
    error: float
    """Standard error of that mean over the tasks; 0 for one task."""


@dataclass(frozen=True)
class Difference:
    """One strategy minus another one, on the tasks and seeds that both have."""

    mean: float
    """Mean difference; below 0 if the strategy has less regret."""
    low: float
    high: float
    """Bounds of the 95% interval of the mean: bootstrap over the tasks, the seeds averaged."""
    worse: list[str]
    """Tasks on which it has more regret by more than one standard error of the mean difference over
    the seeds, which are paired."""


Figure = Callable[[Run], float]
"""Figure of a run, such as its regret after 10 full trainings."""


def summary(runs: Iterable[Run], figure: Figure) -> Summary:
    """Return the mean figure of a strategy; NaN without a run."""
    by_task: dict[str, list[float]] = {}
    for run in runs:
        by_task.setdefault(run.task, []).append(figure(run))
    means = [float(np.mean(values)) for values in by_task.values()]
    count = sum(map(len, by_task.values()))
    if not means:
        return Summary(0, 0, float("nan"), float("nan"))
    return Summary(len(means), count, float(np.mean(means)), standard_error(means))


def difference(runs: Iterable[Run], others: Iterable[Run], figure: Figure) -> Difference | None:
    """Return the difference between two strategies; None if they share no task."""
    one, other = _by_place(runs, figure), _by_place(others, figure)
    by_task: dict[str, list[float]] = {}
    for place in sorted(one.keys() & other.keys()):
        by_task.setdefault(place[0], []).append(one[place] - other[place])
    if not by_task:
        return None
    means = np.array([np.mean(values) for values in by_task.values()])
    low, high = interval(means)
    worse = [t for t, values in by_task.items() if np.mean(values) > standard_error(values)]
    # Sort numbers by value.
    worse.sort(key=lambda task: (len(task), task))
    return Difference(float(means.mean()), low, high, worse)


def interval(differences: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95% interval of the mean; the value itself if all are equal."""
    if np.ptp(differences) == 0:
        return float(differences[0]), float(differences[0])
    found = bootstrap(
        (differences,), np.mean, rng=np.random.default_rng(0), method="percentile"
    ).confidence_interval
    return float(found.low), float(found.high)


def standard_error(values: Iterable[float]) -> float:
    """Return the standard error of the mean; 0 for a single value."""
    known = list(values)
    return float(np.std(known, ddof=1) / np.sqrt(len(known))) if len(known) > 1 else 0.0


def by_strategy(runs: Mapping[Key, Run], plan: str, workers: int) -> dict[str, list[Run]]:
    """Return the runs of a plan with that many workers, by strategy in the order of the file."""
    found: dict[str, list[Run]] = {}
    for run in runs.values():
        if (run.plan, run.workers) == (plan, workers):
            found.setdefault(run.strategy, []).append(run)
    return found


def ranks(strategies: Mapping[str, Iterable[Run]]) -> dict[str, list[float]]:
    """Return the ranks of all strategies by task: by the mean regret of the seeds at the end of the
    budget, in the given order; 1 is the best, equal ones share the mean of their ranks."""
    regrets: list[dict[str, list[float]]] = []
    for runs in strategies.values():
        of: dict[str, list[float]] = {}
        for run in runs:
            of.setdefault(run.task, []).append(run.regret[-1])
        regrets.append(of)
    shared = set.intersection(*(set(of) for of in regrets))
    return {
        task: [float(rank) for rank in rankdata([np.mean(of[task]) for of in regrets])]
        for task in sorted(shared)
    }


def _by_place(runs: Iterable[Run], figure: Figure) -> dict[tuple[str, int], float]:
    return {(run.task, run.seed): figure(run) for run in runs}
