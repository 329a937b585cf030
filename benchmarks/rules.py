"""Who goes on from a rung? The rules of ASHA compared on recorded curves (see `record_curves.py`).

Random search under each rule, 4 workers in simulated time, grace period 1, reduction factor 3, 27
epochs, 200 seeds: the best validation accuracy that a study has after 50, 100, 200 and 400 epochs
of all its trials together, as the shortfall from the table's best in points (hundredths), mean
over the seeds; smaller is better. A hundredth of that is the standard error, as printed.

- `top`: among the best max(1, n // 3), itself included (ours; Optuna's pruner has the same).
- `ray`: no worse than the 67th percentile of those before it.
- `syne_tune`: no worse than the 67th percentile with itself; the first two always go on.
- `lenient`: as `top`, but the first three to come always go on.
- `strict`: as `top`, but the first two always stop: nobody goes on without two to compare with.
- `promotion`: nobody is stopped; a trial waits at its rung until it is among the best n // 3 and is
  then gone on with from its checkpoint (Li et al. 2020, algorithm 1 of ASHA).
- `none`: every trial runs to its end.

`top` is the default: of the rules that stop it is the best up to 100 epochs and as good as any from
200 on. `promotion` is a little better still. It is not the default, because with fewer than 27
trials nobody gets to the end (of 8, the best has had 3 epochs), because the latest checkpoint of
every trial would have to stay, and because a function has no checkpoint to go on from.
"""

import heapq
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from record_curves import EPOCHS, SPACE
from replay import Curves, Replay, replay
from table import Row, run_benchmark

from search_spaces.asha import ASHA
from search_spaces.random_search import RandomSearch
from search_spaces.rungs import Decision, Rungs

WORKERS, BUDGETS = 4, (50, 100, 200, 400)


class SyneTune(Rungs):
    """A percentile with the own value; a rung of fewer than η lets everybody through."""

    def report(self, trial: int | str, epoch: int, value: float) -> Decision | None:
        """As `Rungs.report`."""
        decision = super().report(trial, epoch, value)
        if decision is None:
            return None
        finite = [v for v in self.values[epoch].values() if math.isfinite(v)]
        cutoff = float(np.quantile(finite, 1 - 1 / self.reduction_factor))
        stop = len(finite) >= self.reduction_factor and value < cutoff
        return replace(decision, cutoff=cutoff, stop=stop)


class Lenient(Rungs):
    """The first η trials always go on."""

    def report(self, trial: int | str, epoch: int, value: float) -> Decision | None:
        """As `Rungs.report`."""
        decision = super().report(trial, epoch, value)
        if decision is not None and decision.of <= self.reduction_factor:
            return replace(decision, stop=False)
        return decision


class Strict(Rungs):
    """A rung of fewer than η lets nobody through."""

    def report(self, trial: int | str, epoch: int, value: float) -> Decision | None:
        """As `Rungs.report`."""
        decision = super().report(trial, epoch, value)
        if decision is not None and decision.of < self.reduction_factor:
            return replace(decision, stop=True)
        return decision


def stopping(rungs: Rungs | None) -> Callable[[Curves, int], Replay]:
    """A study of random search whose scheduler has these rungs."""

    def run(curves: Curves, seed: int) -> Replay:
        asha = None
        if rungs is not None:
            asha = ASHA(max_epochs=EPOCHS)
            asha.rungs = replace(rungs)
        searcher = RandomSearch(SPACE, seed=seed)
        return replay(curves, searcher, asha, workers=WORKERS, epochs=max(BUDGETS))

    return run


def promotion(curves: Curves, seed: int) -> Replay:
    """Asynchronous successive halving with waiting trials, as in the paper."""
    searcher, rungs = RandomSearch(SPACE, seed=seed), Rungs(EPOCHS)
    stations = [*rungs.milestones, EPOCHS]
    found, best, had = Replay(), -math.inf, set[int]()
    values: list[dict[int, float]] = [{} for _ in stations]
    promoted: list[set[int]] = [set() for _ in stations]
    running: list[tuple[float, int, int]] = []

    def job(now: float) -> None:
        """The best promotable trial of the highest rung, else a new one."""
        for level in reversed(range(len(rungs.milestones))):
            reached = values[level]
            top = sorted(reached, key=lambda trial: -reached[trial])
            for trial in top[: len(reached) // rungs.reduction_factor]:
                if trial not in promoted[level] and math.isfinite(reached[trial]):
                    promoted[level].add(trial)
                    go_on(now, trial, stations[level])
                    return
        trial = found.trials
        found.trials += 1
        curve[trial] = curves.nearest(searcher.point(trial), had)
        go_on(now, trial, 0)

    def go_on(now: float, trial: int, epoch: int) -> None:
        heapq.heappush(running, (now + curve[trial].seconds[epoch], trial, epoch + 1))

    curve = {}
    for _ in range(WORKERS):
        job(0.0)
    while found.epochs < max(BUDGETS):
        now, trial, epoch = heapq.heappop(running)
        found.epochs, found.seconds = found.epochs + 1, now
        value = curve[trial].values[epoch - 1]
        if value > best:
            best = value
            found.best.append((found.epochs, now, value))
        if math.isnan(value) or epoch in stations:
            level = next(i for i, station in enumerate(stations) if station >= epoch)
            values[level][trial] = -math.inf if math.isnan(value) else value
            job(now)
        else:
            go_on(now, trial, epoch)
    return found


CASES: dict[str, Callable[[Curves, int], Replay]] = {
    "top": stopping(Rungs(EPOCHS)),
    "ray": stopping(Rungs(EPOCHS, rule="ray")),
    "syne_tune": stopping(SyneTune(EPOCHS)),
    "lenient": stopping(Lenient(EPOCHS)),
    "strict": stopping(Strict(EPOCHS)),
    "promotion": promotion,
    "none": stopping(None),
}


def measure(quick: bool) -> list[Row]:
    """Every rule at every budget."""
    curves, rows = Curves(), []
    for case, study in CASES.items():
        studies = [study(curves, seed) for seed in range(20 if quick else 200)]
        for budget in BUDGETS:
            short = [100 * (curves.best - study.best_after(budget)) for study in studies]
            rows.append(
                Row(
                    benchmark="rules",
                    case=case,
                    metric=f"shortfall_after_{budget}_epochs",
                    value=float(np.mean(short)),
                    unit="points",
                )
            )
    return rows


if __name__ == "__main__":
    run_benchmark(measure, __doc__ or "")
