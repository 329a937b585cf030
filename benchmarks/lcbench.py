"""Strategies on the learning curves of LCBench, a smooth surrogate of 34 tasks (`surrogate.py`).

Studies run in simulated time, with equal epochs of all trials (`replay.py`). The result is regret:
0 is the best of 3,000 random configurations at any epoch, 1 the median of them at its end. It is
that of the configuration that looks best to the strategy so far, by its value without noise.

- `--plan early`: 10 full trainings (520 epochs) in as many trials as the strategy begins.
- `--plan full`: 40 trials, of 52 epochs if they are not stopped.
- `--plan noisy`: the same; the reported value has a normal noise of 0.5 points, drawn anew for each
  epoch of each trial.

The surrogate is a smooth model: it favours a Gaussian process, and has no noise of its own.

Strategies are those of `strategies.py`. RUNS is a file of runs (JSON lines) that a call continues:
its runs are not repeated, so begin a new one when the code of a strategy has changed. The table has
the mean over the tasks (the seeds of each averaged) with its standard error; against another
strategy the mean difference with its 95% interval, and the tasks on which a strategy is worse by
more than one standard error of the paired difference. Regret is below 0 if a strategy beats all of
the 3,000; with `--known` the best value of any run has regret 0. `--tasks tuned` are the even
places in sorted order, on which our defaults were chosen.
"""

import argparse
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from compare import by_strategy, difference, summary
from replay import Curve, replay
from runs import PLANS, Key, Run, on_known_scale, read, write
from strategies import check, named
from surrogate import EPOCHS, SPACE, Scale, Surrogate

TASKS = {"tuned": slice(1, None, 2), "held_out": slice(0, None, 2), "all": slice(None)}
"""Positions in sorted order, by name: the second is the first even one."""


def run_of(surrogate: Surrogate, key: Key, scale: Scale) -> Run:
    """Run a strategy on a task."""
    plan = PLANS[key.plan]
    rng = np.random.default_rng([key.seed, int(key.task)])

    def train(config: Mapping[str, Any]) -> Curve:
        if plan.noisy:
            return surrogate.noisy_trial(key.task, config, rng)
        return surrogate.trial(key.task, config)

    began = time.perf_counter()
    study = replay(
        train,
        named(
            key.strategy,
            SPACE,
            seed=key.seed,
            epochs=EPOCHS,
            trials=plan.trials or plan.epochs,
            workers=key.workers,
        ),
        workers=key.workers,
        epochs=plan.epochs,
        trials=plan.trials or plan.epochs,
    )
    return Run(
        **key._asdict(),
        accuracy=[study.noiseless_after(budget) for budget in plan.budgets],
        best=scale.best,
        median=scale.median,
        trials=study.trials,
        wall=time.perf_counter() - began,
    )


@cache
def _surrogate(folder: Path) -> Surrogate:
    return Surrogate(folder)


@cache
def _scale(folder: Path, task: str) -> Scale:
    return _surrogate(folder).scale(task)


def _run(folder: Path, key: Key, scale: Scale | None) -> Run:
    return run_of(_surrogate(folder), key, scale or _scale(folder, key.task))


def missing_runs(
    folder: Path, keys: Sequence[Key], known: Mapping[Key, Run], processes: int
) -> Iterator[Run]:
    """Run what is missing."""
    scales = {run.task: Scale(run.best, run.median) for run in known.values()}
    todo = [key for key in keys if key not in known]
    run = partial(_run, folder)
    if processes == 1:
        for key in todo:
            yield run(key, scales.get(key.task))
        return
    # Each computes on one core, and forks no thread of this process.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(run, key, scales.get(key.task)) for key in todo]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def show(runs: Mapping[Key, Run], plan: str, workers: int, against: str) -> None:
    """Print the strategies of the file, each compared with `against`."""
    known = by_strategy(runs, plan, workers)
    marks = PLANS[plan].marks
    print(f"\nLCBench (surrogate), plan {plan}, {workers} workers: regret after full trainings\n")
    heads = ["strategy", "tasks", "runs", *map(str, marks), f"less {against}", "worse on", "s/run"]
    print(f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", sep="\n")
    for strategy, of in known.items():
        cells = []
        for mark in marks:
            at = PLANS[plan].at_mark(mark)
            found = summary(of, lambda run, at=at: run.regret[at])  # type: ignore[misc]
            cells.append(f"{found.mean:.3f} ± {found.error:.3f}")
        less = difference(of, known.get(against, []), lambda run: run.regret[-1])
        if less is None or strategy == against:
            cells += ["", ""]
        else:
            cells.append(f"{less.mean:+.3f} ({less.low:+.3f} to {less.high:+.3f})")
            cells.append(f"{len(less.worse)}: {' '.join(less.worse)}" if less.worse else "0")
        cells.append(f"{np.mean([run.wall for run in of]):.2f}")
        print(f"| {strategy} | {found.tasks} | {found.runs} | {' | '.join(cells)} |")


def listed(text: str) -> list[str]:
    """Split words at commas."""
    return [word for word in text.split(",") if word]


def main() -> None:
    """Run what is missing, and print the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, metavar="RUNS", help="file of runs, continued")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="see surrogate.py")
    parser.add_argument("--plan", choices=("early", "full", "noisy"), default="early")
    parser.add_argument("--tasks", choices=TASKS, default="tuned")
    parser.add_argument("--strategies", type=listed, default=["random", "random+asha"])
    parser.add_argument("--seeds", type=int, default=10, help="0, 1, … of each strategy")
    parser.add_argument("--workers", type=listed, default=["4"], help="such as 1,4,16")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--against", default="random", help="a strategy in RUNS")
    parser.add_argument(
        "--known", action="store_true", help="regret to the best that any run in RUNS has reached"
    )
    parser.add_argument("--picture", type=Path, metavar="FILE", help="of the strategies named")
    arguments = parser.parse_args()
    try:
        for strategy in arguments.strategies:
            check(strategy)
        tasks = Surrogate(arguments.data).tasks[TASKS[arguments.tasks]]
        known = read(arguments.runs)
    except ValueError as error:
        parser.error(str(error))
    # For this process and those that it starts.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    workers = [int(count) for count in arguments.workers]
    keys = [
        Key(arguments.plan, task, strategy, count, seed)
        for task in tasks
        for count in workers
        for seed in range(arguments.seeds)
        for strategy in arguments.strategies
    ]
    write(arguments.runs, missing_runs(arguments.data, keys, known, arguments.processes))
    runs = {
        key: run
        for key, run in read(arguments.runs).items()
        if run.task in tasks and run.seed < arguments.seeds
    }
    if arguments.known:
        runs = on_known_scale(runs)
    for count in workers:
        show(runs, arguments.plan, count, arguments.against)
    if arguments.picture:
        asked = {key: run for key, run in runs.items() if key.strategy in arguments.strategies}
        panels = {count: by_strategy(asked, arguments.plan, count) for count in workers}
        # Imported here, since only a picture needs the extra.
        from pictures import picture

        picture(panels, arguments.plan, arguments.picture)


if __name__ == "__main__":
    main()
