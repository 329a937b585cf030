"""Optimizers, and the moving average of the weights.

The first optimizer of a process imports `torch._dynamo` and sympy, only to exclude itself from
compilation: 1.1 s and 150 MB in every trial's process, which compiles nothing. Here the methods are
marked as excluded beforehand, and a step calls the function beneath those wrappers. If a later
PyTorch renames these parts, the import is back and nothing else changes.
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
    """An update rule."""

    kind: Callable[..., torch.optim.Optimizer]
    arguments: Callable[[TrainingConfig], dict[str, Any]]
    """Arguments of `kind`, in addition to the parameters and their learning rate."""
    memory: set[str]
    """Names of the tensors that it remembers for each parameter."""
    learning_rate: float = 1e-2
    """Default learning rate; a tenth for rules that scale each update themselves."""


def _of_adam(config: TrainingConfig) -> dict[str, Any]:
    return {"betas": (config.beta1, config.beta2), "eps": config.epsilon, "fused": True}


# Fused kernels where available: 4.1 ms for a step of Adam instead of 6.3 ms (MLP, one core). SGD
# with momentum: Sutskever et al. 2013; Adam: Kingma and Ba 2015; AdamW: Loshchilov and Hutter 2019,
# algorithm 2; Adagrad: Duchi et al. 2011; RMSprop: Tieleman and Hinton 2012.
OPTIMIZERS = {
    "sgd": Optimizer(
        torch.optim.SGD,
        lambda c: {"momentum": c.momentum, "nesterov": c.nesterov, "fused": True},
        {"momentum_buffer"},
    ),
    "adam": Optimizer(torch.optim.Adam, _of_adam, {"step", "exp_avg", "exp_avg_sq"}, 1e-3),
    # Decay is set per group: PyTorch's default would include biases.
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
"""Optimizers by their name in a config; a new one needs an entry here."""


def build_optimizer(config: TrainingConfig, model: nn.Module) -> torch.optim.Optimizer:
    """Build the optimizer of the parameters of `model` that require a gradient; matrices and
    filters decay, biases and norms do not."""
    for name in WRAPPED:
        with suppress(AttributeError):
            method = getattr(torch.optim.Optimizer, name).__wrapped__
            # The value that `torch._disable_dynamo` would set after the import.
            method.__dynamo_disable = method
    trained = [p for p in model.parameters() if p.requires_grad]
    decaying = [p for p in trained if p.ndim > 1]
    others = [p for p in trained if p.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": decaying, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if not config.weight_decay:
        # In the order of the two groups, which is that of a checkpoint's memory; one group is one
        # call in an update.
        groups = [{"params": [*decaying, *others], "weight_decay": 0.0}]
    rule = OPTIMIZERS[config.optimizer]
    return rule.kind(
        [group for group in groups if group["params"]],
        lr=config.learning_rate_in(1),
        **rule.arguments(config),
    )


def step_of(optimizer: torch.optim.Optimizer) -> Callable[[], Any]:
    """Return the optimizer's `step`, to be called without gradients."""
    bare = inspect.unwrap(type(optimizer).step)

    def step() -> None:
        with torch.no_grad():
            bare(optimizer)

    return step


WARM_UP = 10
"""Constant of the warm-up: the decay after n updates is at most (1 + n) / (10 + n), so that the
average forgets the random initial weights, however long its memory."""


class WeightAverage:
    """Moving average of all weights and of the statistics of norms (Polyak and Juditsky 1992;
    Tarvainen and Valpola 2017, *Mean Teachers Are Better Role Models*, equation 2).

    Args:
        model: model to be averaged; its weights are the initial average.
        decay: share of the average that each update keeps, 0 to below 1; 0 disables averaging.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights: dict[str, Tensor] = {}
        """Averaged tensors by name; empty without averaging."""
        if decay > 0:
            self.weights = {name: value.clone() for name, value in _averaged(model).items()}

    def update(self, model: nn.Module, updates: int) -> None:
        """Add the weights after `updates` updates to the average."""
        if not self.weights:
            return
        decay = min(self.decay, (1 + updates) / (WARM_UP + updates))
        new = list(_averaged(model).values())
        torch._foreach_lerp_(list(self.weights.values()), new, 1 - decay)

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Resume from a saved average, which is copied.

        Raises:
            ValueError: the average is of another model.
        """
        if set(weights) != set(self.weights):
            raise ValueError(
                f"the state has an average of {len(weights)} tensors, ema_decay {self.decay:g} "
                f"keeps one of {len(self.weights)} of this model: give the model and the ema_decay "
                f"that the state was trained with"
            )
        for name, value in weights.items():
            self.weights[name].copy_(value)

    @contextmanager
    def in_place_of(self, model: nn.Module) -> Iterator[None]:
        """Give the model the averaged weights within the `with` block, then its own again."""
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
    """Return all floating-point tensors of the model's state, without counters."""
    return {name: value for name, value in model.state_dict().items() if value.is_floating_point()}
