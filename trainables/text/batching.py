"""Batches of texts of like length, so that few cells of a batch are padding."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trainables.text.tokens import PADDING

TOGETHER = 50
"""Number of batches whose texts are sorted by length before they are cut, so that a batch has texts
of like length, and still others in each epoch."""

EVALUATED_TOGETHER = 128
"""Number of texts of like length in a forward pass without gradients."""


def by_length(lengths: Tensor, sizes: Sequence[int]) -> list[Tensor]:
    """Cut texts into batches of like length, in a random order.

    Args:
        lengths: number of tokens of each text, int64 `[n]`.
        sizes: number of texts of each batch; their sum is n.

    Returns:
        For each size, in the given order, the indices of its texts, shortest first, int64 `[size]`.
    """
    turns = torch.randperm(len(sizes)).tolist()
    cut = lengths.argsort(stable=True).split([sizes[turn] for turn in turns])
    found = dict(zip(turns, cut, strict=True))
    return [found[turn] for turn in range(len(sizes))]


def padding_share(lengths: Tensor, batches: Sequence[Tensor]) -> float:
    """Return the share of padding in batches that are filled up to their longest text."""
    cells = sum(int(lengths[rows].max()) * len(rows) for rows in batches)
    return 1 - sum(int(lengths[rows].sum()) for rows in batches) / cells


def in_order(model: nn.Module, ids: Tensor) -> Tensor:
    """Return the outputs of a network for texts, in their order, computed in batches of like
    length.

    Args:
        model: network in evaluation mode.
        ids: integers `[n, length]`, filled up with `PADDING`.
    """
    lengths = (ids != PADDING).sum(dim=1)
    order = lengths.argsort(stable=True)
    found = [model(ids[rows, : int(lengths[rows[-1]])]) for rows in order.split(EVALUATED_TOGETHER)]
    return torch.cat(found)[order.argsort()]
