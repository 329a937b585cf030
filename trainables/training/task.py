"""The interface between the training loop and a task."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor, nn

from trainables.training.config import TrainingConfig

C_contra = TypeVar("C_contra", bound=TrainingConfig, contravariant=True)


class Batch(NamedTuple):
    """A batch of samples on the device of the network."""

    inputs: Tensor
    """`[samples, …]`, in the task's own form."""
    targets: Tensor
    """`[samples, …]`."""


class Task(Protocol):
    """One network with its training data, loss and scores.

    All random numbers come from PyTorch's global generators, which the loop seeds for each epoch.
    """

    model: nn.Sequential
    """Network; its last layer is the head, which alone is trained while the body is frozen."""
    device: torch.device

    samples: int
    """Number of training samples in an epoch."""
    smallest_batch: int
    """1, or 2 if a layer needs the deviation over a batch."""
    validation: Batch
    """Validation samples."""
    score_names: tuple[str, ...]
    """Names in the result of `scores`, `loss` first."""

    def batches(self, sizes: Sequence[int]) -> Iterator[Batch]:
        """Yield all samples once, in a newly drawn order and augmentation, in batches of those
        sizes."""

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the objective, the mean over a training batch or a part of one, and the outputs
        `[batch, …]` that `train_scores` needs."""

    def weight(self, targets: Tensor) -> Tensor | int:
        """Return the divisor of the mean of `loss` over these samples."""

    def outputs(self, inputs: Tensor) -> Tensor:
        """Return the outputs of the model in evaluation mode, `[batch, …]`."""

    def train_scores(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Return scores of an epoch of training, such as its accuracy."""

    def scores(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Return scores of held-out samples, with `objective` if the training loss is not the
        reported loss."""


class TaskData(Protocol[C_contra]):
    """Source of the tasks of a trial."""

    def tasks(self, config: C_contra) -> Sequence[Task]:
        """Return one task, or one per fold.

        Raises:
            ValueError: config and data are not compatible.
        """
