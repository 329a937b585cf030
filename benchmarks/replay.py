"""Studies in simulated time, on known learning curves: one loop for all strategies, ours and those
of others."""

import heapq
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NamedTuple, Protocol

from ray.tune.schedulers import TrialScheduler

from search_spaces.objective import Objective, StudySpec
from search_spaces.schedulers.base import StudyScheduler
from search_spaces.searchers.base import StudySearcher
from search_spaces.trial_events import Ended, Event, Result, Suggested

METRIC = "val_accuracy"


@dataclass(frozen=True)
class Curve:
    """The reports of a trial, known in advance."""

    values: Sequence[float]
    """Values of the metric by epoch, larger is better; a last NaN if it diverges. As long as the
    trial, unless it is stopped."""
    seconds: Sequence[float]
    """Simulated seconds of each epoch."""
    noiseless: Sequence[float] = ()
    """Values without their noise; empty if there is none."""


@dataclass(frozen=True)
class Work:
    """A trial to run."""

    trial: int
    """Number of the trial, from 0 in order of beginning."""
    config: Mapping[str, Any]
    epoch: int = 0
    """Epoch to continue from; 0 for a new trial."""


class Strategy(Protocol):
    """A strategy that decides what a study runs."""

    def next_work(self) -> Work | None:
        """Return a new trial, or a stopped one that continues; None if there is nothing to do until
        a running trial has reported more."""

    def tell(self, trial: int, epoch: int, value: float) -> bool:
        """Take in the value after an epoch, NaN if the trial has diverged in it; return whether the
        trial continues. At the end of its curve it does not, whatever the answer."""


class Improvement(NamedTuple):
    """A value that was the best so far."""

    epochs: int
    """Total epochs of all trials until then."""
    seconds: float
    """Simulated seconds until then."""
    value: float
    """Reported value."""
    noiseless: float
    """Value without noise."""


@dataclass
class Replay:
    """Result of a replayed study."""

    best: list[Improvement] = field(default_factory=list)
    epochs: int = 0
    """Total epochs of all trials."""
    trials: int = 0
    seconds: float = 0.0
    """Simulated seconds until the last epoch."""

    def best_after(self, epochs: int) -> float:
        """Return the best value after that many epochs of all trials together."""
        return max((found.value for found in self.best if found.epochs <= epochs), default=0.0)

    def noiseless_after(self, epochs: int) -> float:
        """Return the noiseless value of what looks best after that many epochs."""
        return next(found.noiseless for found in reversed(self.best) if found.epochs <= epochs)

    def cost(self, target: float) -> tuple[float, float] | None:
        """Return epochs and seconds until a trial reached `target`; None if none has."""
        return next((found[:2] for found in self.best if found.value >= target), None)


def replay(
    train: Callable[[Mapping[str, Any]], Curve],
    strategy: Strategy,
    *,
    workers: int,
    epochs: int,
    trials: float = math.inf,
    target: float = math.inf,
) -> Replay:
    """Run a study: `workers` at once, for `epochs` of all trials together or until `target`.

    Args:
        train: returns the curve of a configuration, called once for every trial.
        strategy: decides what runs.
        workers: trials at once.
        epochs: total epochs of all trials.
        trials: number of trials after which no more are begun.
        target: value at which the study ends.
    """
    found = Replay()
    best = -math.inf
    curves: dict[int, Curve] = {}
    running: list[tuple[float, int, int]] = []
    now, idle = 0.0, workers

    def go_on(trial: int, epoch: int) -> None:
        heapq.heappush(running, (now + curves[trial].seconds[epoch], trial, epoch + 1))

    while found.epochs < epochs:
        while idle and len(curves) < trials:
            work = strategy.next_work()
            if work is None:
                break
            if work.trial not in curves:
                curves[work.trial] = train(work.config)
                found.trials += 1
            go_on(work.trial, work.epoch)
            idle -= 1
        if not running:
            break
        now, trial, epoch = heapq.heappop(running)
        found.epochs, found.seconds = found.epochs + 1, now
        curve = curves[trial]
        value = curve.values[epoch - 1]
        # False for a NaN.
        if value > best:
            best = value
            noiseless = curve.noiseless[epoch - 1] if curve.noiseless else value
            found.best.append(Improvement(found.epochs, now, value, noiseless))
            if value >= target:
                break
        if strategy.tell(trial, epoch, value) and epoch < len(curve.values):
            go_on(trial, epoch)
        else:
            idle += 1
    return found


class OurStudy:
    """A searcher and a scheduler of ours, called as by Tune and our launcher.

    Args:
        searcher: chooses the configurations.
        scheduler: decides how long they train.
        epochs: epochs of a trial that is never stopped.
        trials: number of trials of the study.
    """

    def __init__(
        self, searcher: StudySearcher, scheduler: StudyScheduler, *, epochs: int, trials: int
    ) -> None:
        self.searcher, self.scheduler, self.epochs = searcher, scheduler, epochs
        self._configs: list[Mapping[str, Any]] = []
        StudySpec(
            objective=Objective(METRIC, "max"),
            trials=trials,
            searcher=searcher,
            scheduler=scheduler,
            continues=True,
        ).check()

    def next_work(self) -> Work | None:
        """Return a promoted trial, else the next point of the searcher."""
        promoted = self.scheduler.next_promotion()
        if promoted is not None:
            self._emit(promoted)
            return Work(promoted.trial, self._configs[promoted.trial], int(promoted.rung))
        index, size = len(self._configs), self.searcher.size
        config = None if size is not None and index >= size else self.searcher.point(index)
        if config is None:
            return None
        self._emit(Suggested(trial=index, config=config))
        self._configs.append(config)
        return Work(index, config)

    def tell(self, trial: int, epoch: int, value: float) -> bool:
        """Emit the events of a result: result, decisions, end."""
        if math.isnan(value):
            self._emit(Ended(trial=trial, epoch=epoch, status="diverged"))
            goes_on = False
        elif epoch == self.epochs:
            # Tune does not ask a scheduler about the result with which a trial ends by itself.
            result = Result(trial=trial, epoch=epoch, metrics={METRIC: value})
            self._emit(result, Ended(trial=trial, epoch=epoch, status="finished"))
            goes_on = False
        else:
            tunes: Any = SimpleNamespace(custom_dirname=str(trial))
            answer = self.scheduler.on_trial_result(
                None,  # type: ignore[arg-type]
                tunes,
                {"epoch": epoch, METRIC: value},
            )
            result = Result(trial=trial, epoch=epoch, metrics={METRIC: value})
            self._emit(result, *self.scheduler.take_events())
            goes_on = answer != TrialScheduler.STOP
        # Consequences of the events themselves, as after every step of Tune.
        self._emit(*self.scheduler.take_events(), *self.searcher.take_events())
        return goes_on

    def _emit(self, *events: Event) -> None:
        for event in events:
            self.scheduler.on_event(event, replay=False)
            self.searcher.on_event(event, replay=False)
