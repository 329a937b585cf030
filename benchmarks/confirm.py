"""Verdicts of `tune-cluster confirm` beside the truth of 30 seeds, on recorded seeds.

A case is a study of the first job, 64 trials with ASHA, whose five best trials and the defaults are
confirmed: replayed on recorded curves (`record_seeds.py`), on an own random part of the pool. Five
seeds that the study has not had, each with its own split, are the confirmation; 30 others are the
truth. 100 cases a dataset, those of which all candidates were recorded: 13 in 100 have one that
hardly any other has. They draw from the same runs, and so are not independent.

Truth: the candidate with the best mean is better if the 95% t interval of its paired difference to
each other excludes 0; else it is tied with those for which it does not. The value of a run is its
best epoch of 27. Set before the first verdict was seen:

- `agrees`: the verdict is of the same kind (better, or a tie), and its best is the truth's best or
  tied with it.
- `agrees_within_0.3`: as `agrees`, but a tie is right too where the truth's winner leads by at most
  0.3 points, and the best need only be within 0.3 points of the truth's: the margin by which issue
  21 calls studies equal. To say better where the truth does not is never right.
- `wrong_better`: it says better, and the truth does not say so of the same candidate.
- `best_is_right`: its best is the truth's best or tied with it, whatever else it says.

`race` is the verdict as it is, `all` trains all candidates with all seeds and looks once,
`race_3_seeds` plans 3 seeds, and `race_3_epochs` and `race_9_epochs` judge runs of so few epochs.
`30_seeds_again` sets 30 seeds, drawn with replacement, beside 30 others: how well the truth agrees
with itself. `study` believes the study's best trial, `always_tie` says always tie. Epochs are told
as a share of those of the study (`of_study`), and of the same 64 trials without early stopping
(`of_unstopped`).
"""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from replay import METRIC, Curve, OurStudy, replay
from scipy import stats
from seeded_runs import DATASETS, EPOCHS, FRESH, POOL, STUDIES, Table, configurations, read_table
from strategies import scheduler_named, searcher_named
from table import Row, run_benchmark

from search_spaces.objective import Objective
from search_spaces.spaces import LR_BATCH
from tune_cluster.reports.verdict import Verdict, judge

CASES, TRIALS, WORKERS, TOP, ROUNDS, TRUTH = 100, 64, 4, 5, 5, 30

FEWEST = 5
"""Cases in which a configuration is confirmed, below which it is not worth 35 runs."""

EARLIER = (3, 9)
"""Epochs after which values are compared with those of whole runs."""

TOLERANCE = 0.003
"""Difference in accuracy that is as good as none."""

OBJECTIVE = Objective(METRIC, "max")


@dataclass(frozen=True)
class Study:
    """A replayed study."""

    candidates: tuple[int, ...]
    """Configurations of the pool that are confirmed: the best trials, and the defaults."""
    epochs: int
    """Epochs of all its trials."""


def study_of(table: Table, case: int) -> Study:
    """Replay the first job: 64 trials of random search with ASHA, in an own part of the pool."""
    rng = np.random.default_rng([case, 0])
    seed = STUDIES[case % len(STUDIES)]
    free = [POOL, *rng.permutation(POOL)[: TRIALS - 1].tolist()]
    pool = configurations()
    units = {index: np.array(LR_BATCH.unit(pool[index]), dtype=float) for index in free}
    chosen: list[int] = []

    def train(config: Mapping[str, Any]) -> Curve:
        place = np.array(LR_BATCH.unit(config), dtype=float)
        nearest = min(free, key=lambda index: float(((units[index] - place) ** 2).sum()))
        free.remove(nearest)
        chosen.append(nearest)
        values = table[nearest, seed]
        # With the first NaN, if it diverges.
        length = min(EPOCHS, int((~np.isnan(values)).sum()) + 1)
        return Curve(values[:length].tolist(), [1.0] * EPOCHS)

    strategy = Told(
        searcher_named("prior", LR_BATCH, case, [LR_BATCH.complete({})]),
        scheduler_named("asha", EPOCHS, case),
        epochs=EPOCHS,
        trials=TRIALS,
    )
    found = replay(train, strategy, workers=WORKERS, epochs=TRIALS * EPOCHS, trials=TRIALS)
    best = sorted(strategy.best, key=lambda trial: -strategy.best[trial])[:TOP]
    return Study(tuple(dict.fromkeys([*(chosen[trial] for trial in best), POOL])), found.epochs)


class Told(OurStudy):
    """A study that keeps the best value of each trial."""

    def __init__(self, *args: Any, **rest: Any) -> None:
        super().__init__(*args, **rest)
        self.best: dict[int, float] = {}

    def tell(self, trial: int, epoch: int, value: float) -> bool:
        """Take in a value, as `OurStudy`."""
        if not math.isnan(value):
            self.best[trial] = max(value, self.best.get(trial, -math.inf))
        return super().tell(trial, epoch, value)


def confirmed(table: Table) -> set[int]:
    """Return the configurations that at least `FEWEST` of the first studies confirm."""
    counts = Counter(c for case in range(CASES) for c in study_of(table, case).candidates)
    return {config for config, count in counts.items() if count >= FEWEST}


@dataclass(frozen=True)
class Truth:
    """What 30 seeds say."""

    best: str
    tied: frozenset[str]
    means: Mapping[str, float]

    @property
    def kind(self) -> str:
        """Return "better" or "tie", as a verdict's."""
        return "tie" if self.tied else "better"

    @property
    def lead(self) -> float:
        """Return the difference between the best mean and the next."""
        best, second, *_ = sorted(self.means.values(), reverse=True)
        return best - second


def truth_of(values: Mapping[str, Sequence[float]]) -> Truth:
    """Compare the best with each other one by its paired differences."""
    means = {name: float(np.mean(own)) for name, own in values.items()}
    best = max(means, key=means.__getitem__)
    tied = set()
    for name in means.keys() - {best}:
        differences = np.array(values[best]) - values[name]
        margin = stats.t.ppf(0.975, len(differences) - 1) * stats.sem(differences)
        if differences.mean() <= margin:
            tied.add(name)
    return Truth(best, frozenset(tied), means)


@dataclass(frozen=True)
class Case:
    """A study with what its confirmation and the truth see."""

    study: Study
    values: Mapping[str, Sequence[npt.NDArray[np.float64]]]
    """By candidate the curve of each seed of the confirmation."""
    truth: Truth
    earlier: Mapping[int, Mapping[str, float]]
    """Means of the truth's runs after fewer epochs, by these."""
    again: tuple[Truth, Truth]
    """What 30 seeds say, drawn with replacement, and 30 others."""


def cases_of(table: Table, count: int) -> list[Case]:
    """Return the first cases of which all candidates were recorded."""
    recorded = confirmed(table)
    studies = ((number, study_of(table, number)) for number in itertools.count())
    whole = ((number, study) for number, study in studies if recorded.issuperset(study.candidates))
    return [case_of(table, *of) for of in itertools.islice(whole, count)]


def case_of(table: Table, number: int, study: Study) -> Case:
    """Draw the seeds of a study."""
    rng = np.random.default_rng([number, 1])
    seeds = rng.permutation(FRESH).tolist()
    confirmation, truth = seeds[:ROUNDS], seeds[ROUNDS : ROUNDS + TRUTH]
    first, second = rng.choice(seeds, (2, TRUTH)).tolist()

    def over(chosen: Sequence[int], epochs: int = EPOCHS) -> Truth:
        return truth_of(
            {
                name_of(config): [best_epoch(table[config, seed], epochs) for seed in chosen]
                for config in study.candidates
            }
        )

    return Case(
        study,
        {name_of(config): [table[config, s] for s in confirmation] for config in study.candidates},
        over(truth),
        {epochs: over(truth, epochs).means for epochs in EARLIER},
        (over(first), over(second)),
    )


def name_of(config: int) -> str:
    """Return the name of a candidate."""
    return "defaults" if config == POOL else f"configuration {config}"


def best_epoch(curve: npt.NDArray[np.float64], epochs: int = EPOCHS) -> float:
    """Return the value of a run: that of its best epoch, the worst if it diverged."""
    cut = curve[:epochs]
    return -math.inf if np.isnan(cut).any() else float(cut.max())


def race(case: Case, epochs: int = EPOCHS, rounds: int = ROUNDS) -> tuple[Verdict, int]:
    """Return the verdict on runs of so many epochs, and the epochs of all of them."""
    had: dict[str, list[float]] = {name: [] for name in case.values}
    running: Sequence[str] = list(had)
    for seed in range(rounds):
        for name in running:
            had[name].append(best_epoch(case.values[name][seed], epochs))
        verdict = judge(had, OBJECTIVE, rounds=rounds)
        if verdict.decided:
            break
        running = verdict.continuing
    return verdict, epochs * sum(map(len, had.values()))


def all_seeds(case: Case) -> tuple[Verdict, int]:
    """Return the verdict on all runs, and their epochs."""
    values = {name: [best_epoch(curve) for curve in own] for name, own in case.values.items()}
    return judge(values, OBJECTIVE, rounds=ROUNDS), EPOCHS * ROUNDS * len(values)


def scores(truth: Truth, verdict: Verdict | Truth) -> dict[str, bool]:
    """Return what is right about a verdict, by metric."""
    right = verdict.best in (truth.best, *truth.tied)
    near = right or truth.means[truth.best] - truth.means[verdict.best] <= TOLERANCE
    same_kind = verdict.kind == truth.kind
    small = verdict.kind == "tie" and truth.lead <= TOLERANCE
    is_best = truth.kind == "better" and verdict.best == truth.best
    return {
        "agrees": right and same_kind,
        "agrees_within_0.3": near and (same_kind or small),
        "wrong_better": verdict.kind == "better" and not is_best,
        "best_is_right": right,
        "says_better": verdict.kind == "better",
    }


def study_says(case: Case) -> tuple[Truth, int]:
    """Return what a study without a confirmation says: its best trial is better."""
    return Truth(next(iter(case.values)), frozenset(), {}), 0


def always_tie(case: Case) -> tuple[Truth, int]:
    """Return a tie of all with the study's best trial, whatever they are."""
    best, *others = case.values
    return Truth(best, frozenset(others), {}), 0


RULES: Mapping[str, Callable[[Case], tuple[Verdict | Truth, int]]] = {
    "study": study_says,
    "always_tie": always_tie,
    "all": all_seeds,
    "race": race,
    "race_3_seeds": partial(race, rounds=3),
    "race_9_epochs": partial(race, epochs=9),
    "race_3_epochs": partial(race, epochs=3),
}
"""Verdicts, each with the epochs that it took, by name."""


def measure(quick: bool) -> list[Row]:
    """Measure all rules on every dataset."""
    rows = []
    for dataset in DATASETS:
        table = read_table(dataset)
        cases = cases_of(table, 20 if quick else CASES)
        rows += rows_of_truth(dataset, cases)
        for name, rule in RULES.items():
            rows += rows_of(f"{dataset}_{name}", cases, [rule(case) for case in cases])
    return rows


def rows_of_truth(dataset: str, cases: Sequence[Case]) -> list[Row]:
    """Return what the truth says, how well it agrees with itself, and how early it shows."""
    winners = [case.truth.kind == "better" for case in cases]
    again = [scores(*case.again) for case in cases]
    rows = [row(f"{dataset}_truth", "says_better", 100 * float(np.mean(winners)), "of 100")]
    for metric in again[0]:
        value = 100 * float(np.mean([each[metric] for each in again]))
        rows.append(row(f"{dataset}_30_seeds_again", metric, value, "of 100"))
    for epochs in EARLIER:
        found = [
            stats.spearmanr(*([of[name] for name in case.values] for of in means)).statistic
            for case in cases
            for means in [(case.earlier[epochs], case.truth.means)]
        ]
        name = f"rank_correlation_{epochs}_epochs"
        rows.append(row(f"{dataset}_truth", name, float(np.mean(found)), "Spearman"))
    return rows


def rows_of(
    name: str, cases: Sequence[Case], found: Sequence[tuple[Verdict | Truth, int]]
) -> list[Row]:
    """Return the figures of a rule over all cases."""
    judged = [scores(case.truth, verdict) for case, (verdict, _) in zip(cases, found, strict=True)]
    epochs = np.array([spent for _, spent in found], dtype=float)
    rows = [
        row(name, metric, 100 * float(np.mean([each[metric] for each in judged])), "of 100")
        for metric in judged[0]
    ]
    rows.append(row(name, "epochs", float(epochs.mean()), "epochs"))
    for metric, study in (
        ("epochs_of_study", float(np.mean([case.study.epochs for case in cases]))),
        ("epochs_of_unstopped", float(TRIALS * EPOCHS)),
    ):
        rows.append(row(name, metric, float(epochs.mean()) / study, "ratio"))
    return rows


def row(case: str, metric: str, value: float, unit: str) -> Row:
    """Make a row of this benchmark."""
    return Row(benchmark="confirm", case=case, metric=metric, value=value, unit=unit)


if __name__ == "__main__":
    run_benchmark(measure, __doc__ or "")
