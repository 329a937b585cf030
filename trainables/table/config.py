"""Hyperparameters of a network on a table, in addition to those of every prediction."""

from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass
from typing_extensions import Self

from trainables.prediction.batch_norm import check_batches
from trainables.prediction.config import PredictionConfig
from trainables.training.config import (
    CHECKS,
    Count,
    NotNegative,
    Number,
    Positive,
    Share,
    Sizes,
)


@dataclass(frozen=True, kw_only=True, config=CHECKS)
class TableConfig(PredictionConfig):
    """Configuration of a network on a table; raises as `TrainingConfig`."""

    # The network.
    model: Literal["mlp", "resnet", "linear"] = "mlp"
    """Kind of network."""
    hidden_sizes: Sizes = (512, 256)
    """Units of each hidden layer, first to last; only for the MLP."""
    width: Count = 192
    """Units between two blocks; only for the ResNet."""
    blocks: Count = 2
    """Residual blocks; only for the ResNet."""
    width_factor: Positive = 2.0
    """Units inside a block, as a multiple of `width`; only for the ResNet."""
    activation: Literal["relu", "gelu", "silu", "tanh"] = "relu"
    """Non-linearity between layers; not for the linear model."""
    norm: Literal["none", "batch", "layer"] | None = None
    """Normalisation before each non-linearity of the MLP, and of each block of the ResNet; by
    default "batch" for the ResNet, else "none"."""
    dropout: Share = 0.1
    """Share of the hidden units set to zero in training; not for the linear model."""

    # The data.
    imputation: Literal["mean", "median", "most_frequent", "flag"] = "mean"
    """Value of a missing number: that of its column over the training rows, or the mean with a
    second column that is 1 where it is missing ("flag"). A missing category is one of its own, or
    the most frequent one."""
    min_std: Positive = 1e-9
    """Smallest standard deviation by which a column is divided, in its unit."""
    feature_selection: Literal["none", "variance", "mutual_information", "gate"] = "none"
    """How features are chosen: the `feature_share` with the highest variance or mutual information
    with the target, or by a gate of each feature that is learned."""
    feature_share: Annotated[Number, Field(gt=0, le=1)] = 0.5
    """Share of the features that is kept; only for variance and mutual information."""
    gate_penalty: NotNegative = 0.01
    """Weight of the expected share of open gates in the loss that is minimised; only for gates."""

    @model_validator(mode="after")
    def _check_table(self) -> Self:
        if self.norm is None:
            self._resolve("norm", "batch" if self.model == "resnet" else "none")
        check_batches(self, self.norm)
        return self
