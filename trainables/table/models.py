"""Networks on tables: an MLP, a residual network and a linear baseline, on features that may be
selected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from trainables.table.preparation import SPECIAL, UNKNOWN
from trainables.training.layers import ACTIVATION_LAYERS, Dropout

if TYPE_CHECKING:
    from trainables.table.config import TableConfig

GATE_STD = 0.5
"""Standard deviation of the noise of a gate in training (Yamada et al. 2020, section 4.1)."""

GATE_START = 0.5
"""First position of a gate, half open (the same)."""


def build_model(
    config: TableConfig, levels: Sequence[int], mask: Tensor, width: int
) -> nn.Sequential:
    """Build the network that `config.model` names.

    Args:
        config: configuration with the hyperparameters of the network.
        levels: number of categories of each column of them.
        mask: 1 for each feature that the network sees, else 0, float32 `[features]`; the columns of
            categories are the last ones.
        width: number of outputs.

    Returns:
        A module from float32 `[batch, features]`, as `Preparation.prepared` returns them, to
        `[batch, width]`, whose first layer is a `Features` and whose last one is the head.
    """
    features = Features(levels, mask, gated=config.feature_selection == "gate")
    layers: list[nn.Module] = [features]
    inputs = features.width
    if config.model == "resnet":
        layers.append(nn.Linear(inputs, config.width))
        layers += [Residual(config) for _ in range(config.blocks)]
        layers += [*_norm(config, config.width), ACTIVATION_LAYERS[config.activation]()]
        inputs = config.width
    for size in config.hidden_sizes if config.model == "mlp" else ():
        layers += [nn.Linear(inputs, size), *_norm(config, size)]
        layers += [ACTIVATION_LAYERS[config.activation](), Dropout(config.dropout)]
        inputs = size
    return nn.Sequential(*layers, nn.Linear(inputs, width))


class Features(nn.Module):
    """Numbers as they are, and categories as embeddings; each feature can be closed by a mask, or
    by a stochastic gate that is learned (Yamada et al. 2020, *Feature Selection using Stochastic
    Gates*).

    Args:
        levels: number of categories of each column of them.
        mask: 1 for each feature that is open, else 0, float32 `[features]`.
        gated: whether the open features have gates.
    """

    mask: Tensor

    def __init__(self, levels: Sequence[int], mask: Tensor, *, gated: bool) -> None:
        super().__init__()
        self.numbers = len(mask) - len(levels)
        """Number of features that are numbers, the first ones."""
        sizes = [embedding_size(count) for count in levels]
        self.width = self.numbers + sum(sizes)
        """Number of outputs."""
        self.embeddings = nn.ModuleList(
            nn.Embedding(count + SPECIAL, size, padding_idx=UNKNOWN)
            for count, size in zip(levels, sizes, strict=True)
        )
        self.register_buffer("mask", mask)
        self.position = nn.Parameter(torch.full(mask.shape, GATE_START)) if gated else None
        """Position μ of each gate, which is open for 1 and more, and closed for 0 and less."""
        self._open = bool((mask == 1).all()) and not gated

    def forward(self, features: Tensor) -> Tensor:
        """Map prepared features `[batch, features]` to `[batch, width]`."""
        embedded = [
            embedding(features[:, self.numbers + column].long())
            for column, embedding in enumerate(self.embeddings)
        ]
        numbers = features[:, : self.numbers]
        if not self._open:
            opened = self._opened(len(features))
            numbers = numbers * opened[:, : self.numbers]
            embedded = [
                vectors * opened[:, self.numbers + column, None]
                for column, vectors in enumerate(embedded)
            ]
        return torch.cat([numbers, *embedded], dim=1) if embedded else numbers

    def gates(self) -> Tensor:
        """Return how far each feature is open without noise, 0 to 1, `[features]`."""
        if self.position is None:
            return self.mask
        return self.position.detach().clamp(0, 1) * self.mask

    def penalty(self) -> Tensor:
        """Return the expected share of open gates, a scalar (equation 7, over the features)."""
        assert self.position is not None
        chance = torch.special.ndtr(self.position / GATE_STD)
        expected: Tensor = (chance * self.mask).sum() / self.mask.sum()
        return expected

    def _opened(self, batch: int) -> Tensor:
        """Return the gates of each sample, `[batch, features]`, or one row for all."""
        if self.position is None:
            return self.mask.unsqueeze(0)
        position = self.position.unsqueeze(0)
        if self.training:
            noise = torch.randn(batch, position.shape[1], device=position.device)
            position = position + GATE_STD * noise
        return position.clamp(0, 1) * self.mask


def embedding_size(levels: int) -> int:
    """Return the size of the embedding of a column of categories, 1.6 times the number of
    categories to the power 0.56, at most 600 (Howard and Gugger 2020, *fastai: A Layered API for
    Deep Learning*, `emb_sz_rule`, fitted to their experience)."""
    size: float = 1.6 * levels**0.56
    return max(1, min(600, round(size)))


class Residual(nn.Module):
    """A block with a skip connection: norm, linear, non-linearity, dropout, linear (Gorishniy et
    al. 2021, *Revisiting Deep Learning Models for Tabular Data*, section 3.2)."""

    def __init__(self, config: TableConfig) -> None:
        super().__init__()
        inside = max(1, round(config.width * config.width_factor))
        self.inside = nn.Sequential(
            *_norm(config, config.width),
            nn.Linear(config.width, inside),
            ACTIVATION_LAYERS[config.activation](),
            Dropout(config.dropout),
            nn.Linear(inside, config.width),
        )

    def forward(self, units: Tensor) -> Tensor:
        """Map `[batch, width]` to the same shape."""
        summed: Tensor = units + self.inside(units)
        return summed


def _norm(config: TableConfig, units: int) -> list[nn.Module]:
    match config.norm:
        case "batch":
            return [nn.BatchNorm1d(units)]
        case "layer":
            return [nn.LayerNorm(units)]
    return []
