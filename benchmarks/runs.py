"""Runs of strategies on tasks, stored in a file that grows by a line per run (JSON)."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

from surrogate import EPOCHS, Scale

BUDGETS = 40
"""Number of budgets, at equal distances, at which the best value of a run is stored."""


@dataclass(frozen=True)
class Plan:
    """The budget of a run, and the times of its evaluation."""

    trainings: int
    """Total epochs of all its trials, in full trainings."""
    marks: tuple[int, ...]
    """Full trainings after which regret is reported."""
    noisy: bool = False
    """Whether strategies get values with noise."""
    trials: int | None = None
    """Number of trials after which no more are begun; None for no limit."""
    trial_epochs: int = EPOCHS
    """Epochs of a full training."""

    @property
    def epochs(self) -> int:
        """Total epochs of all trials."""
        return self.trainings * self.trial_epochs

    @property
    def budgets(self) -> list[int]:
        """Epochs at which a run is evaluated, ascending; the marks are among them."""
        return [self.epochs * (at + 1) // BUDGETS for at in range(BUDGETS)]

    def at_mark(self, mark: int) -> int:
        """Return the position of a mark among the budgets."""
        return self.budgets.index(mark * self.trial_epochs)


PLANS = {
    "early": Plan(10, (2, 5, 10)),
    "full": Plan(40, (10, 20, 40), trials=40),
    "noisy": Plan(40, (10, 20, 40), noisy=True, trials=40),
    "tables": Plan(100, (20, 50, 100), trial_epochs=1),
}
"""On LCBench `early`, the budget of 10 full trainings in as many trials as the strategy begins, and
`full` and `noisy`, 40 trials; `tables`, 100 trials of one epoch."""


class Key(NamedTuple):
    """Identity of a run."""

    plan: str
    task: str
    strategy: str
    workers: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class Run:
    """One study of a strategy on a task."""

    plan: str
    task: str
    strategy: str
    workers: int
    seed: int
    accuracy: list[float]
    """Noiseless accuracy, in percent, of what looks best by then, by the budgets of the plan; for a
    table the negative loss."""
    best: float
    median: float
    """Scale of regret of the task, see `Scale`."""
    trials: int
    wall: float
    """Real seconds: the strategy's own and, for configurations that are new to the process, those
    of the surrogate."""

    @property
    def key(self) -> Key:
        """Return its identity."""
        return Key(self.plan, self.task, self.strategy, self.workers, self.seed)

    @property
    def regret(self) -> list[float]:
        """Regret by the budgets of the plan."""
        scale = Scale(self.best, self.median)
        return [scale.regret(accuracy) for accuracy in self.accuracy]


def read(path: Path) -> dict[Key, Run]:
    """Return the runs of a file; none if there is no file.

    Raises:
        ValueError: a line before the last is no run.
    """
    if not path.exists():
        return {}
    found = {}
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            run = Run(**json.loads(line))
        except (ValueError, TypeError) as error:
            if number == len(lines):
                # Written by a process that was killed.
                break
            raise ValueError(f"{path}, line {number}: no run: {error}") from None
        found[run.key] = run
    return found


def write(path: Path, runs: Iterable[Run]) -> None:
    """Append runs, each at once; remove an incomplete last line first."""
    text = path.read_text() if path.exists() else ""
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole)
    with path.open("a") as file:
        for run in runs:
            file.write(json.dumps(asdict(run)) + "\n")
            file.flush()


def on_known_scale(runs: Mapping[Key, Run]) -> dict[Key, Run]:
    """Return the runs with regret relative to the best value that any of them, or a point of the
    scale, has reached on the task."""
    best: dict[str, float] = {}
    for run in runs.values():
        best[run.task] = max(best.get(run.task, run.best), *run.accuracy)
    return {key: replace(run, best=best[run.task]) for key, run in runs.items()}
