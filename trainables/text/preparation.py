"""Preparation of texts: everything between a text and its ids, made on training texts alone."""

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.data.dataset import SearchData
from trainables.text.cleaning import cleaned
from trainables.text.config import TextConfig
from trainables.text.texts import Texts
from trainables.text.tokens import BytePairs, Split, Tokenizer, Words, padded, split

CLEANING = (
    "clean_encoding",
    "clean_html",
    "clean_control",
    "unicode_form",
    "clean_urls",
    "lowercase",
    "clean_repeats",
)
TOKENS = (*CLEANING, "tokenizer")
VOCABULARY = (*TOKENS, "min_count", "vocabulary_size", "length_quantile", "max_length")
"""Fields on which the ids of a text depend."""

VOCABULARY_NAME = "0.vocabulary"
"""Name of the preparation in the state of a network."""

FORMAT = 1
"""Version of the JSON in a checkpoint."""


@dataclass(frozen=True, eq=False)
class Preparation:
    """A vocabulary with the cleaning before it and the length to which texts are cut."""

    config: TextConfig
    """A config with the fields `TOKENS`; the others are the defaults."""
    tokenizer: Tokenizer
    length: int
    """Number of ids of a text at most."""

    def rows_of(self, texts: Texts) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Return the ids of texts as `padded` does, int32 `[n, length]` and int64 `[n]`."""
        return padded(self.tokenizer.ids_of(cleaned(texts.strings(), self.config)), self.length)

    def stored(self) -> Tensor:
        """Return it as a tensor, uint8 `[bytes]`: JSON in UTF-8, for a checkpoint, which has
        tensors and numbers alone."""
        content = {
            "format": FORMAT,
            **{name: getattr(self.config, name) for name in TOKENS},
            "length": self.length,
            "content": self.tokenizer.content(),
        }
        encoded = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
        return torch.frombuffer(bytearray(encoded), dtype=torch.uint8)

    @classmethod
    def from_stored(cls, tensor: Tensor) -> "Preparation":
        """Make it again from a checkpoint's tensor.

        Raises:
            ValueError: the tensor was written by another version.
        """
        try:
            content: dict[str, Any] = json.loads(tensor.cpu().numpy().tobytes())
            config = TextConfig.from_dict({name: content[name] for name in TOKENS})
            if content["format"] != FORMAT:
                raise ValueError(f"format {content['format']}")
            return cls(config, _made(config.tokenizer, content["content"]), int(content["length"]))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"its vocabulary is not one of this version ({error})") from None


def _made(kind: str, content: Any) -> Tokenizer:
    return BytePairs(content) if kind == "byte_pairs" else Words(kind, content)


class Prepared(NamedTuple):
    """The texts of a search, prepared."""

    preparation: Preparation
    ids: Tensor
    """All texts, int32 `[n, length]`."""
    lengths: Tensor
    """Number of ids of each text, int64 `[n]`, on the CPU."""
    truncated: float
    """Share of the training texts that are longer."""


def prepared_for(
    config: TextConfig, data: SearchData[Texts], partitions: Sequence[tuple[range, ...]]
) -> Sequence[Prepared]:
    """Prepare all texts, once for each partition, by a vocabulary of its training texts alone.

    Trials of one process share the result as long as they need the same one.

    Args:
        config: hyperparameters, of which `VOCABULARY` count.
        data: the texts.
        partitions: the blocks of training texts of each partition.

    Raises:
        ValueError: no token occurs often enough.
    """
    return _prepared(_only(config, VOCABULARY), data, tuple(partitions))


def prepared_by(preparation: Preparation, data: SearchData[Texts]) -> Prepared:
    """Prepare all texts by a vocabulary that exists, such as that of pretrained weights."""
    ids, lengths = preparation.rows_of(data.inputs)
    share = float((lengths[: data.train_count] >= preparation.length).mean())
    return Prepared(preparation, torch.from_numpy(ids), torch.from_numpy(lengths), share)


def _only(config: TextConfig, names: Sequence[str]) -> TextConfig:
    return TextConfig.from_dict({name: getattr(config, name) for name in names})


# A search over vocabularies meets few of them, each in many trials; two are kept, since all texts
# of a search are in each.
@functools.lru_cache(maxsize=2)
def _prepared(
    config: TextConfig, data: SearchData[Texts], partitions: tuple[tuple[range, ...], ...]
) -> Sequence[Prepared]:
    return [_one(config, data, blocks) for blocks in partitions]


def _one(config: TextConfig, data: SearchData[Texts], blocks: tuple[range, ...]) -> Prepared:
    limits = {"min_count": config.min_count, "most": config.vocabulary_size}
    tokenizer: Tokenizer
    if config.tokenizer == "byte_pairs":
        texts = _cleaned(_only(config, CLEANING), data)
        chosen = [text for block in blocks for text in texts[block.start : block.stop]]
        tokenizer = BytePairs.trained_on(chosen, **limits)
        ragged = tokenizer.ids_of(texts)
    else:
        found = _split(_only(config, TOKENS), data)
        tokenizer = Words.most_frequent(config.tokenizer, found, blocks, **limits)
        if not tokenizer.words:
            raise ValueError(
                f"min_count {config.min_count}: none of the {config.tokenizer} of {data.name} "
                "occurs as often in the training texts; lower it"
            )
        ragged = tokenizer.ids_of_split(found)
    of_training = np.concatenate([ragged.lengths[b.start : b.stop] for b in blocks])
    wanted = np.quantile(of_training, config.length_quantile, method="higher")
    length = int(min(max(1, wanted), config.max_length))
    ids, lengths = padded(ragged, length)
    return Prepared(
        Preparation(_only(config, TOKENS), tokenizer, length),
        torch.from_numpy(ids),
        torch.from_numpy(lengths),
        float((of_training > length).mean()),
    )


@functools.lru_cache(maxsize=2)
def _cleaned(config: TextConfig, data: SearchData[Texts]) -> list[str]:
    return cleaned(data.inputs.strings(), config)


# To split is ten times the work of what follows, and does not depend on the vocabulary.
@functools.lru_cache(maxsize=2)
def _split(config: TextConfig, data: SearchData[Texts]) -> Split:
    return split(cleaned(data.inputs.strings(), config), config.tokenizer)
