"""The hyperparameters that every training has: one field each, checked on construction."""

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import fields
from itertools import pairwise
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    Strict,
    ValidationError,
    model_validator,
)
from pydantic.dataclasses import dataclass
from typing_extensions import Self

from trainables.training.optimizers import OPTIMIZERS

CHECKS = ConfigDict(extra="forbid", allow_inf_nan=False)


def _plain(value: object) -> object:
    # Searchers hand out NumPy's numbers.
    return value.item() if isinstance(value, np.generic) else value


def _from_json(value: object) -> object:
    # Of any other iterable, such as a range of 10**12, pydantic would make a tuple.
    return tuple(value) if isinstance(value, list) else value


def _ascending(rates: tuple[tuple[int, float], ...]) -> tuple[tuple[int, float], ...]:
    if any(a[0] >= b[0] for a, b in pairwise(rates)):
        raise ValueError("should be ascending in its epochs, such as [[1, 0.1], [5, 0.01]]")
    return rates


def _no_single_fold(folds: int) -> int:
    if folds == 1:
        raise ValueError("should be at least 2, or 0 for the one split")
    return folds


def _optimizer(name: object) -> str:
    if not isinstance(name, str) or name not in OPTIMIZERS:
        raise ValueError(f"should be one of {', '.join(OPTIMIZERS)}")
    return name


Number: TypeAlias = Annotated[float, BeforeValidator(_plain), Strict()]
# What an int64 cannot hold no tensor can count.
Integer: TypeAlias = Annotated[int, BeforeValidator(_plain), Strict(), Field(lt=2**63)]
Flag: TypeAlias = Annotated[bool, BeforeValidator(_plain), Strict()]
Positive: TypeAlias = Annotated[Number, Field(gt=0)]
NotNegative: TypeAlias = Annotated[Number, Field(ge=0)]
Share: TypeAlias = Annotated[Number, Field(ge=0, lt=1)]
Between: TypeAlias = Annotated[Number, Field(gt=0, lt=1)]
Count: TypeAlias = Annotated[Integer, Field(ge=1)]
CountOrNone: TypeAlias = Annotated[Integer, Field(ge=0)]
Sizes: TypeAlias = Annotated[
    tuple[Count, ...], BeforeValidator(_from_json), Strict(), Field(min_length=1)
]
_Rate: TypeAlias = Annotated[tuple[Count, Positive], BeforeValidator(_from_json), Strict()]
_Rates: TypeAlias = Annotated[
    tuple[_Rate, ...], BeforeValidator(_from_json), Strict(), AfterValidator(_ascending)
]

_BOUNDS = {
    "greater than or equal to": "at least",
    "greater than": "above",
    "less than or equal to": "at most",
    "less than": "below",
}


@dataclass(frozen=True, kw_only=True, config=CHECKS)
class TrainingConfig:
    """What any network is trained with; a task's own hyperparameters are fields of a subclass.

    Raises:
        pydantic.ValidationError: a value of the wrong type or outside its range, two that do not go
            together, or an unknown field. `from_dict` says it in one line.
    """

    # The weights to start from.
    pretrained: Annotated[str, Strict()] = ""
    """Path of the weights to start from: a `state.pt` or checkpoint folder of ours, or a state
    dict; the head is taken over if it has as many classes. Empty: random weights."""
    freeze_epochs: CountOrNone = 0
    """First epochs in which only the head is trained, dropout included, while the norms of the body
    keep their statistics; only under `pretrained`."""

    # Optimization.
    optimizer: Annotated[str, PlainValidator(_optimizer)] = "sgd"
    """Rule of the update: one of `OPTIMIZERS`."""
    learning_rate: Positive | None = None
    """Step size of the optimizer; where nothing is said 0.001 under Adam, AdamW and RMSprop, else
    0.01."""
    learning_rate_schedule: _Rates = ()
    """Pairs of an epoch (from 1, ascending) and the learning rate from it on; before the first one,
    and without any, it is `learning_rate`. Only under the schedule "constant"."""
    lr_scaling: Literal["none", "linear", "sqrt", "inverse"] = "none"
    """What the learning rate is multiplied by, b the batch size over `base_batch_size`: "none" 1,
    "linear" b, "sqrt" the root of b, "inverse" 1 / b."""
    base_batch_size: Count = 128
    """Batch size that `learning_rate` is meant for; only under a scaling."""
    momentum: Share = 0.9
    """Share of the last update that is kept; only under SGD."""
    nesterov: Flag = False
    """Whether the gradient is taken ahead, where the momentum leads; only under SGD."""
    beta1: Share = 0.9
    """Share of the last mean gradient that is kept; only under Adam and AdamW."""
    beta2: Share = 0.999
    """Share of the last mean squared gradient that is kept; Adam and AdamW."""
    alpha: Share = 0.99
    """The same of RMSprop."""
    epsilon: Positive = 1e-8
    """Added to the root that a gradient is divided by; not under SGD."""
    batch_size: Count = 128
    """Samples in one update; the last batch of an epoch may be smaller."""
    batch_size_schedule: Literal["constant", "linear"] = "constant"
    """"linear": from `batch_size` in the first epoch to `final_batch_size` in the last."""
    final_batch_size: Count = 512
    """Samples in an update of the last epoch, a multiple of `accumulation_steps`; only under a
    batch size schedule."""
    accumulation_steps: Count = 1
    """Parts that a batch is passed through the network in, for one update; divides it."""
    grad_clip_norm: NotNegative = 0.0
    """Longest gradient (2-norm over all parameters); longer ones are shortened to it. 0: any."""
    epochs: Count = 27
    """Passes over the training data."""
    schedule: Literal["constant", "step", "exponential", "cosine", "linear", "plateau"] = "constant"
    """How the learning rate changes between warm-up and ending."""
    step_size: Count = 9
    """Epochs between two steps of the schedule "step"."""
    gamma: Annotated[Number, Field(gt=0, le=1)] = 0.9
    """Factor of a step, or of an epoch of the schedule "exponential"."""
    cycles: Count = 1
    """How often the schedule "cosine" falls; between two falls it rises at once."""
    scheduler_patience: Count = 3
    """Epochs without a lower validation loss before the schedule "plateau" takes a step."""
    scheduler_factor: Between = 10**-0.5
    """Factor of a step of "plateau"."""
    epochs_warmup: NotNegative = 0.0
    """Epochs in which the learning rate rises linearly from near 0; fractions are steps."""
    epochs_ending: NotNegative = 0.0
    """Last epochs, in which it falls linearly to `final_lr_fraction`; fractions are steps."""
    final_lr_fraction: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Share of the learning rate that ending, "linear" and "cosine" fall to."""

    # Regularization.
    weight_decay: NotNegative = 0.0
    """Of the weight matrices: decoupled (taken from the weights) under AdamW, else added to the
    gradient as L2; never of biases and norms."""
    patience: CountOrNone = 6
    """Epochs without a validation loss lower by `min_delta` before a trial ends; 0: none ends."""
    min_delta: NotNegative = 0.0
    """By how much the validation loss must fall to count, in its unit."""
    ema_decay: Share = 0.0
    """Share of the weights' moving average that each update keeps; it is the average that is
    validated and saved. 0: the weights themselves."""

    # Data and reporting.
    train_ratio: Between = 0.8
    """Share of training and validation data together that is trained on; at most the share that the
    dataset was split by."""
    folds: Annotated[CountOrNone, AfterValidator(_no_single_fold)] = 0
    """Parts for a cross-validation, at least 2, each the validation set once; 0: the split."""
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    """Arithmetic of the products: "float32", "tf32" (10 bits of mantissa instead of 23, on GPUs
    that have it; elsewhere float32), or the whole forward pass in "bfloat16" under autocast.
    Weights and optimizer stay float32."""
    print_freq: CountOrNone = 50
    """Steps between two logged losses of single steps; 0: none is logged."""
    seed: CountOrNone = 0
    """Of every random stream of the trial: initial weights, shuffling, dropout."""

    @model_validator(mode="after")
    def _check_training(self) -> Self:
        if self.learning_rate is None:
            self._resolve("learning_rate", OPTIMIZERS[self.optimizer].learning_rate)
        warmup, ending, parts = self.epochs_warmup, self.epochs_ending, self.accumulation_steps
        refuse(
            {
                f"epochs_warmup and epochs_ending must fit into epochs: got {warmup:g} and "
                f"{ending:g} of {self.epochs}": warmup + ending > self.epochs,
                f"accumulation_steps must divide batch_size: got {parts} and {self.batch_size}": (
                    self.batch_size % parts != 0
                ),
                f"final_batch_size must be a multiple of accumulation_steps: got "
                f"{self.final_batch_size} and {parts}": (
                    self.batch_size_schedule != "constant" and self.final_batch_size % parts != 0
                ),
                f"scheduler_patience must be at least 2 below patience, or the trial ends before a "
                f"step tells: got {self.scheduler_patience} and {self.patience}": (
                    self.schedule == "plateau" and 0 < self.patience < self.scheduler_patience + 2
                ),
                f"freeze_epochs needs pretrained weights: got {self.freeze_epochs} and none": (
                    self.freeze_epochs > 0 and not self.pretrained
                ),
                f"freeze_epochs must be below epochs: got {self.freeze_epochs} of {self.epochs}": (
                    self.freeze_epochs >= self.epochs
                ),
                "nesterov needs a momentum above 0: got 0": self.nesterov and self.momentum == 0,
                f"learning_rate_schedule goes with schedule 'constant' alone: got "
                f"{self.schedule!r}": (
                    bool(self.learning_rate_schedule) and self.schedule != "constant"
                ),
            }
        )
        return self

    @classmethod
    def from_dict(cls, sampled: Mapping[str, object]) -> Self:
        """Build a config from what a search space sampled; absent keys take their defaults.

        Raises:
            ValueError: a key that is no hyperparameter, a value that its field refuses, or two that
                do not go together; in one line, with the value and the rule.
        """
        _refuse_unknown(sampled, [field.name for field in fields(cls)])
        values: dict[str, Any] = dict(sampled)
        try:
            return cls(**values)
        except ValidationError as error:
            raise ValueError(_in_one_line(error)) from None

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
        object.__setattr__(self, name, value)


def refuse(rules: Mapping[str, bool]) -> None:
    """Refuse fields that are right each by itself, but not together.

    Args:
        rules: by its message, whether a rule is broken.

    Raises:
        ValueError: the first broken rule.
    """
    for message, broken in rules.items():
        if broken:
            raise ValueError(message)


def _refuse_unknown(sampled: Mapping[str, object], allowed: list[str]) -> None:
    named = []
    for key in sampled:
        if key not in allowed:
            close = difflib.get_close_matches(str(key), allowed, n=2)
            named.append(f"{key!r} (did you mean {' or '.join(close)}?)" if close else repr(key))
    if named:
        raise ValueError(
            f"unknown hyperparameter {', '.join(named)}; allowed: {', '.join(allowed)}"
        )


def _in_one_line(error: ValidationError) -> str:
    """The first thing that is wrong: `learning_rate must be above 0, got -0.1`."""
    first = error.errors(include_url=False)[0]
    if not first["loc"]:
        return str(first["ctx"]["error"])
    name, *inside = first["loc"]
    place = f"{name}{''.join(f'[{index}]' for index in inside)}"
    rule = re.sub(r"^.*?should ", "", first["msg"])
    if first["type"] == "literal_error":
        rule = "be one of " + first["ctx"]["expected"].replace(" or ", ", ").replace("'", "")
    for theirs, ours in _BOUNDS.items():
        rule = rule.replace(theirs, ours)
    return f"{place} must {rule}, got {first['input']!r}"
