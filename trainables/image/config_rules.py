"""What each field of a `Config` may be, and which do not go together."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from trainables.image.config import Config

NAMES: dict[str, tuple[str, ...]] = {
    "model": ("mlp", "cnn", "resnet", "linear"),
    "activation": ("relu", "gelu", "silu", "tanh"),
    "norm": ("none", "batch", "layer"),
    "optimizer": ("sgd", "adam", "adamw", "adagrad", "rmsprop"),
    "lr_scaling": ("none", "linear", "sqrt", "inverse"),
    "batch_size_schedule": ("constant", "linear"),
    "schedule": ("constant", "step", "exponential", "cosine", "linear", "plateau"),
    "loss": ("cross_entropy", "margin", "focal"),
    "class_weights": ("none", "balanced"),
    "augmentation": ("none", "shift", "shift_flip", "erasing", "mixup"),
    "precision": ("float32", "tf32", "bfloat16"),
}
"""Fields that are one of a list."""

Rule: TypeAlias = tuple[str, Callable[[Any], bool]]
_ABOVE_0: Rule = ("above 0", lambda x: x > 0)
_AT_LEAST_0: Rule = ("at least 0", lambda x: x >= 0)
_AT_LEAST_1: Rule = ("at least 1", lambda x: x >= 1)
_SHARE: Rule = ("at least 0 and below 1", lambda x: 0 <= x < 1)
_BETWEEN: Rule = ("above 0 and below 1", lambda x: 0 < x < 1)

NUMBERS: dict[str, Rule] = {
    "learning_rate": _ABOVE_0,
    "momentum": _SHARE,
    "beta1": _SHARE,
    "beta2": _SHARE,
    "alpha": _SHARE,
    "epsilon": _ABOVE_0,
    "grad_clip_norm": _AT_LEAST_0,
    "gamma": ("above 0 and at most 1", lambda x: 0 < x <= 1),
    "scheduler_factor": _BETWEEN,
    "epochs_warmup": _AT_LEAST_0,
    "epochs_ending": _AT_LEAST_0,
    "final_lr_fraction": ("at least 0 and at most 1", lambda x: 0 <= x <= 1),
    "focal_gamma": _AT_LEAST_0,
    "weight_decay": _AT_LEAST_0,
    "dropout": _SHARE,
    "label_smoothing": _SHARE,
    # Below it PyTorch's samples, in float32, gather at one half instead of at the ends.
    "mixup_alpha": ("at least 0.01", lambda x: x >= 0.01),
    "min_delta": _AT_LEAST_0,
    "ema_decay": _SHARE,
    "train_ratio": _BETWEEN,
    "min_std": _ABOVE_0,
}
"""Fields that are a finite number."""

COUNTS: dict[str, Rule] = {
    "depth": _AT_LEAST_1,
    "kernel_size": ("odd and at least 1", lambda n: n >= 1 and n % 2 == 1),
    "freeze_epochs": _AT_LEAST_0,
    "base_batch_size": _AT_LEAST_1,
    "batch_size": _AT_LEAST_1,
    "final_batch_size": _AT_LEAST_1,
    "accumulation_steps": _AT_LEAST_1,
    "epochs": _AT_LEAST_1,
    "step_size": _AT_LEAST_1,
    "cycles": _AT_LEAST_1,
    "scheduler_patience": _AT_LEAST_1,
    "patience": _AT_LEAST_0,
    "folds": ("at least 2, or 0 for the one split", lambda n: n == 0 or n >= 2),
    "print_freq": _AT_LEAST_0,
    "seed": _AT_LEAST_0,
}
"""Fields that are a whole number."""


def check_together(config: Config) -> None:
    """Refuses fields that are right each by itself, but not together.

    Raises:
        ValueError: states both values and the rule.
    """
    warmup, ending = config.epochs_warmup, config.epochs_ending
    smoothing, parts = config.label_smoothing, config.accumulation_steps
    frozen = config.freeze_epochs
    smallest = min(config.batch_size, config.batch_size_in(config.epochs)) // parts
    broken = {
        f"label_smoothing is of the cross entropy alone: got {smoothing} under loss "
        f"{config.loss!r}, set it to 0": smoothing > 0 and config.loss != "cross_entropy",
        f"epochs_warmup and epochs_ending must fit into epochs: got {warmup:g} and {ending:g} of "
        f"{config.epochs}": warmup + ending > config.epochs,
        f"accumulation_steps must divide batch_size: got {parts} and {config.batch_size}": (
            config.batch_size % parts != 0
        ),
        f"final_batch_size must be a multiple of accumulation_steps: got "
        f"{config.final_batch_size} and {parts}": (
            config.batch_size_schedule != "constant" and config.final_batch_size % parts != 0
        ),
        f"norm 'batch' needs 2 samples in a part of a batch: got batch_size {config.batch_size} "
        f"in {parts} accumulation_steps": config.norm == "batch" and smallest < 2,
        f"scheduler_patience must be at least 2 below patience, or the trial ends before a step "
        f"tells: got {config.scheduler_patience} and {config.patience}": (
            config.schedule == "plateau" and 0 < config.patience < config.scheduler_patience + 2
        ),
        f"freeze_epochs needs pretrained weights: got {frozen} and none": (
            frozen > 0 and not config.pretrained
        ),
        f"freeze_epochs must be below epochs: got {frozen} of {config.epochs}": (
            frozen >= config.epochs
        ),
        "nesterov needs a momentum above 0: got 0": config.nesterov and config.momentum == 0,
        f"learning_rate_schedule goes with schedule 'constant' alone: got {config.schedule!r}": (
            bool(config.learning_rate_schedule) and config.schedule != "constant"
        ),
    }
    for said, is_broken in broken.items():
        if is_broken:
            raise ValueError(said)
