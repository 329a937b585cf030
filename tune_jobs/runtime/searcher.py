"""The searcher that Tune sees: it numbers the trials, writes them down, and takes up a study.

The strategy behind it never knows of the journal. On resume it is asked again, in the order of the
first time, and told which trials have ended; those that have not are handed to Tune again, with
their own index and configuration, before any new one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from ray.tune.search import Searcher

from tune_jobs.runtime.journal import Journal, TrialRecord


class JournaledSearcher(Searcher):
    """Wraps `strategy`; suggests until the study has `trials`.

    Args:
        strategy: any searcher of Tune.
        journal: where suggestions are written.
        recorded: the trials of earlier sessions by index, ended or not.
        trials: how many the study shall have in all.
        seed: the study's; each trial gets one of its own from it and its index.
    """

    def __init__(
        self,
        strategy: Searcher,
        *,
        journal: Callable[[], Journal],
        recorded: Mapping[int, TrialRecord],
        trials: int,
        seed: int,
    ) -> None:
        super().__init__(metric=strategy.metric, mode=strategy.mode)
        self.strategy = strategy
        self.indices: dict[str, int] = {}
        """By Tune's trial id, which is random, the index that everything else goes by."""
        self._journal = journal
        self._trials = trials
        self._seed = seed
        self._unfinished = [record for record in recorded.values() if not record.ended]
        self._next_index = len(recorded)
        for index, record in sorted(recorded.items()):
            strategy.suggest(f"recorded-{index}")
            if record.ended:
                strategy.on_trial_complete(f"recorded-{index}")

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """Hands metric and mode on to the strategy."""
        self._metric, self._mode = metric, mode
        self.strategy.set_search_properties(metric, mode, config, **spec)
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        """An unfinished trial of an earlier session, else the next of the strategy."""
        while self._unfinished:
            record = self._unfinished.pop(0)
            if record.ended:
                # The scheduler, which is made after this, closed it: its stop had been decided.
                continue
            self.indices[trial_id] = record.index
            return record.config
        if self._next_index >= self._trials:
            return str(Searcher.FINISHED)
        suggested = self.strategy.suggest(trial_id)
        if suggested is None or suggested == Searcher.FINISHED:
            return suggested  # type: ignore[no-any-return]
        index, self._next_index = self._next_index, self._next_index + 1
        self.indices[trial_id] = index
        config = {**suggested, "seed": trial_seed(self._seed, index)}
        self._journal().append({"event": "suggested", "trial": index, "config": config})
        return config

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Hands the result on."""
        self.strategy.on_trial_result(trial_id, result)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Hands the end on."""
        self.strategy.on_trial_complete(trial_id, result, error)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its searcher, and the journal is where our state is."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing, for the same reason."""


def dirname_of(index: int) -> str:
    """The name of a trial's directory, such as `0012`: they sort as the trials began."""
    return f"{index:04d}"


def trial_seed(study_seed: int, index: int) -> int:
    """The seed of a trial's random streams, below 2^31."""
    return int(np.random.SeedSequence([study_seed, index]).generate_state(1)[0] >> 1)
