"""Hyperparameters of every training: one field each, validated on construction."""

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
    # Searchers return NumPy numbers.
    return value.item() if isinstance(value, np.generic) else value


def list_as_tuple(value: object) -> object:
    """Return a list, as JSON has it, as a tuple, and any other value unchanged."""
    # From any other iterable, such as a range of 10**12, pydantic would build a tuple.
    return tuple(value) if isinstance(value, list) else value


def _ascending(rates: tuple[tuple[int, float], ...]) -> tuple[tuple[int, float], ...]:
    if any(a[0] >= b[0] for a, b in pairwise(rates)):
        raise ValueError("should be ascending in its epochs, such as [[1, 0.1], [5, 0.01]]")
    return rates


def _rising(numbers: tuple[float, ...]) -> tuple[float, ...]:
    if any(a >= b for a, b in pairwise(numbers)):
        raise ValueError("should be ascending, such as [14, 20]")
    return numbers


def _no_single_fold(folds: int) -> int:
    if folds == 1:
        raise ValueError("should be at least 2, or 0 for the single split")
    return folds


def _optimizer(name: object) -> str:
    if not isinstance(name, str) or name not in OPTIMIZERS:
        raise ValueError(f"should be one of {', '.join(OPTIMIZERS)}")
    return name


Number: TypeAlias = Annotated[float, BeforeValidator(_plain), Strict()]
# Larger numbers would not fit into an int64 tensor.
Integer: TypeAlias = Annotated[int, BeforeValidator(_plain), Strict(), Field(lt=2**63)]
Flag: TypeAlias = Annotated[bool, BeforeValidator(_plain), Strict()]
Positive: TypeAlias = Annotated[Number, Field(gt=0)]
NotNegative: TypeAlias = Annotated[Number, Field(ge=0)]
Share: TypeAlias = Annotated[Number, Field(ge=0, lt=1)]
Between: TypeAlias = Annotated[Number, Field(gt=0, lt=1)]
Count: TypeAlias = Annotated[Integer, Field(ge=1)]
CountOrNone: TypeAlias = Annotated[Integer, Field(ge=0)]
Sizes: TypeAlias = Annotated[
    tuple[Count, ...], BeforeValidator(list_as_tuple), Strict(), Field(min_length=1)
]
_Rate: TypeAlias = Annotated[tuple[Count, Positive], BeforeValidator(list_as_tuple), Strict()]
_Rates: TypeAlias = Annotated[
    tuple[_Rate, ...], BeforeValidator(list_as_tuple), Strict(), AfterValidator(_ascending)
]
_Milestones: TypeAlias = Annotated[
    tuple[Positive, ...], BeforeValidator(list_as_tuple), Strict(), AfterValidator(_rising)
]

Schedule: TypeAlias = Literal[
    "constant",
    "step",
    "milestones",
    "exponential",
    "cosine",
    "restarts",
    "periodic",
    "linear",
    "plateau",
]

_BOUNDS = {
    "greater than or equal to": "at least",
    "greater than": "above",
    "less than or equal to": "at most",
    "less than": "below",
}


@dataclass(frozen=True, kw_only=True, config=CHECKS)
class TrainingConfig:
    """Configuration of any training; a task adds its own hyperparameters as fields of a subclass.

    Raises:
        pydantic.ValidationError: a value has the wrong type or is out of range, two values are not
            compatible, or a field is unknown. `from_dict` reports it in one line.
    """

    # Initial weights.
    pretrained: Annotated[str, Strict()] = ""
    """Path of the initial weights: a `state.pt` or checkpoint folder of ours, or a state dict; the
    head is used if its number of classes fits. Empty: random weights."""
    freeze_epochs: CountOrNone = 0
    """Number of first epochs in which only the head is trained, with dropout, while the norms of
    the body keep their statistics; only with `pretrained`."""

    # Optimization.
    optimizer: Annotated[str, PlainValidator(_optimizer)] = "sgd"
    """Update rule: one of `OPTIMIZERS`."""
    learning_rate: Positive | None = None
    """Step size of the optimizer; by default 0.001 for Adam, AdamW and RMSprop, 0.01 for others."""
    learning_rate_schedule: _Rates = ()
    """Pairs of an epoch (from 1, ascending) and the learning rate from then on; before the first
    pair it is `learning_rate`. Only with the schedule "constant"."""
    lr_scaling: Literal["none", "linear", "sqrt", "inverse"] = "none"
    """Factor of the learning rate, with b the batch size over `base_batch_size`: "none" 1, "linear"
    b, "sqrt" the root of b, "inverse" 1 / b."""
    base_batch_size: Count = 128
    """Batch size that `learning_rate` and `epochs` refer to; only with a scaling."""
    momentum: Share = 0.9
    """Share of the last update that is kept; only for SGD."""
    nesterov: Flag = False
    """Whether the gradient is computed ahead, after the momentum step; only for SGD."""
    beta1: Share = 0.9
    """Share of the last mean gradient that is kept; only for Adam and AdamW."""
    beta2: Share = 0.999
    """Share of the last mean squared gradient that is kept; only for Adam and AdamW."""
    alpha: Share = 0.99
    """Share of the last mean squared gradient that is kept; only for RMSprop."""
    epsilon: Positive = 1e-8
    """Term added to the root that divides a gradient; not for SGD."""
    batch_size: Count = 128
    """Samples in one update; the last batch of an epoch may be smaller."""
    batch_size_schedule: Literal["constant", "linear"] = "constant"
    """"linear": from `batch_size` in the first epoch to `final_batch_size` in the last."""
    final_batch_size: Count = 512
    """Samples in an update of the last epoch, a multiple of `accumulation_steps`; only with a batch
    size schedule."""
    accumulation_steps: Count = 1
    """Number of parts in which a batch passes through the network, for one update; divides
    `batch_size`."""
    grad_clip_norm: NotNegative = 0.0
    """Largest norm of the gradient (2-norm over all parameters); larger ones are scaled down to it.
    0 disables clipping."""
    epochs: Count = 27
    """Passes over the training data, without `epochs_scaling`."""
    epochs_scaling: Literal["none", "equal_updates", "sqrt"] = "none"
    """Factor of the passes, with b the batch size over `base_batch_size`: "none" 1, "equal_updates"
    b, so that every batch size makes as many updates, "sqrt" the root of b. The course of the
    learning rate stretches with the run, and `epoch` in its metrics still ends at `epochs`."""
    schedule: Schedule = "constant"
    """Course of the learning rate between warm-up and ending."""
    step_size: Count = 9
    """Epochs between two steps of the schedule "step"."""
    milestones: _Milestones = ()
    """Epochs or updates of the run, ascending, after which the schedule "milestones" takes a step;
    empty: a half and three quarters of `epochs`."""
    milestone_unit: Literal["epochs", "updates"] = "epochs"
    """Unit of `milestones`."""
    gamma: Annotated[Number, Field(gt=0, le=1)] = 0.9
    """Factor of a step, or of an epoch of the schedule "exponential"."""
    cycles: Count = 1
    """Number of falls of the schedule "cosine"; between two of them it jumps back to the top."""
    fall_epochs: NotNegative = 0.0
    """Epochs of the first fall of the schedule "restarts", and of each fall and each rise of
    "periodic"; fractions are steps. 0: a third of `epochs`."""
    cycle_growth: Count = 2
    """Length of a fall of "restarts" over the length of the fall before."""
    linear_epochs: NotNegative = 0.0
    """Epochs in which the schedule "linear" falls, after which it is constant; fractions are steps.
    0: all of them."""
    scheduler_patience: Count = 3
    """Epochs without a better `patience_metric` before the schedule "plateau" takes a step."""
    scheduler_factor: Between = 10**-0.5
    """Factor of a step of "plateau"."""
    epochs_warmup: NotNegative = 0.0
    """Epochs in which the learning rate rises linearly from near 0; fractions are steps."""
    epochs_ending: NotNegative = 0.0
    """Last epochs, in which it falls linearly to `final_lr_fraction`; fractions are steps."""
    final_lr_fraction: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Final share of the learning rate after ending, "linear", "cosine", "restarts" and
    "periodic"."""

    # Regularization.
    weight_decay: NotNegative = 0.0
    """Decay of the weight matrices: decoupled (subtracted from the weights) for AdamW, else added
    to the gradient as L2; biases and norms never decay."""
    patience: CountOrNone = 6
    """Epochs without a `patience_metric` better by `min_delta` before a trial ends, with the
    schedule "plateau" at least 2 more than `scheduler_patience`, so that a step may have an effect;
    0: never."""
    patience_metric: Annotated[str, Strict(), Field(min_length=1)] = "loss"
    """Validation score that `patience` and the schedule "plateau" watch: one of the task's, such as
    "f1", or "objective", the loss that is minimised."""
    min_delta: NotNegative = 0.0
    """Change of `patience_metric` that counts as an improvement, in its unit."""
    ema_decay: Share = 0.0
    """Share of the moving average of the weights that each update keeps; the average is validated
    and saved. 0: the weights themselves."""

    # Data and reporting.
    train_ratio: Between = 0.8
    """Share of training and validation data together to train on; at most the share of the
    dataset's split."""
    folds: Annotated[CountOrNone, AfterValidator(_no_single_fold)] = 0
    """Folds of a cross-validation, at least 2, each the validation set once; 0: a single split."""
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    """Number format of matrix products: "float32", "tf32" (10 bits of mantissa instead of 23, on
    GPUs that support it; elsewhere float32), or the whole forward pass in "bfloat16" under
    autocast. Weights and optimizer stay float32."""
    print_freq: CountOrNone = 50
    """Steps between two that are logged with loss, scores, learning rate and throughput; 0 logs
    none."""
    seed: CountOrNone = 0
    """Seed of all random streams of the trial: initial weights, shuffling, dropout."""
    split_seed: CountOrNone | None = None
    """Seed by which the trial splits training and validation data together anew, into parts of the
    same size; None: the split of the dataset, which all trials of a study share."""

    @model_validator(mode="after")
    def _check_training(self) -> Self:
        if self.learning_rate is None:
            self._resolve("learning_rate", OPTIMIZERS[self.optimizer].learning_rate)
        warmup, ending, parts = self.epochs_warmup, self.epochs_ending, self.accumulation_steps
        self._check_schedule()
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
                f"freeze_epochs needs pretrained weights: got {self.freeze_epochs} and none": (
                    self.freeze_epochs > 0 and not self.pretrained
                ),
                f"freeze_epochs must be below the passes over the data: got {self.freeze_epochs} "
                f"of {self.passes}": self.freeze_epochs >= self.passes,
                "nesterov needs a momentum above 0: got 0": self.nesterov and self.momentum == 0,
                f"learning_rate_schedule needs schedule 'constant': got {self.schedule!r}": (
                    bool(self.learning_rate_schedule) and self.schedule != "constant"
                ),
                f"epochs_scaling needs a constant batch size and no learning_rate_schedule, whose "
                f"epochs it would move: got {self.epochs_scaling!r}": (
                    self.epochs_scaling != "none"
                    and (self.batch_size_schedule, self.learning_rate_schedule) != ("constant", ())
                ),
            }
        )
        return self

    def _check_schedule(self) -> None:
        warmup, last = self.epochs_warmup, (0, *self.milestones)[-1]
        by_updates = self.schedule == "milestones" and self.milestone_unit == "updates"
        refuse(
            {
                f"milestones must be below epochs: got {last:g} of {self.epochs}": (
                    (self.schedule, self.milestone_unit) == ("milestones", "epochs")
                    and last >= self.epochs
                ),
                f"milestones in updates must be whole numbers: got {list(self.milestones)}": (
                    by_updates and any(number % 1 for number in self.milestones)
                ),
                f"milestones in updates need a constant batch size: got batch_size_schedule "
                f"{self.batch_size_schedule!r}; give them in epochs": (
                    by_updates and self.batch_size_schedule != "constant"
                ),
                f"fall_epochs must be at most epochs: got {self.fall_epochs:g} of {self.epochs}": (
                    self.schedule in ("restarts", "periodic") and self.fall_epochs > self.epochs
                ),
                f"epochs_warmup and linear_epochs must fit into epochs: got {warmup:g} and "
                f"{self.linear_epochs:g} of {self.epochs}": (
                    self.schedule == "linear"
                    and self.linear_epochs > 0
                    and warmup + self.linear_epochs > self.epochs
                ),
            }
        )

    @classmethod
    def from_dict(cls, sampled: Mapping[str, object]) -> Self:
        """Build a config from a sampled configuration; missing keys take their defaults.

        Raises:
            ValueError: a key is unknown, a value is invalid, or two values are not compatible; the
                message is one line with the value and the rule.
        """
        _refuse_unknown(sampled, [field.name for field in fields(cls)])
        values: dict[str, Any] = dict(sampled)
        try:
            return cls(**values)
        except ValidationError as error:
            raise ValueError(_in_one_line(error)) from None

    @property
    def passes(self) -> int:
        """Passes over the training data: `epochs`, coupled with the batch size, at least 1."""
        ratio = self.batch_size / self.base_batch_size
        scales = {"none": 1.0, "equal_updates": ratio, "sqrt": math.sqrt(ratio)}
        return max(1, round(self.epochs * scales[self.epochs_scaling]))

    def epoch_after(self, passes: int) -> float | int:
        """Return the share of the run after so many passes, in `epochs`: what trials of other batch
        sizes can be compared by."""
        if self.passes == self.epochs:
            return passes
        return round(passes * self.epochs / self.passes, 6)

    @property
    def longest_wait(self) -> int:
        """Epochs without an improvement after which a trial ends; 0: it never does."""
        if self.patience and self.schedule == "plateau":
            return max(self.patience, self.scheduler_patience + 2)
        return self.patience

    def learning_rate_in(self, epoch: int) -> float:
        """Return the base of all schedules in `epoch`, from 1: scaled by the batch size."""
        assert self.learning_rate is not None
        begun = [rate for first, rate in self.learning_rate_schedule if first <= epoch]
        ratio = self.batch_size_in(epoch) / self.base_batch_size
        scales = {"none": 1.0, "linear": ratio, "sqrt": math.sqrt(ratio), "inverse": 1 / ratio}
        return (begun[-1] if begun else self.learning_rate) * scales[self.lr_scaling]

    def batch_size_in(self, epoch: int) -> int:
        """Return the samples in an update of `epoch`, from 1; a multiple of the accumulation
        steps."""
        if self.batch_size_schedule == "constant" or self.epochs == 1:
            return self.batch_size
        share = (epoch - 1) / (self.epochs - 1)
        size = self.batch_size + share * (self.final_batch_size - self.batch_size)
        return max(1, round(size / self.accumulation_steps)) * self.accumulation_steps

    def _resolve(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)


def refuse(rules: Mapping[str, bool]) -> None:
    """Raise a ValueError for fields that are valid separately, but not together.

    Args:
        rules: for each message, whether its rule is broken.

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
    """Return the first error as one line: `learning_rate must be above 0, got -0.1`."""
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
