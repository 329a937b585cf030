"""Benefit of earlier studies: `--learn-from` on LCBench (`surrogate.py`), one task left out.

For each task a study of 30 trials by one searcher, one trial at a time, of 52 epochs each. It
begins with nothing, or with the start points (`search_spaces/searchers/portfolio.py`) of studies of
all the other tasks, each 30 random trials; like a study of 40 trials it uses 8 of them. The result
is the normalised regret of `lcbench.py`, mean over the tasks, their seeds averaged:

- `alone_N`, `learned_N`: after N trials;
- `10_less_30`: after 10 trials that have learned, minus after 30 that have not, with the 95%
  interval of its mean (bootstrap over the tasks);
- `misled_N`: with earlier studies that mislead (their values have the opposite sign), and
- `30_misled`: their cost after 30 trials, with its interval.

With `--ranges model` the same searchers run once more, in ranges that the earlier studies narrow by
one of the methods of `narrowed.py`, or in several of them. A second table has

- `learned_N` and `misled_N`: after N trials; and
- `less_learned`, `less_misled`: after 30 trials, minus those with start points alone, on all
  tasks, then at the even places and at the odd ones (ranges were chosen on the even ones).

    python benchmarks/learn_from.py --data DIR --tasks all --seeds 5
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from compare import interval
from lcbench import TASKS, listed
from narrowed import BOXES, NARROWED, Study, known, narrowed
from replay import METRIC, OurStudy, replay
from strategies import SEARCHERS, searcher_named
from surrogate import EPOCHS, SPACE, Scale, Surrogate

from search_spaces.objective import Objective
from search_spaces.schedulers.base import StudyScheduler
from search_spaces.searchers.base import StudySearcher
from search_spaces.searchers.portfolio import portfolio
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.trial_events import Earlier, StartPoint

TRIALS, LEARNED = 30, 8
"""Trials of a study, earlier or new; and start points from earlier ones."""

SHOWN = (3, 10, 20, 30)
"""Numbers of trials after which regret is reported."""

APART = 1_000
"""Difference between the seeds of the earlier studies and those of the new ones."""


def earlier_study(surrogate: Surrogate, task: str, seed: int, sign: float) -> list[Earlier]:
    """Return a study of random points, in the form that a later one reads."""
    searcher = RandomSearch(SPACE, seed=seed)
    configs = [searcher.suggest(index) for index in range(TRIALS)]
    return [
        Earlier(
            study=task,
            config=config,
            values={str(EPOCHS): sign * max(surrogate.curve(task, config))},
            status="finished",
        )
        for config in configs
    ]


def start_points(
    surrogate: Surrogate, tasks: Sequence[str], left_out: str, seed: int, sign: float
) -> list[StartPoint]:
    """Return start points for the task that is left out, from studies of the others."""
    studies = {
        task: earlier_study(surrogate, task, seed_of(seed, at), sign)
        for at, task in enumerate(tasks)
        if task != left_out
    }
    return portfolio(SPACE, studies, Objective(METRIC, "max"), LEARNED)


def seed_of(seed: int, place: int) -> int:
    """Return the seed of the earlier study of a task, for new studies of a seed."""
    return APART * (seed + 1) + place


class EarlierStudies:
    """Earlier studies of the other tasks, which narrow the ranges of a study.

    Args:
        surrogate: surrogate of all tasks.
        tasks: tasks, one of which is left out.
    """

    def __init__(self, surrogate: Surrogate, tasks: Sequence[str]) -> None:
        self._surrogate, self._tasks = surrogate, tasks
        self._known: dict[tuple[int, int, float], Study] = {}

    def narrowed(
        self, name: str, ranges: str, left_out: str, seed: int, sign: float
    ) -> StudySearcher:
        """Return the searcher of that name, for a study of the task that is left out."""
        others = [
            self._study(at, seed, sign) for at, task in enumerate(self._tasks) if task != left_out
        ]
        return narrowed(name, SPACE, seed, BOXES[ranges](SPACE, others))

    def _study(self, at: int, seed: int, sign: float) -> Study:
        key = at, seed, sign
        if key not in self._known:
            trials = earlier_study(self._surrogate, self._tasks[at], seed_of(seed, at), sign)
            self._known[key] = known(SPACE, trials)
        return self._known[key]


def regrets(
    surrogate: Surrogate,
    task: str,
    searcher: StudySearcher,
    points: Sequence[StartPoint],
    scale: Scale,
) -> list[float]:
    """Return the regret after each trial of a study: `[30]`."""
    ours = OurStudy(searcher, StudyScheduler(), epochs=EPOCHS, trials=TRIALS)
    for point in points:
        searcher.on_event(point, replay=False)
    study = replay(
        lambda config: surrogate.trial(task, config),
        ours,
        workers=1,
        epochs=TRIALS * EPOCHS,
        trials=TRIALS,
    )
    return [scale.regret(study.best_after(EPOCHS * (n + 1))) for n in range(TRIALS)]


def measured(
    surrogate: Surrogate,
    tasks: Sequence[str],
    names: Sequence[str],
    seeds: int,
    ranges: Sequence[str],
) -> dict[str, dict[str, np.ndarray]]:
    """Return, by searcher, regrets of studies that begin alone, learned and misled, and of the last
    two in each of `ranges`: `[tasks, 30]`."""
    earlier = EarlierStudies(surrogate, tasks)
    found: dict[str, dict[str, list[np.ndarray]]] = {}
    for task in tasks:
        scale = surrogate.scale(task)
        of_task: dict[tuple[str, str], list[list[float]]] = {}
        for seed in range(seeds):
            starts: dict[str, tuple[float, Sequence[StartPoint]]] = {
                "alone": (0.0, []),
                "learned": (1.0, start_points(surrogate, tasks, task, seed, 1.0)),
                "misled": (-1.0, start_points(surrogate, tasks, task, seed, -1.0)),
            }
            for name in names:
                for case, (sign, points) in starts.items():
                    searchers = {case: searcher_named(name, SPACE, seed, [])}
                    for kind in ranges if sign else ():
                        searcher = earlier.narrowed(name, kind, task, seed, sign)
                        searchers[f"{case} {kind}"] = searcher
                    for one, searcher in searchers.items():
                        studies = of_task.setdefault((name, one), [])
                        studies.append(regrets(surrogate, task, searcher, points, scale))
        for (name, case), studies in of_task.items():
            found.setdefault(name, {}).setdefault(case, []).append(np.mean(studies, axis=0))
    return {name: {c: np.array(v) for c, v in cases.items()} for name, cases in found.items()}


def difference(values: np.ndarray) -> str:
    """Return a mean over the tasks and its interval."""
    low, high = interval(values)
    return f"{values.mean():+.3f} ({low:+.3f} to {high:+.3f})"


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="see surrogate.py")
    parser.add_argument("--tasks", choices=TASKS, default="tuned")
    parser.add_argument("--seeds", type=int, default=5, help="0, 1, … of each searcher")
    parser.add_argument(
        "--searchers", type=listed, default=["random", "tpe", "optuna", "gp"], metavar="NAMES"
    )
    parser.add_argument(
        "--ranges", type=listed, default=[], metavar="NAMES", help="of narrowed.py, see above"
    )
    arguments = parser.parse_args()
    if unknown := {*arguments.searchers} - {*SEARCHERS}:
        parser.error(f"--searchers {', '.join(unknown)}: there are {', '.join(SEARCHERS)}")
    if unknown := {*arguments.ranges} - {*BOXES}:
        parser.error(f"--ranges {', '.join(unknown)}: there are {', '.join(BOXES)}")
    if arguments.ranges and (unknown := {*arguments.searchers} - {*NARROWED}):
        parser.error(f"--ranges with {', '.join(unknown)}: there are {', '.join(NARROWED)}")
    try:
        surrogate = Surrogate(arguments.data)
    except ValueError as error:
        parser.error(str(error))
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    tasks = surrogate.tasks[TASKS[arguments.tasks]]
    found = measured(surrogate, tasks, arguments.searchers, arguments.seeds, arguments.ranges)
    print(f"{len(tasks)} tasks ({arguments.tasks}), {arguments.seeds} seeds\n")
    cases = ("alone", "learned", "misled")
    heads = ["searcher", *(f"{case}_{n}" for case in cases for n in SHOWN)]
    heads += ["10_less_30", "30_misled"]
    print(f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", sep="\n")
    for name, of in found.items():
        cells = [f"{of[case][:, n - 1].mean():.3f}" for case in cases for n in SHOWN]
        cells.append(difference(of["learned"][:, 9] - of["alone"][:, 29]))
        cells.append(difference(of["misled"][:, 29] - of["alone"][:, 29]))
        print(f"| {name} | {' | '.join(cells)} |")
    if arguments.ranges:
        show_ranges(found, arguments.ranges)


def show_ranges(found: Mapping[str, Mapping[str, np.ndarray]], ranges: Sequence[str]) -> None:
    """Print the results with narrowed ranges."""
    heads = ["searcher", "ranges"]
    for case in ("learned", "misled"):
        heads += [*(f"{case}_{n}" for n in (20, 30)), f"less_{case}", "even", "odd"]
    print(f"\n| {' | '.join(heads)} |", "|---" * len(heads) + "|", sep="\n")
    for name, of in found.items():
        for kind in ranges:
            cells = [name, kind]
            for case in ("learned", "misled"):
                regret = of[f"{case} {kind}"]
                cells += [f"{regret[:, n - 1].mean():.3f}" for n in (20, 30)]
                less = regret[:, 29] - of[case][:, 29]
                cells += [difference(less), difference(less[1::2]), difference(less[0::2])]
            print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
