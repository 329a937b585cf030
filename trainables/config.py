"""The hyperparameters of a trial: one field each, checked on construction."""

import difflib
import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

MODELS = ("mlp", "cnn", "linear")
ACTIVATIONS = ("relu", "gelu", "silu", "tanh")
OPTIMIZERS = ("sgd", "adam")
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True, kw_only=True)
class Config:
    """What a trial is trained with.

    Raises:
        ValueError: a value of the wrong type or outside its range; the message names the field, the
            value and the rule.
    """

    model: str = "mlp"
    """Network: "mlp", "cnn" or "linear"."""

    hidden_sizes: tuple[int, ...] = (512, 256)
    """Units of each hidden layer, first to last; only under the MLP."""

    activation: str = "relu"
    """Non-linearity between layers: "relu", "gelu", "silu" or "tanh"; not if linear."""

    dropout: float = 0.1
    """Share of the units set to zero in training, 0 to below 1; not if linear."""

    channels: tuple[int, ...] = (32, 64)
    """Channels of each convolution, first to last; only under the CNN."""

    kernel_size: int = 3
    """Side of a convolution's window, in pixels, odd; only under the CNN."""

    optimizer: str = "sgd"
    """Rule of the update: "sgd" or "adam"."""

    learning_rate: float = 0.01
    """Step size of the optimizer, above 0."""

    learning_rate_schedule: tuple[tuple[int, float], ...] = ()
    """Pairs of an epoch (from 1, ascending) and the learning rate from it on, above 0; before the
    first one, and without any, it is `learning_rate`."""

    momentum: float = 0.9
    """Share of the last update that is kept, 0 to below 1; only under SGD."""

    weight_decay: float = 0.0
    """Of the weight matrices, at least 0: added to the gradient as L2 under SGD, taken from the
    weights (decoupled) under Adam; never of biases and norms."""

    label_smoothing: float = 0.0
    """Share of the target that is spread over all classes, 0 to below 1."""

    batch_size: int = 128
    """Samples in one update, at least 1; the last batch of an epoch may be smaller."""

    epochs: int = 27
    """Passes over the training data, at least 1."""

    train_ratio: float = 0.8
    """Share of training and validation data together that is trained on, between 0 and 1; at most
    the share that the dataset was split by."""

    min_std: float = 1e-3
    """Floor of the standard deviation that inputs are divided by, above 0, in units of the full
    pixel range (0 to 1): a channel that hardly varies is not blown up to noise."""

    precision: str = "float32"
    """Arithmetic of the forward pass: "float32", or "bfloat16" under autocast (weights
    and optimizer stay float32)."""

    seed: int = 0
    """Of every random stream of the trial, at least 0: initial weights, shuffling, dropout."""

    def __post_init__(self) -> None:
        self._one_of("model", MODELS)
        self._sizes("hidden_sizes")
        self._one_of("activation", ACTIVATIONS)
        self._real("dropout", "at least 0 and below 1", lambda x: 0 <= x < 1)
        self._sizes("channels")
        self._integer("kernel_size", "odd and at least 1", lambda n: n >= 1 and n % 2 == 1)
        self._one_of("optimizer", OPTIMIZERS)
        self._real("learning_rate", "above 0", lambda x: x > 0)
        self._schedule("learning_rate_schedule")
        self._real("momentum", "at least 0 and below 1", lambda x: 0 <= x < 1)
        self._real("weight_decay", "at least 0", lambda x: x >= 0)
        self._real("label_smoothing", "at least 0 and below 1", lambda x: 0 <= x < 1)
        self._integer("batch_size", "at least 1", lambda n: n >= 1)
        self._integer("epochs", "at least 1", lambda n: n >= 1)
        self._real("train_ratio", "above 0 and below 1", lambda x: 0 < x < 1)
        self._real("min_std", "above 0", lambda x: x > 0)
        self._one_of("precision", PRECISIONS)
        self._integer("seed", "at least 0", lambda n: n >= 0)

    @classmethod
    def from_dict(cls, sampled: Mapping[str, object]) -> "Config":
        """Build a config from what a search space sampled; absent keys take their defaults.

        Raises:
            ValueError: a key that is no hyperparameter, or a value that its field refuses.
        """
        allowed = [field.name for field in fields(cls)]
        unknown = [key for key in sampled if key not in allowed]
        if unknown:
            named = []
            for key in unknown:
                close = difflib.get_close_matches(str(key), allowed, n=2)
                named.append(
                    f"{key!r} (did you mean {' or '.join(close)}?)" if close else repr(key)
                )
            raise ValueError(
                f"unknown hyperparameter {', '.join(named)}; allowed: {', '.join(allowed)}"
            )
        values: dict[str, Any] = dict(sampled)
        return cls(**values)

    def learning_rate_in(self, epoch: int) -> float:
        """The learning rate that `epoch`, from 1, is trained with."""
        begun = [rate for first, rate in self.learning_rate_schedule if first <= epoch]
        return begun[-1] if begun else self.learning_rate

    def _one_of(self, name: str, allowed: Sequence[str]) -> None:
        value = getattr(self, name)
        if not isinstance(value, str) or value not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")

    def _real(self, name: str, rule: str, holds: Callable[[Any], bool]) -> None:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise ValueError(f"{name} must be a number {rule}, got {value!r}")
        if not math.isfinite(value) or not holds(value):
            raise ValueError(f"{name} must be {rule}, got {value!r}")
        object.__setattr__(self, name, float(value))

    def _integer(self, name: str, rule: str, holds: Callable[[Any], bool]) -> None:
        value = getattr(self, name)
        # Searchers hand out NumPy's integers, which are Integral but no int.
        if isinstance(value, bool) or not isinstance(value, numbers.Integral):
            raise ValueError(f"{name} must be an integer, {rule}, got {value!r}")
        if not holds(value):
            raise ValueError(f"{name} must be {rule}, got {value!r}")
        object.__setattr__(self, name, int(value))

    def _sizes(self, name: str) -> None:
        value = getattr(self, name)
        # JSON has lists only.
        if (
            not isinstance(value, (list, tuple))
            or not value
            or any(isinstance(n, bool) or not isinstance(n, numbers.Integral) for n in value)
            or any(n < 1 for n in value)
        ):
            raise ValueError(
                f"{name} must be one or more integers, each at least 1, such as [64, 32], "
                f"got {value!r}"
            )
        object.__setattr__(self, name, tuple(int(n) for n in value))

    def _schedule(self, name: str) -> None:
        value = getattr(self, name)
        # JSON has lists only.
        pairs: Sequence[Any] = value if isinstance(value, (list, tuple)) else [None]
        steps = all(map(_is_step, pairs)) and all(a[0] < b[0] for a, b in pairwise(pairs))
        if not steps:
            raise ValueError(
                f"{name} must be pairs of an epoch, at least 1 and ascending, and a number above "
                f"0, such as [[1, 0.1], [5, 0.01]], got {value!r}"
            )
        object.__setattr__(self, name, tuple((int(first), float(rate)) for first, rate in pairs))


def _is_step(pair: Any) -> bool:
    """Whether it is an epoch with a rate."""
    if not isinstance(pair, (list, tuple)) or len(pair) != 2:
        return False
    if any(isinstance(part, bool) for part in pair):
        return False
    first, rate = pair
    whole, number = isinstance(first, numbers.Integral), isinstance(rate, numbers.Real)
    return whole and number and int(first) >= 1 and 0 < float(rate) < math.inf
