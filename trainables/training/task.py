"""The interfaces between the training loop and a task."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainables.data.dataset import Part
from trainables.training.config import TrainingConfig

C_contra = TypeVar("C_contra", bound=TrainingConfig, contravariant=True)


class Batch(NamedTuple):
    """A batch of samples on the device of the network."""

    inputs: Tensor
    """`[samples, …]`, in the task's own form."""
    targets: Tensor
    """`[samples, …]`, as `Prediction.targets` returns them."""


class Prediction(Protocol):
    """Kind of prediction of a network: its loss, its scores, and the meaning of its outputs."""

    width: int
    """Number of outputs of the head."""
    score_names: tuple[str, ...]
    """Names in the result of `scores`, `loss` first."""

    def targets(self, targets: Tensor) -> Tensor:
        """Return the targets that the network learns, `[n]`, of a dataset's targets `[n]`."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the objective, the mean over a training batch or a part of one."""

    def weight(self, targets: Tensor) -> Tensor | int:
        """Return the divisor of the mean of `loss` over these samples."""

    def train_scores(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Return scores of an epoch of training, such as its accuracy."""

    def scores(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Return scores of held-out samples, with `objective` if the training loss is not the
        reported loss."""

    def predicted(self, outputs: Tensor) -> Tensor:
        """Return what the outputs of one network predict, comparable between networks: the
        logarithm of the probability of each class, `[n, classes]`, or numbers, `[n]`."""

    def outputs_of(self, predicted: Tensor) -> Tensor:
        """Return outputs that predict the same: the inverse of `predicted`."""

    def mean(self, predicted: Sequence[Tensor]) -> Tensor:
        """Return the mean of the predictions of several networks: of the probabilities, or of the
        numbers."""


class Task(Protocol):
    """One network with its training data.

    All random numbers come from PyTorch's global generators, which the loop seeds for each epoch.
    """

    model: nn.Sequential
    """Network; its last layer is the head, which alone is trained while the body is frozen."""
    device: torch.device
    prediction: Prediction

    samples: int
    """Number of training samples in an epoch."""
    smallest_batch: int
    """1, or 2 if a layer needs the deviation over a batch."""
    validation: Batch
    """Validation samples."""
    validation_rows: NDArray[np.int64]
    """Index of each validation sample in the data of the search, `[n]`."""
    facts: Mapping[str, float]
    """Numbers about the samples as the network gets them, reported with each epoch, by name."""

    def batches(self, sizes: Sequence[int]) -> Iterator[Batch]:
        """Yield all samples once, in a newly drawn order and augmentation, in batches of those
        sizes."""

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the objective, the mean over a training batch or a part of one, and the outputs
        `[batch, …]` of the model."""

    def outputs(self, inputs: Tensor) -> Tensor:
        """Return the outputs of the model in evaluation mode, `[batch, …]`."""

    def held_out(self, part: Part[Any]) -> Batch:
        """Return other samples, such as the test set, in their order and in the form of the
        validation samples: prepared by what was fitted on the training samples alone."""


class TaskData(Protocol[C_contra]):
    """Source of the tasks of a trial."""

    def check(self, config: C_contra) -> None:
        """Check a config against the data, without preparing more of it than that needs.

        Raises:
            ValueError: config and data are not compatible.
        """

    def tasks(self, config: C_contra) -> Sequence[Task]:
        """Return one task, or one per fold.

        Raises:
            ValueError: config and data are not compatible.
        """
