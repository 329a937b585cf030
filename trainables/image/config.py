"""The hyperparameters of an image classifier, beside those of every training."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator
from pydantic.dataclasses import dataclass
from typing_extensions import Self

from trainables.training.config import (
    CHECKS,
    Count,
    NotNegative,
    Number,
    Positive,
    Share,
    Sizes,
    TrainingConfig,
    refuse,
)


def _odd(size: int) -> int:
    if size % 2 == 0:
        raise ValueError("should be odd")
    return size


@dataclass(frozen=True, kw_only=True, config=CHECKS)
class ImageConfig(TrainingConfig):
    """What an image classifier is trained with; raises as `TrainingConfig`."""

    # The network.
    model: Literal["mlp", "cnn", "resnet", "linear"] = "mlp"
    """Network."""
    hidden_sizes: Sizes = (512, 256)
    """Units of each hidden layer, first to last; only under the MLP."""
    channels: Sizes = (32, 64)
    """Channels of each stage, first to last; only under the CNN and the ResNet."""
    depth: Count = 1
    """Convolutions of a stage of the CNN, residual blocks of one of the ResNet."""
    kernel_size: Annotated[Count, AfterValidator(_odd)] = 3
    """Side of a convolution's window, in pixels, odd; only under the CNN and the ResNet."""
    activation: Literal["relu", "gelu", "silu", "tanh"] = "relu"
    """Non-linearity between layers; not if linear."""
    norm: Literal["none", "batch", "layer"] | None = None
    """Normalisation before each non-linearity, "layer" over the channels of an image too; where
    nothing is said "batch" with convolutions, else "none". A config that is made from another by
    `replace` keeps what that one came to."""

    # What is minimised.
    loss: Literal["cross_entropy", "margin", "focal"] = "cross_entropy"
    """What is minimised."""
    focal_gamma: NotNegative = 2.0
    """How much less a sample counts that is told right already; only under focal."""
    class_weights: Literal["none", "balanced"] = "none"
    """"balanced": each class has the same say, however few its samples."""

    # Regularization.
    dropout: Share = 0.1
    """Share of the units set to zero in training; not if linear."""
    label_smoothing: Share = 0.0
    """Share of the target that is spread over all classes; only under the cross entropy."""
    augmentation: Literal["none", "shift", "shift_flip", "erasing", "mixup"] = "none"
    """Of training images, batch by batch; "erasing" after shift and flip."""

    # Below 0.01 PyTorch's samples, in float32, gather at one half instead of at the ends.
    mixup_alpha: Annotated[Number, Field(ge=0.01)] = 0.2
    """Of the Beta distribution that mixup draws its share from."""
    min_std: Positive = 1e-3
    """Floor of the standard deviation that inputs are divided by, in units of the full pixel range
    (0 to 1): a channel that hardly varies is not blown up to noise."""

    @model_validator(mode="after")
    def _check_image(self) -> Self:
        if self.norm is None:
            self._resolve("norm", "batch" if self.model in ("cnn", "resnet") else "none")
        parts = self.accumulation_steps
        smallest = min(self.batch_size, self.batch_size_in(self.epochs)) // parts
        refuse(
            {
                f"label_smoothing is of the cross entropy alone: got {self.label_smoothing} under "
                f"loss {self.loss!r}, set it to 0": (
                    self.label_smoothing > 0 and self.loss != "cross_entropy"
                ),
                f"norm 'batch' needs 2 samples in a part of a batch: got batch_size "
                f"{self.batch_size} in {parts} accumulation_steps": (
                    self.norm == "batch" and smallest < 2
                ),
            }
        )
        return self
