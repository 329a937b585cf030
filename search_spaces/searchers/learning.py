"""What searchers that learn have in common: what they were told, and when they begin to learn."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from search_spaces.catalogue import value_in
from search_spaces.searchers.history import Epochs, History, Standing
from search_spaces.searchers.sobol_search import SobolSearch
from search_spaces.searchers.strategy import Strategy
from search_spaces.space import Space
from search_spaces.values import Value, as_json, as_seed

RETRIES = 16
"""How often a model is asked again that proposes a configuration which has been tried; then the
first Sobol point that has not been is taken."""


COMPARABLE = ("epochs", "patience", "train_ratio", "precision", "print_freq", "seed")
"""What may be another than an earlier study had, and its trials still tell something: a value is
compared after so many epochs."""


class LearningSearch(Strategy):
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
        self._start_points = [space.complete(point) for point in start_points]
        self._first_points = SobolSearch(space, seed=seed)

    @abstractmethod
    def proposal(
        self, standings: Mapping[str, Standing | None], rung: Epochs, rng: np.random.Generator
    ) -> Sequence[float]:
        """A number in [0, 1] for each hyperparameter of the space, by the model.

        Args:
            standings: of the trials in `history`, in the order of their suggestion.
            rung: that they are compared at.
            rng: of this proposal alone.
        """

    def point(self, index: int) -> dict[str, Value]:
        """Configuration number `index`, by the seed, `index` and what was told until now."""
        if index < len(self._start_points):
            return dict(self._start_points[index])
        trials = self.history.trials.values()
        tried = {told.unit for told in trials}
        if sum(told.state != "running" for told in trials) >= self.startup:
            # As many as BOHB asks for: one more than hyperparameters, and two for the bad ones.
            rung = self.history.rung(self.rungs, len(self.space.parameters) + 3)
            standings = self.history.standings(self.rungs, self._mode, rung)
            for attempt in range(RETRIES):
                rng = np.random.default_rng([self.seed, index, attempt])
                config = self.space.point(self.proposal(standings, rung, rng))
                if tuple(self.space.unit(config)) not in tried:
                    return config
        for further in range(RETRIES**2):
            config = self._first_points.point(index + further)
            if tuple(self.space.unit(config)) not in tried:
                return config
        return config

    def learned_from(
        self, name: str, config: Mapping[str, Any], values: Mapping[float, float], *, status: str
    ) -> bool:
        """Tells an ended trial of an earlier study; whether it is in this space, and like its
        trials in all that is not searched.

        What its configuration lacks, and what the space does not have, has its default.

        Args:
            name: unlike that of any trial of this study.
            config: its configuration.
            values: of the metric, by epoch.
            status: finished, stopped, diverged or failed.
        """
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
        for epoch, value in values.items():
            self.history.result(name, epoch, value)
        if status in ("finished", "stopped"):
            last = max(values)
            self.history.ended(name, epoch=last, value=values[last], stopped=status == "stopped")
        else:
            self.history.failed(name)
        return True

    def recorded(self, trial_id: str, config: Mapping[str, Any]) -> None:
        """Tells what was suggested, now or in an earlier session."""
        super().recorded(trial_id, config)
        self.history.suggested(trial_id, self.space.unit(config))

    def promoted(self, trial_id: str) -> None:
        """It is running again; what is known of it stays."""
        self.history.promoted(trial_id)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Tells a value on the way."""
        self.history.result(trial_id, *self._told(result))

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tells an end; without a result and without an error the trial is forgotten."""
        if error:
            self.history.failed(trial_id)
        elif result is None:
            self.history.forgotten(trial_id)
        else:
            epoch, value = self._told(result)
            # Who ends by itself just at a rung is taken for one that was stopped there.
            before = self.history.last_before(trial_id, epoch)
            stopped = any(before < rung <= epoch for rung in self.rungs)
            self.history.ended(trial_id, epoch=epoch, value=value, stopped=stopped)

    def _told(self, result: Mapping[str, Any]) -> tuple[float, float]:
        epoch = result["epoch"] if "epoch" in result else result["training_iteration"]
        return epoch, float(result[str(self._metric)])
