"""The hyperparameters of a trial: one field each, checked on construction."""

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from trainables.image import checks
from trainables.image.config_rules import COUNTS, NAMES, NUMBERS, check_together

ADAPTIVE = ("adam", "adamw", "rmsprop")
"""They scale each update themselves: a tenth of SGD's learning rate."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """What a trial is trained with.

    Raises:
        ValueError: a value of the wrong type or outside its range, or two that do not go together;
            the message names the field, the value and the rule.
    """

    # The network.

    model: str = "mlp"
    """Network: "mlp", "cnn", "resnet" or "linear"."""

    hidden_sizes: tuple[int, ...] = (512, 256)
    """Units of each hidden layer, first to last; only under the MLP."""

    channels: tuple[int, ...] = (32, 64)
    """Channels of each stage, first to last; only under the CNN and the ResNet."""

    depth: int = 1
    """Convolutions of a stage of the CNN, residual blocks of one of the ResNet, at least 1."""

    kernel_size: int = 3
    """Side of a convolution's window, in pixels, odd; only under the CNN and the ResNet."""

    activation: str = "relu"
    """Non-linearity between layers: "relu", "gelu", "silu" or "tanh"; not if linear."""

    norm: str | None = None
    """Normalisation before each non-linearity: "none", "batch" or "layer" (over the channels of an
    image too); where nothing is said "batch" with convolutions, else "none". A config that is made
    from another by `replace` keeps what that one came to."""

    pretrained: str = ""
    """Path of the weights to start from: a `state.pt` or checkpoint folder of ours, or a state
    dict; the head is taken over if it has as many classes. Empty: random weights."""

    freeze_epochs: int = 0
    """First epochs in which only the head is trained, dropout included, while the norms of the body
    keep their statistics; only under `pretrained`."""

    # Optimization.

    optimizer: str = "sgd"
    """Rule of the update: "sgd", "adam", "adamw", "adagrad" or "rmsprop"."""

    learning_rate: float | None = None
    """Step size of the optimizer, above 0; where nothing is said 0.001 under Adam, AdamW and
    RMSprop, else 0.01."""

    learning_rate_schedule: tuple[tuple[int, float], ...] = ()
    """Pairs of an epoch (from 1, ascending) and the learning rate from it on, above 0; before the
    first one, and without any, it is `learning_rate`. Only under the schedule "constant"."""

    lr_scaling: str = "none"
    """What the learning rate is multiplied by, b the batch size over `base_batch_size`: "none" 1,
    "linear" b, "sqrt" the root of b, "inverse" 1 / b."""

    base_batch_size: int = 128
    """Batch size that `learning_rate` is meant for, at least 1; only under a scaling."""

    momentum: float = 0.9
    """Share of the last update that is kept, 0 to below 1; only under SGD."""

    nesterov: bool = False
    """Whether the gradient is taken ahead, where the momentum leads; only under SGD."""

    beta1: float = 0.9
    """Share of the last mean gradient that is kept, 0 to below 1; only under Adam and AdamW."""

    beta2: float = 0.999
    """Share of the last mean squared gradient that is kept, 0 to below 1; Adam and AdamW."""

    alpha: float = 0.99
    """The same of RMSprop."""

    epsilon: float = 1e-8
    """Added to the root that a gradient is divided by, above 0; not under SGD."""

    batch_size: int = 128
    """Samples in one update, at least 1; the last batch of an epoch may be smaller."""

    batch_size_schedule: str = "constant"
    """"constant", or "linear" from `batch_size` in the first epoch to `final_batch_size` in the
    last."""

    final_batch_size: int = 512
    """Samples in an update of the last epoch, a multiple of `accumulation_steps`; only under a
    batch size schedule."""

    accumulation_steps: int = 1
    """Parts that a batch is passed through the network in, for one update; divides it."""

    grad_clip_norm: float = 0.0
    """Longest gradient (2-norm over all parameters); longer ones are shortened to it. 0: any."""

    epochs: int = 27
    """Passes over the training data, at least 1."""

    schedule: str = "constant"
    """How the learning rate changes between warm-up and ending: "constant", "step", "exponential",
    "cosine", "linear" or "plateau"."""

    step_size: int = 9
    """Epochs between two steps of the schedule "step", at least 1."""

    gamma: float = 0.9
    """Factor of a step, or of an epoch of the schedule "exponential", above 0 to 1."""

    cycles: int = 1
    """How often the schedule "cosine" falls, at least 1; between two falls it rises at once."""

    scheduler_patience: int = 3
    """Epochs without a lower validation loss before the schedule "plateau" takes a step."""

    scheduler_factor: float = 10**-0.5
    """Factor of a step of "plateau", above 0 and below 1."""

    epochs_warmup: float = 0.0
    """Epochs in which the learning rate rises linearly from near 0; fractions are steps."""

    epochs_ending: float = 0.0
    """Last epochs, in which it falls linearly to `final_lr_fraction`; fractions are steps."""

    final_lr_fraction: float = 0.0
    """Share of the learning rate that ending, "linear" and "cosine" fall to, 0 to 1."""

    loss: str = "cross_entropy"
    """What is minimised: "cross_entropy", "margin" or "focal"."""

    focal_gamma: float = 2.0
    """How much less a sample counts that is told right already, at least 0; only under focal."""

    class_weights: str = "none"
    """"none", or "balanced": each class has the same say, however few its samples."""

    # Regularization.

    weight_decay: float = 0.0
    """Of the weight matrices, at least 0: decoupled (taken from the weights) under AdamW, else
    added to the gradient as L2; never of biases and norms."""

    dropout: float = 0.1
    """Share of the units set to zero in training, 0 to below 1; not if linear."""

    label_smoothing: float = 0.0
    """Share of the target that is spread over all classes, 0 to below 1; only under the cross
    entropy."""

    augmentation: str = "none"
    """Of training images, batch by batch: "none", "shift", "shift_flip", "erasing" (after shift and
    flip) or "mixup"."""

    mixup_alpha: float = 0.2
    """Of the Beta distribution that mixup draws its share from, above 0."""

    patience: int = 6
    """Epochs without a validation loss lower by `min_delta` before a trial ends; 0: none ends."""

    min_delta: float = 0.0
    """By how much the validation loss must fall to count, in nats, at least 0."""

    ema_decay: float = 0.0
    """Share of the weights' moving average that each update keeps, 0 to below 1; it is the average
    that is validated and saved. 0: the weights themselves."""

    # Data and reporting.

    train_ratio: float = 0.8
    """Share of training and validation data together that is trained on, between 0 and 1; at most
    the share that the dataset was split by."""

    folds: int = 0
    """Parts for a cross-validation, at least 2, each the validation set once; 0: the split."""

    min_std: float = 1e-3
    """Floor of the standard deviation that inputs are divided by, above 0, in units of the full
    pixel range (0 to 1): a channel that hardly varies is not blown up to noise."""

    precision: str = "float32"
    """Arithmetic of the products: "float32", "tf32" (10 bits of mantissa instead of 23, on GPUs
    that have it; elsewhere float32), or the whole forward pass in "bfloat16" under autocast.
    Weights and optimizer stay float32."""

    print_freq: int = 50
    """Steps between two logged losses of single steps, at least 0; 0: none is logged."""

    seed: int = 0
    """Of every random stream of the trial, at least 0: initial weights, shuffling, dropout."""

    def __post_init__(self) -> None:
        self._resolve("norm", "batch" if self.model in ("cnn", "resnet") else "none")
        self._resolve("learning_rate", 1e-3 if self.optimizer in ADAPTIVE else 1e-2)
        for name, allowed in NAMES.items():
            self._set(name, checks.one_of(name, getattr(self, name), allowed))
        for name, (rule, holds) in NUMBERS.items():
            self._set(name, checks.real(name, getattr(self, name), rule, holds))
        for name, (rule, fits) in COUNTS.items():
            self._set(name, checks.integer(name, getattr(self, name), rule, fits))
        self._set("nesterov", checks.flag("nesterov", self.nesterov))
        for name in ("hidden_sizes", "channels"):
            self._set(name, checks.sizes(name, getattr(self, name)))
        schedule = checks.rates("learning_rate_schedule", self.learning_rate_schedule)
        self._set("learning_rate_schedule", schedule)
        if not isinstance(self.pretrained, str):
            raise ValueError(f"pretrained must be a path, or empty, got {self.pretrained!r}")
        check_together(self)

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
        """What schedules are a share of in `epoch`, from 1: scaled by the batch size."""
        assert self.learning_rate is not None
        begun = [rate for first, rate in self.learning_rate_schedule if first <= epoch]
        ratio = self.batch_size_in(epoch) / self.base_batch_size
        scales = {"none": 1.0, "linear": ratio, "sqrt": math.sqrt(ratio), "inverse": 1 / ratio}
        return (begun[-1] if begun else self.learning_rate) * scales[self.lr_scaling]

    def batch_size_in(self, epoch: int) -> int:
        """Samples in an update of `epoch`, from 1; always a multiple of the accumulation steps."""
        if self.batch_size_schedule == "constant" or self.epochs == 1:
            return self.batch_size
        share = (epoch - 1) / (self.epochs - 1)
        size = self.batch_size + share * (self.final_batch_size - self.batch_size)
        return max(1, round(size / self.accumulation_steps)) * self.accumulation_steps

    def _resolve(self, name: str, value: object) -> None:
        if getattr(self, name) is None:
            self._set(name, value)

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)
