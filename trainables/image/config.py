"""Hyperparameters of a network on images, in addition to those of every prediction."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator
from pydantic.dataclasses import dataclass
from typing_extensions import Self

from trainables.prediction.batch_norm import check_batches
from trainables.prediction.config import PredictionConfig
from trainables.training.config import (
    CHECKS,
    Count,
    Number,
    Positive,
    Share,
    Sizes,
)


def _odd(size: int) -> int:
    if size % 2 == 0:
        raise ValueError("should be odd")
    return size


@dataclass(frozen=True, kw_only=True, config=CHECKS)
class ImageConfig(PredictionConfig):
    """Configuration of a network on images; raises as `TrainingConfig`."""

    # The network.
    model: Literal["mlp", "cnn", "resnet", "linear"] = "mlp"
    """Kind of network."""
    hidden_sizes: Sizes = (512, 256)
    """Units of each hidden layer, first to last; only for the MLP."""
    channels: Sizes = (32, 64)
    """Channels of each stage, first to last; only for the CNN and the ResNet."""
    depth: Count = 1
    """Convolutions in a stage of the CNN, or residual blocks in a stage of the ResNet."""
    kernel_size: Annotated[Count, AfterValidator(_odd)] = 3
    """Side of a convolution's window, in pixels, odd; only for the CNN and the ResNet."""
    activation: Literal["relu", "gelu", "silu", "tanh"] = "relu"
    """Non-linearity between layers; not for the linear model."""
    norm: Literal["none", "batch", "layer"] | None = None
    """Normalisation before each non-linearity, "layer" over all channels of an image; by default
    "batch" with convolutions, else "none". `replace` keeps the resolved value of the original
    config."""

    # Regularization.
    dropout: Share = 0.1
    """Share of the units set to zero in training; not for the linear model."""
    augmentation: Literal["none", "shift", "shift_flip", "erasing", "mixup"] = "none"
    """Augmentation of training images, batch by batch; "erasing" includes shift and flip."""

    # Below 0.01 PyTorch's float32 samples concentrate at one half instead of at the ends.
    mixup_alpha: Annotated[Number, Field(ge=0.01)] = 0.2
    """Parameter of the Beta distribution of mixup's share."""
    min_std: Positive = 1e-3
    """Smallest standard deviation by which inputs are divided, in units of the full pixel range
    (0 to 1): limits the noise of a channel that hardly varies."""

    @model_validator(mode="after")
    def _check_image(self) -> Self:
        if self.norm is None:
            self._resolve("norm", "batch" if self.model in ("cnn", "resnet") else "none")
        check_batches(self, self.norm)
        return self
