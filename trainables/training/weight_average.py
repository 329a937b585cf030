"""The moving average of a network's weights (Polyak and Juditsky 1992; Tarvainen and Valpola 2017,
*Mean Teachers Are Better Role Models*, equation 2)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

WARM_UP = 10
"""The decay after n updates is at most (1 + n) / (10 + n): the average forgets the random weights
that it began with, however long its memory."""


class WeightAverage:
    """Keeps the average of all weights and of the statistics of norms.

    Args:
        model: to be averaged; the average begins with its weights.
        decay: share of the average that each update keeps, 0 to below 1; 0 keeps none.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights: dict[str, Tensor] = {}
        """Empty where none is kept."""
        if decay > 0:
            self.weights = {name: value.clone() for name, value in _averaged(model).items()}

    def update(self, model: nn.Module, updates: int) -> None:
        """Takes in the weights after so many updates."""
        if not self.weights:
            return
        decay = min(self.decay, (1 + updates) / (WARM_UP + updates))
        torch._foreach_lerp_(
            list(self.weights.values()),
            list(_averaged(model).values()),
            1 - decay,
        )

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Goes on from a saved average, which is copied.

        Raises:
            ValueError: it is of another model.
        """
        if set(weights) != set(self.weights):
            raise ValueError(
                f"the state has an average of {len(weights)} tensors, ema_decay {self.decay:g} "
                f"keeps one of {len(self.weights)} of this model: give the model and the ema_decay "
                f"that it was trained with"
            )
        for name, value in weights.items():
            self.weights[name].copy_(value)

    @contextmanager
    def in_place_of(self, model: nn.Module) -> Iterator[None]:
        """Inside, the model has the average; afterwards, its own weights."""
        own = {name: value for name, value in _averaged(model).items() if name in self.weights}
        kept = {name: value.clone() for name, value in own.items()}
        with torch.no_grad():
            for name, value in own.items():
                value.copy_(self.weights[name])
        try:
            yield
        finally:
            with torch.no_grad():
                for name, value in own.items():
                    value.copy_(kept[name])


def _averaged(model: nn.Module) -> dict[str, Tensor]:
    """All of the state that is a number and not a count."""
    return {name: value for name, value in model.state_dict().items() if value.is_floating_point()}
