"""Savings by early stopping and a model, on recorded learning curves (see `record_curves.py`).

Every strategy runs on the same 400 curves in simulated time, driving the searcher and the scheduler
that the jobs use; a proposal that is not in the table takes its nearest recorded neighbour that the
study has not had (see `recorded_curves.py`). 1, 4 and 50 workers (`--workers 8` others), 30 seeds.

- `epochs`, `hours`: of all trials together, and of simulated time, until a trial is within 0.5
  points of the table's best validation accuracy; the mean over the seeds. A study that has not
  reached that after 4,000 epochs counts as 4,000 (`not_reached` counts them).
- `epochs_ratio_to_…`: of the means, paired by the seed, with the ends of its 95% interval
  (bootstrap over the seeds).
"""

from collections.abc import Callable, Sequence

import numpy as np
from chosen_factor import CHOSEN
from other_cuts import CUTS
from record_curves import EPOCHS, SPACE
from recorded_curves import Curves
from replay import OurStudy, replay
from scipy.stats import bootstrap
from strategies import scheduler_named
from table import Row, run_benchmark

from search_spaces.searchers.base import StudySearcher
from search_spaces.searchers.gp_search import GPSearch
from search_spaces.searchers.optuna_search import OptunaSearch
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.searchers.tpe_search import TPESearch

WITHIN, LIMIT = 0.005, 4_000

CASES: dict[str, tuple[Callable[..., StudySearcher], str]] = {
    "random": (RandomSearch, ""),
    "tpe": (TPESearch, ""),
    "optuna": (OptunaSearch, ""),
    "gp": (GPSearch, ""),
    "asha_1": (RandomSearch, "asha_1"),
    "asha": (RandomSearch, "asha"),
    "tpe_asha": (TPESearch, "asha"),
    "optuna_asha": (OptunaSearch, "asha"),
    "gp_asha": (GPSearch, "asha"),
}
"""Searcher and name of the scheduler in `strategies.py`, by name; no name stops no trial."""

OTHERS: dict[str, tuple[Callable[..., StudySearcher], str]] = {
    name: (RandomSearch, name) for name in ("asha_by_2", *CUTS, *CHOSEN)
}
"""Random search with rungs that cut otherwise (`other_cuts.py`, `chosen_factor.py`), run only where
`--cases` asks."""

RATIOS = (
    *((name, "asha") for name in OTHERS),
    *(("asha", "random"), ("asha", "asha_1")),
    *(("tpe_asha", "asha"), ("optuna_asha", "asha"), ("gp_asha", "asha")),
)


def costs(curves: Curves, case: str, workers: int, seeds: int) -> np.ndarray:
    """Return epochs, seconds and whether the target was reached: `[seeds, 3]`."""
    searcher, name = (CASES | OTHERS)[case]
    target = curves.best - WITHIN
    found = []
    for seed in range(seeds):
        scheduler = scheduler_named(name, EPOCHS, seed)
        strategy = OurStudy(searcher(SPACE, seed=seed), scheduler, epochs=EPOCHS, trials=LIMIT)
        study = replay(curves.study(), strategy, workers=workers, epochs=LIMIT, target=target)
        cost = study.cost(target)
        found.append((LIMIT, study.seconds, 0.0) if cost is None else (*cost, 1.0))
    return np.array(found)


def measure(quick: bool, workers: Sequence[str], cases: Sequence[str]) -> list[Row]:
    """Measure every strategy with every number of workers."""
    curves, rows = Curves(), []

    def row(case: str, metric: str, value: float, unit: str) -> None:
        rows.append(
            Row(benchmark="fidelity", case=case, metric=metric, value=float(value), unit=unit)
        )

    for count in map(int, workers):
        known = {}
        for case in cases:
            known[case] = costs(curves, case, count, 6 if quick else 30)
            epochs, seconds, reached = known[case].mean(axis=0)
            name = f"{case}-{count}_workers"
            row(name, "epochs", epochs, "epochs")
            row(name, "hours", seconds / 3600, "h")
            row(name, "not_reached", 100 * (1 - reached), "%")
        for case, other in RATIOS:
            if case in known and other in known:
                pair = known[case][:, 0], known[other][:, 0]
                interval = bootstrap(
                    pair,
                    lambda a, b, axis: a.mean(axis=axis) / b.mean(axis=axis),
                    paired=True,
                    vectorized=True,
                    rng=np.random.default_rng(0),
                    method="percentile",
                ).confidence_interval
                name = f"{case}-{count}_workers"
                row(name, f"epochs_ratio_to_{other}", pair[0].mean() / pair[1].mean(), "ratio")
                row(name, f"epochs_ratio_to_{other}_low", interval.low, "ratio")
                row(name, f"epochs_ratio_to_{other}_high", interval.high, "ratio")
    return rows


if __name__ == "__main__":
    run_benchmark(measure, __doc__ or "", workers=("1", "4", "50"), cases=tuple(CASES))
