"""What searchers that learn have in common: what they know of a study, and when they use it.

Under early stopping, trials end after different numbers of epochs, and their last values cannot be
compared. As in BOHB (Falkner, Klein and Hutter 2018, *BOHB: Robust and Efficient Hyperparameter
Optimization at Scale*, section 3.2) the model compares trials at the highest rung that enough of
them have reached, each by its value there, whether it has gone on since or not. BOHB leaves the
others out; here those that were stopped earlier come behind, since a rung has already said that
they are worse: first those stopped at the higher rung, of one rung by their value. Failed trials
come last. Only this order is given to a model, never a value.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np

from search_spaces.catalogue import value_in
from search_spaces.objective import Objective, StudySpec
from search_spaces.searchers.base import StudySearcher
from search_spaces.searchers.sobol_search import SobolSearch
from search_spaces.space import Space
from search_spaces.trial_events import (
    Earlier,
    Ended,
    EpochsLost,
    Event,
    Promoted,
    Result,
    Suggested,
)
from search_spaces.values import Value, as_json, as_seed

Epochs: TypeAlias = int | float

Name: TypeAlias = int | str
"""Of a trial: its index, or a name for one of an earlier study."""

END = math.inf
"""The rung above all others: the end of a trial that nobody stopped."""


@dataclass
class TrialRecord:
    """What a searcher was told of one trial."""

    unit: tuple[float | None, ...]
    """Its place in the space: a number in [0, 1], or None, for each hyperparameter."""
    values: dict[Epochs, float] = field(default_factory=dict)
    """Of the metric, by epoch; under `END` that of a trial that has come to its end."""
    state: Literal["running", "stopped", "finished", "failed"] = "running"

    def value_at(self, rung: Epochs) -> float | None:
        """The value at a rung, that of the first report at or past it; of a trial that ended by
        itself before it the last one; None of one that has not come there, or has failed."""
        if self.state == "failed":
            return None
        return self.values.get(min((at for at in self.values if at >= rung), default=END))


@dataclass(frozen=True, order=True)
class Rank:
    """Where a trial comes among the others: the smaller the better."""

    below: float
    """0 for a trial that is compared at the model's rung, then by the rung where it was stopped;
    infinite if it failed."""
    loss: float
    """Its value at that rung, the smaller the better."""


class History:
    """All trials of a study as its searcher was told them, in the order of their suggestion."""

    def __init__(self) -> None:
        self.trials: dict[Name, TrialRecord] = {}

    def suggested(self, trial: Name, unit: Sequence[float | None]) -> None:
        """`trial` is running."""
        self.trials[trial] = TrialRecord(tuple(unit))

    def result(self, trial: Name, epoch: Epochs, value: float) -> None:
        """`trial` had `value` after `epoch`."""
        self.trials[trial].values[epoch] = value

    def lost(self, trial: Name, first: Epochs) -> None:
        """`trial` has lost the epochs from `first` on."""
        values = self.trials[trial].values
        for epoch in [epoch for epoch in values if epoch >= first]:
            del values[epoch]

    def last_before(self, trial: Name, epoch: Epochs) -> Epochs:
        """The epoch of the report before that of `epoch`, 0 if there was none."""
        return max((at for at in self.trials[trial].values if at < epoch), default=0)

    def ended(self, trial: Name, *, epoch: Epochs, value: float, stopped: bool) -> None:
        """`trial` ended with `value` after `epoch`, by itself or stopped at a rung."""
        record = self.trials[trial]
        record.values[epoch] = value
        if not stopped:
            record.values[END] = value
        record.state = "stopped" if stopped else "finished"

    def promoted(self, trial: Name) -> None:
        """`trial`, which was stopped, is running again."""
        self.trials[trial].state = "running"

    def failed(self, trial: Name) -> None:
        """`trial` diverged or failed."""
        self.trials[trial].state = "failed"

    def forgotten(self, trial: Name) -> None:
        """`trial` ended by something that its configuration is not to blame for."""
        del self.trials[trial]

    def rung(self, rungs: Sequence[int], enough: int) -> Epochs:
        """The rung that the model compares trials at: the highest that `enough` of them have
        reached, else the lowest."""
        stations = [*rungs, END]
        for station in reversed(stations):
            values = [record.value_at(station) for record in self.trials.values()]
            if len(values) - values.count(None) >= enough:
                return station
        return stations[0]

    def ranks(
        self, rungs: Sequence[int], objective: Objective, rung: Epochs
    ) -> dict[Name, Rank | None]:
        """Where each trial stands at `rung`; None for one that is still on its way to it."""
        # A rung's own place under the model's: 1 for the next lower one.
        stations = [*rungs, END]
        depth = {station: stations.index(rung) - at for at, station in enumerate(stations)}
        found: dict[Name, Rank | None] = {}
        for trial, record in self.trials.items():
            value = record.value_at(rung)
            if record.state == "failed":
                found[trial] = Rank(math.inf, 0.0)
            elif value is not None:
                found[trial] = Rank(0, objective.key(value))
            elif record.state == "stopped":
                passed = [(depth[at], record.value_at(at)) for at in reversed(stations)]
                below, last = next((d, v) for d, v in passed if v is not None)
                found[trial] = Rank(below, objective.key(last))
            else:
                found[trial] = None
        return found


RETRIES = 16
"""How often a model is asked again that proposes a configuration which has been tried; then the
first Sobol point that has not been is taken."""


COMPARABLE = ("epochs", "patience", "train_ratio", "precision", "print_freq", "seed")
"""What may be another than an earlier study had, and its trials still tell something: a value is
compared after so many epochs."""


class LearningSearch(StudySearcher):
    """A searcher with a model of what it was told.

    First come the start points, then Sobol points until `startup` trials can be learned from. A
    failed trial is one of them: it comes behind all others. A trial that is still running counts as
    bad, so that trials that run at the same time differ. A configuration is not suggested twice,
    as long as the space has others.

    Args:
        space: where to look.
        seed: of all points.
        startup: trials before the first proposal of the model.
        start_points: what to try first, whole or in part; what is missing has its default.

    Raises:
        ValueError: a start point that is not in the space, or a space with nothing to search.
    """

    learns = True

    def __init__(
        self,
        space: Space,
        *,
        seed: int,
        startup: int,
        start_points: Iterable[Mapping[str, object]] = (),
    ) -> None:
        super().__init__(space)
        if not space.parameters:
            raise ValueError(f"space {space.name}: every hyperparameter is fixed, none is searched")
        self.seed = as_seed(seed)
        self.startup = startup
        self.history = History()
        self.rungs: Sequence[int] = ()
        """Epochs at which the scheduler compares trials; the model compares them there too."""
        self._objective: Objective | None = None
        self._earlier: dict[str, list[bool]] = {}
        """By earlier study, of each of its trials whether something was learned from it."""
        self._start_points = [space.complete(point) for point in start_points]
        self._first_points = SobolSearch(space, seed=seed)

    @abstractmethod
    def proposal(
        self, ranks: Mapping[Name, Rank | None], rung: Epochs, rng: np.random.Generator
    ) -> Sequence[float]:
        """A number in [0, 1] for each hyperparameter of the space, by the model.

        Args:
            ranks: of the trials in `history`, in the order of their suggestion.
            rung: that they are compared at.
            rng: of this proposal alone.
        """

    def point(self, index: int) -> dict[str, Value]:
        """Configuration number `index`, by the seed, `index` and what was told until now."""
        if index < len(self._start_points):
            return dict(self._start_points[index])
        trials = self.history.trials.values()
        tried = {record.unit for record in trials}
        if sum(record.state != "running" for record in trials) >= self.startup:
            # As many as BOHB asks for: one more than hyperparameters, and two for the bad ones.
            rung = self.history.rung(self.rungs, len(self.space.parameters) + 3)
            ranks = self.history.ranks(self.rungs, self.objective, rung)
            for attempt in range(RETRIES):
                rng = np.random.default_rng([self.seed, index, attempt])
                config = self.space.point(self.proposal(ranks, rung, rng))
                if tuple(self.space.unit(config)) not in tried:
                    return config
        for further in range(RETRIES**2):
            config = self._first_points.point(index + further)
            if tuple(self.space.unit(config)) not in tried:
                return config
        return config

    @property
    def objective(self) -> Objective:
        """What the study looks for."""
        assert self._objective is not None, "a study checks its searcher before it begins"
        return self._objective

    def check(self, spec: StudySpec) -> None:
        """Take in the objective and the rungs."""
        self._objective = spec.objective
        self.rungs = tuple(spec.scheduler.rungs)

    def on_event(self, event: Event, replay: bool) -> None:
        """Learn from it."""
        history = self.history
        if isinstance(event, Suggested):
            history.suggested(event.trial, self.space.unit(event.config))
        elif isinstance(event, Result):
            history.result(event.trial, event.epoch, self._value(event))
        elif isinstance(event, EpochsLost):
            history.lost(event.trial, event.first)
        elif isinstance(event, Promoted):
            history.promoted(event.trial)
        elif isinstance(event, Ended):
            self._end(event)
        elif isinstance(event, Earlier):
            name = f"earlier-{sum(map(len, self._earlier.values()))}"
            self._earlier.setdefault(event.study, []).append(self._learn_from(name, event))

    def _value(self, result: Result) -> float:
        value = result.metrics[self.objective.metric]
        assert value is not None, "the journal has no result without its metric"
        return float(value)

    def _end(self, event: Ended) -> None:
        if event.blamed:
            self.history.failed(event.trial)
        elif event.failed:
            self.history.forgotten(event.trial)
        else:
            # Who ends by itself just at a rung is taken for one that was stopped there.
            before = self.history.last_before(event.trial, event.epoch)
            stopped = any(before < rung <= event.epoch for rung in self.rungs)
            value = self.history.trials[event.trial].values[event.epoch]
            self.history.ended(event.trial, epoch=event.epoch, value=value, stopped=stopped)

    @property
    def learned(self) -> str:
        """How many trials of earlier studies are in this space; empty if none was told."""
        learned = [one for of_study in self._earlier.values() for one in of_study]
        if not learned:
            return ""
        studies = ", ".join(self._earlier)
        return f"{sum(learned)} of {len(learned)} trials of {studies} are in this space"

    def _learn_from(self, name: str, earlier: Earlier) -> bool:
        """Take in a trial of an earlier study; whether it is in this space, and like its trials in
        all that is not searched.

        What its configuration lacks, and what the space does not have, has its default.
        """
        config = earlier.config
        names = {parameter.name for parameter in self.space.parameters}
        shared = {key: value for key, value in config.items() if key in names}
        same = {**dict(self.space.fixed), **shared}
        for key in {**config, **same}.keys() - names - {*COMPARABLE}:
            if as_json(value_in(config, key)) != as_json(value_in(same, key)):
                return False
        try:
            unit = self.space.unit(self.space.complete(shared))
        except ValueError:
            return False
        self.history.suggested(name, unit)
        values = earlier.by_epoch()
        for epoch, value in values.items():
            self.history.result(name, epoch, value)
        if earlier.status in ("finished", "stopped"):
            last, stopped = max(values), earlier.status == "stopped"
            self.history.ended(name, epoch=last, value=values[last], stopped=stopped)
        else:
            self.history.failed(name)
        return True
