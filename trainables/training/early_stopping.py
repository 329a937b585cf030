"""What is remembered of the validation loss: for early stopping, and for the schedule "plateau"."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import inf
from typing import Any

from trainables.training.config import TrainingConfig


@dataclass
class Patience:
    """Counts the epochs since the validation loss was last lower (Prechelt 1998, *Early Stopping,
    but When?*; as PyTorch's ReduceLROnPlateau).

    All of it is in the state of a run, so that one that goes on stops where it would have.
    """

    best: float = inf
    """Lowest validation loss so far, in nats, by which `min_delta` counts."""
    waited: int = 0
    """Epochs since."""
    plateau_best: float = inf
    plateau_waited: int = 0
    factor: float = 1.0
    """What the schedule "plateau" has come to."""

    def note(self, val_loss: float, config: TrainingConfig) -> None:
        """Takes in the validation loss of an epoch."""
        if val_loss < self.best - config.min_delta:
            self.best, self.waited = val_loss, 0
        else:
            self.waited += 1
        if val_loss < self.plateau_best:
            self.plateau_best, self.plateau_waited = val_loss, 0
            return
        self.plateau_waited += 1
        if config.schedule == "plateau" and self.plateau_waited > config.scheduler_patience:
            self.factor, self.plateau_waited = self.factor * config.scheduler_factor, 0

    def over(self, config: TrainingConfig) -> bool:
        """Whether a trial has waited long enough."""
        return 0 < config.patience <= self.waited

    def state(self) -> dict[str, float]:
        """As plain numbers."""
        return asdict(self)

    @classmethod
    def of(cls, state: Mapping[str, float]) -> "Patience":
        """Of what `state` has said."""
        known: dict[str, Any] = dict(state)
        return cls(**known)
