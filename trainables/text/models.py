"""Networks on texts: a bag of embeddings, an LSTM and a small transformer's encoder."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from trainables.text.tokens import PADDING
from trainables.training.layers import Dropout

if TYPE_CHECKING:
    from trainables.text.config import TextConfig
    from trainables.text.vocabulary import Preparation


def build_model(config: TextConfig, preparation: Preparation, width: int) -> nn.Sequential:
    """Build the network that `config.model` names.

    Args:
        config: configuration with the hyperparameters of the network.
        preparation: vocabulary, which is kept in the network's state.
        width: number of outputs.

    Returns:
        A module from ids, integers `[batch, tokens]` filled up with `PADDING`, at least one id a
        text, to outputs `[batch, width]`, whose last layer is the head.
    """
    encoder = ENCODERS[config.model](config, preparation)
    return nn.Sequential(encoder, Dropout(config.dropout), nn.Linear(encoder.outputs, width))


class Encoder(nn.Module):
    """Embeddings of the tokens of a text; a subclass makes one vector of them."""

    vocabulary: Tensor
    """The preparation of texts, as `Preparation.stored` writes it, uint8 `[bytes]`."""
    outputs: int
    """Size of the vector of a text."""

    def __init__(self, config: TextConfig, preparation: Preparation) -> None:
        super().__init__()
        self.register_buffer("vocabulary", preparation.stored())
        size, self.outputs = preparation.tokenizer.size, config.embedding_size
        self.embedding = nn.Embedding(size, config.embedding_size, padding_idx=PADDING)
        # The size of a vector is about 1, whatever its dimension.
        with torch.no_grad():
            self.embedding.weight /= math.sqrt(config.embedding_size)
        self._dropped = config.embedding_dropout

    def kept(self, ids: Tensor) -> Tensor | None:
        """Return the factor of each token under embedding dropout, float `[batch, tokens]`: the
        vector of a token is dropped wherever it occurs in the batch (Merity et al. 2018,
        *Regularizing and Optimizing LSTM Language Models*, section 4.3); None without dropout."""
        if not self.training or not self._dropped:
            return None
        known = torch.ones(self.embedding.num_embeddings, device=ids.device)
        return F.dropout(known, self._dropped)[ids]

    def embedded(self, ids: Tensor) -> Tensor:
        """Return the vectors of tokens, float `[batch, tokens, embedding_size]`."""
        vectors: Tensor = self.embedding(ids)
        kept = self.kept(ids)
        return vectors if kept is None else vectors * kept.unsqueeze(2)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *rest: Any, **more: Any
    ) -> None:
        # PyTorch would copy the bytes of another vocabulary, to which these ids do not belong.
        stored = state_dict.get(prefix + "vocabulary")
        if stored is not None and not torch.equal(stored.cpu(), self.vocabulary.cpu()):
            raise ValueError(
                "the state has another vocabulary than these training texts give: resume it on the "
                "same data and with the versions that it was trained with"
            )
        super()._load_from_state_dict(state_dict, prefix, *rest, **more)


class Bag(Encoder):
    """The mean of the embeddings (Joulin et al. 2017, *Bag of Tricks for Efficient Text
    Classification*, figure 1)."""

    def forward(self, ids: Tensor) -> Tensor:
        """Map ids `[batch, tokens]` to `[batch, embedding_size]`."""
        there = (ids != PADDING).to(self.embedding.weight.dtype)
        share = there / there.sum(dim=1, keepdim=True)
        kept = self.kept(ids)
        return F.embedding_bag(
            ids,
            self.embedding.weight,
            mode="sum",
            per_sample_weights=share if kept is None else share * kept,
            padding_idx=PADDING,
        )


class LSTM(Encoder):
    """A long short-term memory (Hochreiter and Schmidhuber 1997), and the maximum of each unit over
    the text (Conneau et al. 2017, *Supervised Learning of Universal Sentence Representations*,
    section 3.2).

    On a GPU sequences are packed, so that no padding is computed. On a CPU torch computes packed
    sequences word by word, and padded ones by oneDNN, which is faster (`benchmarks/lstm_steps.py`).
    """

    def __init__(self, config: TextConfig, preparation: Preparation) -> None:
        super().__init__(config, preparation)
        self.lstm = nn.LSTM(
            config.embedding_size,
            config.hidden_size,
            config.layers,
            batch_first=True,
            bidirectional=config.bidirectional,
            dropout=config.dropout if config.layers > 1 else 0.0,
        )
        self.outputs = config.hidden_size * (2 if config.bidirectional else 1)

    def forward(self, ids: Tensor) -> Tensor:
        """Map ids `[batch, tokens]` to `[batch, directions * hidden_size]`."""
        embedded, lengths = self.embedded(ids), (ids != PADDING).sum(dim=1)
        if embedded.device.type == "cpu":
            return self._padded(embedded, lengths)
        return self._packed(embedded, lengths)

    def _packed(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Map inputs `[batch, tokens, size]` of lengths `[batch]` by packed sequences."""
        packed = pack_padded_sequence(inputs, lengths.cpu(), batch_first=True, enforce_sorted=False)
        found, _ = pad_packed_sequence(
            self.lstm(packed)[0], batch_first=True, padding_value=-math.inf
        )
        return found.amax(dim=1)

    def _padded(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Return what packed sequences give, from inputs `[batch, tokens, size]` and lengths
        `[batch]`.

        Padding comes last, where it changes no output before it. The other direction reads each
        text backwards, so that padding comes last there too.
        """
        lstm = self.lstm
        places = torch.arange(inputs.shape[1])
        there = places < lengths[:, None]
        backwards = torch.where(there, lengths[:, None] - 1 - places, places)
        start = inputs.new_zeros(1, len(inputs), lstm.hidden_size)
        directions = 2 if lstm.bidirectional else 1
        for layer in range(lstm.num_layers):
            if layer > 0:
                inputs = F.dropout(inputs, lstm.dropout, self.training)
            found = []
            for direction in range(directions):
                weights = tuple(lstm.all_weights[layer * directions + direction])
                read = _reordered(inputs, backwards) if direction else inputs
                output, _, _ = torch.lstm(
                    read, (start, start), weights, True, 1, 0.0, self.training, False, True
                )
                found.append(_reordered(output, backwards) if direction else output)
            inputs = torch.cat(found, dim=2)
        return inputs.masked_fill(~there[:, :, None], -math.inf).amax(dim=1)


def _reordered(states: Tensor, places: Tensor) -> Tensor:
    """Return states `[batch, tokens, size]` in the order of places `[batch, tokens]`."""
    return states.gather(1, places[:, :, None].expand_as(states))


class Transformer(Encoder):
    """The encoder of a transformer with its norms before each part (Vaswani et al. 2017; Xiong et
    al. 2020, *On Layer Normalization in the Transformer Architecture*, figure 1b), and the mean
    over the text."""

    places: Tensor

    def __init__(self, config: TextConfig, preparation: Preparation) -> None:
        super().__init__(config, preparation)
        size = config.embedding_size
        layer = nn.TransformerEncoderLayer(
            size,
            config.heads,
            dim_feedforward=4 * size,
            dropout=config.dropout,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.layers = nn.TransformerEncoder(
            layer, config.layers, norm=nn.LayerNorm(size), enable_nested_tensor=False
        )
        places = sinusoids(preparation.length, size) / math.sqrt(size)
        self.register_buffer("places", places, persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        """Map ids `[batch, tokens]` to `[batch, embedding_size]`."""
        padding = ids == PADDING
        vectors = self.embedded(ids) + self.places[: ids.shape[1]]
        found: Tensor = self.layers(vectors, src_key_padding_mask=padding)
        there = (~padding).to(found.dtype).unsqueeze(2)
        return (found * there).sum(dim=1) / there.sum(dim=1)


def sinusoids(length: int, size: int) -> Tensor:
    """Return a vector for each place in a text, float `[length, size]` (Vaswani et al. 2017,
    section 3.5)."""
    rates = torch.exp(torch.arange(0, size, 2) * (-math.log(10_000) / size))
    angles = torch.arange(length).unsqueeze(1) * rates
    return torch.stack((angles.sin(), angles.cos()), dim=2).flatten(1)


ENCODERS: dict[str, type[Encoder]] = {"bag": Bag, "lstm": LSTM, "transformer": Transformer}
