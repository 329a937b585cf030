"""What the outputs of networks mean: probabilities of classes, or numbers in their unit."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def log_probabilities(logits: Tensor) -> Tensor:
    """Return the logarithm of the probability of each class, `[n, classes]`, of logits."""
    return logits.log_softmax(dim=1)


def mean_probabilities(each: Sequence[Tensor]) -> Tensor:
    """Return the logarithm of the mean of the probabilities of several networks, of their
    logarithms, each `[n, classes]`."""
    return torch.stack(tuple(each)).logsumexp(dim=0) - math.log(len(each))


def numbers_of(outputs: Tensor, loss: str, centre: float, scale: float) -> Tensor:
    """Return numbers in the targets' unit, float64 `[n]`.

    Args:
        outputs: of one network, `[n, 1]`.
        loss: loss that it was trained with; with "log_loss" the outputs are logits of numbers from
            0 to 1.
        centre: mean of the targets that it was trained on.
        scale: their standard deviation.
    """
    numbers = outputs.squeeze(1).double()
    return numbers.sigmoid() if loss == "log_loss" else in_unit(numbers, centre, scale)


def in_unit(standardised: Tensor, centre: float, scale: float) -> Tensor:
    """Return standardised numbers in their unit, float64."""
    return standardised.double() * scale + centre


def spread_of(numbers: Tensor) -> tuple[float, float]:
    """Return mean and standard deviation by which training targets `[n]` are standardised; a
    constant target has no unit, and the deviation 1."""
    return float(numbers.mean()), float(numbers.std(correction=0)) or 1.0
