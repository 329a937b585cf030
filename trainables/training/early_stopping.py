"""Early stopping and the schedule "plateau": their memory of a validation score."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from trainables.training.config import TrainingConfig

LOWER_IS_BETTER = ("loss", "objective", "log_loss", "rmse", "mse", "mae", "mape", "huber")
"""Scores that measure an error; of all others a higher value is better."""


def watched_score(config: TrainingConfig, scores: Sequence[str]) -> str:
    """Return the name of the score that patience watches, of a task with these `scores`.

    Raises:
        ValueError: the task has no such score.
    """
    name = config.patience_metric
    if name == "objective" and name not in scores:
        # The loss that is minimised is the loss that is reported.
        return "loss"
    if name not in scores:
        raise ValueError(
            f"patience_metric must be one of {', '.join(dict.fromkeys((*scores, 'objective')))}: "
            f"got {name!r}"
        )
    return name


@dataclass
class Patience:
    """Counts the epochs since the watched validation score was last better (Prechelt 1998, *Early
    Stopping, but When?*; as PyTorch's ReduceLROnPlateau).

    It belongs to the state of a run, so that a resumed run stops at the same epoch.
    """

    best: float = inf
    """Best score so far, by which `min_delta` counts; negative if a higher one is better."""
    waited: int = 0
    """Epochs since then."""
    plateau_best: float = inf
    plateau_waited: int = 0
    factor: float = 1.0
    """Current factor of the schedule "plateau"."""

    def note(self, score: float, config: TrainingConfig) -> None:
        """Take in the watched validation score of an epoch."""
        value = score if config.patience_metric in LOWER_IS_BETTER else -score
        if value < self.best - config.min_delta:
            self.best, self.waited = value, 0
        else:
            self.waited += 1
        if value < self.plateau_best:
            self.plateau_best, self.plateau_waited = value, 0
            return
        self.plateau_waited += 1
        if config.schedule == "plateau" and self.plateau_waited > config.scheduler_patience:
            self.factor, self.plateau_waited = self.factor * config.scheduler_factor, 0

    def over(self, config: TrainingConfig) -> bool:
        """Return whether a trial has waited for as long as its configuration allows."""
        return 0 < config.longest_wait <= self.waited
