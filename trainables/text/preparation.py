"""Preparation of the texts of a search, made on its training texts alone."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from trainables.data.dataset import SearchData
from trainables.text.cleaning import cleaned
from trainables.text.config import TextConfig
from trainables.text.texts import Texts
from trainables.text.tokens import BytePairs, Split, Tokenizer, Words, padded, split
from trainables.text.vocabulary import CLEANING, TOKENS, Preparation

VOCABULARY = (*TOKENS, "min_count", "vocabulary_size", "length_quantile", "max_length")
"""Fields on which the ids of a text depend."""


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
    ids, lengths = preparation.rows_of(data.inputs.strings())
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
