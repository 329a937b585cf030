"""Shared parts of the callbacks for gradient-boosted trees: a round is an epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from tune_cluster.trial.script_trial import current_trial

B = TypeVar("B")
"""Type of a library's booster."""


class Boosting(Generic[B]):
    """Reports boosting rounds and resumes a booster.

    Args:
        every: number of rounds between two reports, each with a checkpoint; 1 or more.
        load: reads a booster from the folder of a checkpoint.
        rounds_of: returns the number of rounds of a booster.

    Raises:
        ValueError: `every` is below 1.
    """

    def __init__(
        self, every: int, load: Callable[[Path], B], rounds_of: Callable[[B], int]
    ) -> None:
        if every < 1:
            raise ValueError(f"TuneCallback(every={every}): rounds between reports are 1 or more")
        self._every = every
        self._trial = current_trial()
        folder = None if self._trial is None else self._trial.checkpoint_folder()
        self._resumed = None if folder is None else load(folder)
        self._done = 0 if self._resumed is None else rounds_of(self._resumed)

    @property
    def model(self) -> B | None:
        """Booster to resume from; None without a checkpoint."""
        return self._resumed

    def rounds(self, total: int) -> int:
        """Return how many of `total` rounds are left to train."""
        return max(total - self._done, 0)

    def report(self, done: int, metrics: Mapping[str, Any], save: Callable[[str], object]) -> None:
        """Report that `done` rounds are trained.

        Raises:
            ValueError: the training has restarted instead of resuming from the checkpoint.
        """
        if self._trial is None:
            return
        if done <= self._done:
            raise ValueError(
                f"TuneCallback: round {done} was trained again, the checkpoint has {self._done}; "
                "give the training num_boost_round=callback.rounds(n) and, to resume from, "
                "xgb_model=callback.model (XGBoost) or init_model=callback.model (LightGBM)"
            )
        if done % self._every == 0:
            self._trial.report_saved({**metrics, "epoch": done}, save)
