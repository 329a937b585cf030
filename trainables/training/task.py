"""What the training loop needs of a task."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor, nn

from trainables.training.config import TrainingConfig

C_contra = TypeVar("C_contra", bound=TrainingConfig, contravariant=True)


class Batch(NamedTuple):
    """Samples, on the device of the network."""

    inputs: Tensor
    """`[samples, …]`, as the task keeps them."""
    targets: Tensor
    """`[samples, …]`."""


class Task(Protocol):
    """One network, what it is trained on and how well it does.

    All random numbers come from PyTorch's global generators, which the loop seeds for each epoch.
    """

    model: nn.Sequential
    """Its last layer is the head, which alone is trained while the body is frozen."""
    device: torch.device

    samples: int
    """To train on, in an epoch."""
    smallest_batch: int
    """1, or 2 where a layer needs the deviation over a batch."""
    validation: Batch
    """The samples that are held out."""
    score_names: tuple[str, ...]
    """What `scores` has, `loss` first."""

    def batches(self, sizes: Sequence[int]) -> Iterator[Batch]:
        """All samples once, in an order and changed as drawn anew, in batches of those sizes."""

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """What is minimised, the mean over a training batch or a part of one, and the outputs
        `[batch, …]` that `train_scores` needs."""

    def weight(self, targets: Tensor) -> Tensor | int:
        """What the mean of `loss` over these samples is divided by."""

    def outputs(self, inputs: Tensor) -> Tensor:
        """Of the model in evaluation mode, `[batch, …]`."""

    def train_scores(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Of an epoch of training, such as its accuracy."""

    def scores(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Of samples that were not trained on; `objective` is what is minimised, where that is not
        the loss that is reported."""


class TaskData(Protocol[C_contra]):
    """Where the tasks of a trial come from."""

    def tasks(self, config: C_contra) -> Sequence[Task]:
        """One, or one a fold.

        Raises:
            ValueError: config and data do not go together.
        """
