"""What a searcher that learns knows of its trials, compared at one and the same number of epochs.

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
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from search_spaces.mode import sign_of

Epochs: TypeAlias = int | float
END = math.inf
"""The rung above all others: the end of a trial that nobody stopped."""


@dataclass
class Told:
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
class Standing:
    """Where a trial stands among the others: the smaller the better."""

    below: float
    """0 for a trial that is compared at the model's rung, then by the rung where it was stopped;
    infinite if it failed."""
    loss: float
    """Its value at that rung, the smaller the better."""


class History:
    """All trials of a study as its searcher was told them, in the order of their suggestion."""

    def __init__(self) -> None:
        self.trials: dict[str, Told] = {}

    def suggested(self, trial: str, unit: Sequence[float | None]) -> None:
        """`trial` is running."""
        self.trials[trial] = Told(tuple(unit))

    def result(self, trial: str, epoch: Epochs, value: float) -> None:
        """`trial` had `value` after `epoch`."""
        self.trials[trial].values[epoch] = value

    def last_before(self, trial: str, epoch: Epochs) -> Epochs:
        """The epoch of the report before that of `epoch`, 0 if there was none."""
        return max((at for at in self.trials[trial].values if at < epoch), default=0)

    def ended(self, trial: str, *, epoch: Epochs, value: float, stopped: bool) -> None:
        """`trial` ended with `value` after `epoch`, by itself or stopped at a rung."""
        told = self.trials[trial]
        told.values[epoch] = value
        if not stopped:
            told.values[END] = value
        told.state = "stopped" if stopped else "finished"

    def promoted(self, trial: str) -> None:
        """`trial`, which was stopped, is running again."""
        self.trials[trial].state = "running"

    def failed(self, trial: str) -> None:
        """`trial` diverged or failed."""
        self.trials[trial].state = "failed"

    def forgotten(self, trial: str) -> None:
        """`trial` ended by something that its configuration is not to blame for."""
        del self.trials[trial]

    def rung(self, rungs: Sequence[int], enough: int) -> Epochs:
        """The rung that the model compares trials at: the highest that `enough` of them have
        reached, else the lowest."""
        stations = [*rungs, END]
        for station in reversed(stations):
            values = [told.value_at(station) for told in self.trials.values()]
            if len(values) - values.count(None) >= enough:
                return station
        return stations[0]

    def standings(
        self, rungs: Sequence[int], mode: str | None, rung: Epochs
    ) -> dict[str, Standing | None]:
        """Where each trial stands at `rung`; None for one that is still on its way to it."""
        sign = -sign_of(mode)
        # A rung's own place under the model's: 1 for the next lower one.
        stations = [*rungs, END]
        depth = {station: stations.index(rung) - at for at, station in enumerate(stations)}
        found: dict[str, Standing | None] = {}
        for trial, told in self.trials.items():
            value = told.value_at(rung)
            if told.state == "failed":
                found[trial] = Standing(math.inf, 0.0)
            elif value is not None:
                found[trial] = Standing(0, sign * value)
            elif told.state == "stopped":
                passed = [(depth[at], told.value_at(at)) for at in reversed(stations)]
                below, last = next((d, v) for d, v in passed if v is not None)
                found[trial] = Standing(below, sign * last)
            else:
                found[trial] = None
        return found
