"""The optimizers, and the moving average of the weights.

The first optimizer of a process imports `torch._dynamo` and sympy, only to tell the compiler to
keep out of it: 1.1 s and 150 MB in every trial's process, which compiles nothing. Here the methods
are marked as told already, and a step is taken by the function beneath those wrappers. Where a
later PyTorch names things otherwise, the import is back and nothing else changes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from trainables.training.config import TrainingConfig

WRAPPED = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")


class Optimizer(NamedTuple):
    """A rule of the update."""

    kind: Callable[..., torch.optim.Optimizer]
    arguments: Callable[[TrainingConfig], dict[str, Any]]
    """Of `kind`, beside the parameters and their learning rate."""
    memory: set[str]
    """What it remembers of a parameter."""
    learning_rate: float = 1e-2
    """Where nobody says which; a tenth where the rule scales each update itself."""


def _of_adam(config: TrainingConfig) -> dict[str, Any]:
    return {"betas": (config.beta1, config.beta2), "eps": config.epsilon, "fused": True}


# One kernel for all of an update where there is one: 4.1 ms a step of Adam against 6.3 ms (MLP, one
# core). SGD with momentum: Sutskever et al. 2013; Adam: Kingma and Ba 2015; AdamW: Loshchilov and
# Hutter 2019, algorithm 2; Adagrad: Duchi et al. 2011; RMSprop: Tieleman and Hinton 2012.
OPTIMIZERS = {
    "sgd": Optimizer(
        torch.optim.SGD,
        lambda c: {"momentum": c.momentum, "nesterov": c.nesterov, "fused": True},
        {"momentum_buffer"},
    ),
    "adam": Optimizer(torch.optim.Adam, _of_adam, {"step", "exp_avg", "exp_avg_sq"}, 1e-3),
    # Without a decay of its own: PyTorch's default would be one of biases too.
    "adamw": Optimizer(
        torch.optim.AdamW,
        lambda c: {**_of_adam(c), "weight_decay": 0.0},
        {"step", "exp_avg", "exp_avg_sq"},
        1e-3,
    ),
    "adagrad": Optimizer(
        torch.optim.Adagrad, lambda c: {"eps": c.epsilon, "fused": True}, {"step", "sum"}
    ),
    "rmsprop": Optimizer(
        torch.optim.RMSprop,
        lambda c: {"alpha": c.alpha, "eps": c.epsilon},
        {"step", "square_avg"},
        1e-3,
    ),
}
"""By the name that a config has; to add one is an entry here."""


def build_optimizer(config: TrainingConfig, model: nn.Module) -> torch.optim.Optimizer:
    """The optimizer of those parameters of `model` that require a gradient: of these, matrices and
    filters decay, biases and norms do not."""
    for name in WRAPPED:
        with suppress(AttributeError):
            method = getattr(torch.optim.Optimizer, name).__wrapped__
            # What `torch._disable_dynamo` would put there after the import.
            method.__dynamo_disable = method
    trained = [p for p in model.parameters() if p.requires_grad]
    # Two groups without decay too: their order is that of a checkpoint's memory.
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    rule = OPTIMIZERS[config.optimizer]
    return rule.kind(
        [group for group in groups if group["params"]],
        lr=config.learning_rate_in(1),
        **rule.arguments(config),
    )


def step_of(optimizer: torch.optim.Optimizer) -> Callable[[], Any]:
    """The optimizer's `step`, to be called without gradients."""
    bare = inspect.unwrap(type(optimizer).step)

    def step() -> None:
        with torch.no_grad():
            bare(optimizer)

    return step


WARM_UP = 10
"""The decay after n updates is at most (1 + n) / (10 + n): the average forgets the random weights
that it began with, however long its memory."""


class WeightAverage:
    """Keeps the moving average of all weights and of the statistics of norms (Polyak and Juditsky
    1992; Tarvainen and Valpola 2017, *Mean Teachers Are Better Role Models*, equation 2).

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
        new = list(_averaged(model).values())
        torch._foreach_lerp_(list(self.weights.values()), new, 1 - decay)

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
