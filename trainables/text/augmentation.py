"""Augmentation of training texts, of many at once, with the random streams of the epoch."""

from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.text.tokens import PADDING


@dataclass(frozen=True, eq=False)
class Replacements:
    """Replacements of each token, or of each text: rows of `content`."""

    begins: Tensor
    """First row of each, int64 `[n]`."""
    counts: Tensor
    """Number of rows of each, int64 `[n]`; 0 where there is none."""
    content: Tensor
    """Ids of tokens, int32 `[rows]`, or of texts, int32 `[rows, length]`."""

    def to(self, device: torch.device) -> "Replacements":
        """Copy it to a device."""
        return Replacements(*(t.to(device) for t in (self.begins, self.counts, self.content)))

    def drawn(self, indices: Tensor, share: float) -> tuple[Tensor, Tensor]:
        """Choose a share of those that have a replacement.

        Args:
            indices: of tokens or texts, any shape.
            share: probability of each.

        Returns:
            Whether each is replaced, bool in the shape of `indices`, and the row of `content` that
            replaces it, where it is.
        """
        counts = self.counts[indices]
        drawn = torch.rand(2, *indices.shape, device=indices.device)
        row = self.begins[indices] + (drawn[0] * counts).long()
        return (drawn[1] < share) & (counts > 0), row.clamp(max=max(0, len(self.content) - 1))


def with_synonyms(ids: Tensor, share: float, synonyms: Replacements) -> Tensor:
    """Replace a share of the tokens by one of their synonyms, where they have some (Wei and Zou
    2019, *EDA: Easy Data Augmentation Techniques*, section 2, "synonym replacement").

    Args:
        ids: int32 `[batch, tokens]`.
        share: probability that a token with synonyms is replaced.
        synonyms: those of each id.
    """
    if not len(synonyms.content):
        return ids
    chosen, row = synonyms.drawn(ids, share)
    return torch.where(chosen, synonyms.content[row], ids)


def swapped(ids: Tensor, share: float) -> Tensor:
    """Let a share of the tokens of each text change places with each other (Wei and Zou 2019,
    "random swap"); padding stays."""
    chosen = (torch.rand(ids.shape, device=ids.device) < share) & (ids != PADDING)
    # Chosen places come first, once in their order and once in a random one; the others follow in
    # their order both times.
    places = (~chosen).to(torch.float32).sort(dim=1, stable=True).indices
    keys = torch.where(chosen, torch.rand(ids.shape, device=ids.device), 2.0)
    return torch.empty_like(ids).scatter_(
        1, places, ids.gather(1, keys.sort(dim=1, stable=True).indices)
    )


def with_deletions(ids: Tensor, share: float) -> Tensor:
    """Leave a share of the tokens of each text out, but at least one in (Wei and Zou 2019, "random
    deletion"); the end is filled up with padding."""
    drawn = torch.rand(ids.shape, device=ids.device).masked_fill_(ids == PADDING, -1)
    # The largest number stays, be it below the share.
    kept = ((drawn >= share) | (drawn == drawn.amax(dim=1, keepdim=True))) & (ids != PADDING)
    order = (~kept).to(torch.uint8).sort(dim=1, stable=True).indices
    lengths = kept.sum(dim=1)
    beyond = torch.arange(ids.shape[1], device=ids.device) >= lengths.unsqueeze(1)
    return ids.gather(1, order).masked_fill_(beyond, PADDING)
