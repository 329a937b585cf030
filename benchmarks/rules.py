"""The rules of ASHA's rungs compared on recorded curves (see `record_curves.py`).

Random search under each rule, 4 workers in simulated time, grace period 1, reduction factor 3, 27
epochs, 200 seeds: the best validation accuracy that a study has after 50, 100, 200 and 400 epochs
of all its trials together, as the shortfall from the table's best in points (hundredths), mean
over the seeds; smaller is better.

- `promotion`: among the best n // 3, itself included, else it is stopped, and resumes from its
  checkpoint once it is among them (ours; algorithm 2 of Li et al. 2020).
- `top`: among the best max(1, n // 3), itself included, else stopped for good (Optuna's pruner has
  the same).
- `ray`: no worse than the 67th percentile of those before it.
- `syne_tune`: no worse than the 67th percentile with itself; the first two always continue.
- `lenient`: as `top`, but the first three to arrive always continue.
- `strict`: as `top`, but the first two always stop: none continues without two to compare with.
- `none`: every trial runs to its end.

`promotion` is the default: the best at every budget, and it needs a third of random search's
epochs where `top` needs more (`fidelity.py`). It has its price. With fewer than 27 trials none may
reach epoch 27, which the plan of a study reports; the latest checkpoint of every stopped trial is
kept beside its best; and a trainable without checkpoints cannot resume, and is run under `top`, the
best of the rules that stop for good. Rungs that let the first ones through (`ray`, `syne_tune`,
`lenient`, and `top` a little) pay for it with whole trials at the beginning of a study, when
nothing is known yet.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from record_curves import EPOCHS, SPACE
from recorded_curves import Curves
from replay import OurStudy, Replay, replay
from table import Row, run_benchmark

from search_spaces.schedulers.asha import ASHA
from search_spaces.schedulers.base import StudyScheduler
from search_spaces.schedulers.rungs import Rungs
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.trial_events import Decision

WORKERS, BUDGETS = 4, (50, 100, 200, 400)


class SyneTune(Rungs):
    """A percentile including the trial's own value; a rung of fewer than η lets all through."""

    def report(self, trial: int, epoch: float, value: float) -> Decision | None:
        """Decide as `Rungs.report`, by this rule."""
        decision = super().report(trial, epoch, value)
        if decision is None:
            return None
        finite = [v for v in self.values[decision.rung].values() if math.isfinite(v)]
        cutoff = float(np.quantile(finite, 1 - 1 / self.reduction_factor))
        stop = len(finite) >= self.reduction_factor and value < cutoff
        return replace(decision, cutoff=cutoff, stop=stop)


class Lenient(Rungs):
    """The first η trials always continue."""

    def report(self, trial: int, epoch: float, value: float) -> Decision | None:
        """Decide as `Rungs.report`, by this rule."""
        decision = super().report(trial, epoch, value)
        if decision is not None and decision.of <= self.reduction_factor:
            return replace(decision, stop=False)
        return decision


class Strict(Rungs):
    """A rung of fewer than η lets none through."""

    def report(self, trial: int, epoch: float, value: float) -> Decision | None:
        """Decide as `Rungs.report`, by this rule."""
        decision = super().report(trial, epoch, value)
        if decision is not None and decision.of < self.reduction_factor:
            return replace(decision, stop=True)
        return decision


class Ruled(ASHA):
    """ASHA over rungs of a rule of its own."""

    def __init__(self, rungs: Rungs) -> None:
        super().__init__(max_epochs=EPOCHS, grace_period=1, rung_rule=rungs.rule)
        self.memory = replace(rungs)


def under(rungs: Rungs | None) -> Callable[[Curves, int], Replay]:
    """Return a study of random search under these rungs."""

    def run(curves: Curves, seed: int) -> Replay:
        scheduler = StudyScheduler() if rungs is None else Ruled(rungs)
        searcher = RandomSearch(SPACE, seed=seed)
        strategy = OurStudy(searcher, scheduler, epochs=EPOCHS, trials=max(BUDGETS))
        return replay(curves.study(), strategy, workers=WORKERS, epochs=max(BUDGETS))

    return run


CASES: dict[str, Callable[[Curves, int], Replay]] = {
    "promotion": under(Rungs(EPOCHS, rule="promotion")),
    "top": under(Rungs(EPOCHS, rule="top")),
    "ray": under(Rungs(EPOCHS, rule="ray")),
    "syne_tune": under(SyneTune(EPOCHS, rule="top")),
    "lenient": under(Lenient(EPOCHS, rule="top")),
    "strict": under(Strict(EPOCHS, rule="top")),
    "none": under(None),
}


def measure(quick: bool) -> list[Row]:
    """Measure every rule at every budget."""
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
