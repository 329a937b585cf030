"""Hyperparameters of the objective, in addition to those of every training."""

from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Strict, model_validator
from pydantic.dataclasses import dataclass
from typing_extensions import Self

from trainables.training.config import (
    CHECKS,
    NotNegative,
    Positive,
    Share,
    TrainingConfig,
    list_as_tuple,
    refuse,
)

CLASS_LOSSES = ("cross_entropy", "margin", "focal")
NUMBER_LOSSES = ("squared_error", "absolute_error", "huber", "log_loss")

_Scores: TypeAlias = Annotated[
    tuple[Literal["balanced_accuracy", "auroc", "average_precision"], ...],
    BeforeValidator(list_as_tuple),
    Strict(),
]


@dataclass(frozen=True, kw_only=True, config=CHECKS)
class PredictionConfig(TrainingConfig):
    """Configuration of a network that predicts classes or numbers; raises as `TrainingConfig`."""

    loss: Literal[
        "cross_entropy",
        "margin",
        "focal",
        "squared_error",
        "absolute_error",
        "huber",
        "log_loss",
    ] = "cross_entropy"
    """Loss that is minimised: the first three for classes, the others for numbers, "log_loss" for
    numbers from 0 to 1, such as probabilities."""
    focal_gamma: NotNegative = 2.0
    """Exponent that lowers the weight of well classified samples; only for the focal loss."""
    class_weights: Literal["none", "balanced"] = "none"
    """"balanced": each class has the same influence, however few its samples; only for classes."""
    label_smoothing: Share = 0.0
    """Share of the target that is spread over all classes; only for the cross entropy."""
    more_scores: _Scores = ()
    """Scores of classes to compute beside the usual ones, such as the study's metric."""
    huber_delta: Positive = 1.0
    """Error from which the Huber loss is linear, in standard deviations of the targets; only for
    the Huber loss."""

    @model_validator(mode="after")
    def _check_prediction(self) -> Self:
        refuse(
            {
                f"label_smoothing works with the cross entropy alone: got {self.label_smoothing} "
                f"with loss {self.loss!r}, set it to 0": (
                    self.label_smoothing > 0 and self.loss != "cross_entropy"
                ),
                f"class_weights needs a loss of classes: got {self.class_weights!r} with loss "
                f"{self.loss!r}": self.class_weights != "none" and self.loss in NUMBER_LOSSES,
            }
        )
        return self
