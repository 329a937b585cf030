"""The task of texts: a network, and batches of texts of like length."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainables.data.dataset import Part, SearchData, as_tensor
from trainables.data.splits import Partition, partitions
from trainables.prediction.choice import check_loss, prediction_of
from trainables.text.augmentation import swapped, with_deletions, with_synonyms
from trainables.text.batching import TOGETHER, by_length, in_order
from trainables.text.config import WORDNET, TextConfig
from trainables.text.models import Encoder, build_model
from trainables.text.preparation import Prepared, prepared_by, prepared_for
from trainables.text.texts import Texts
from trainables.text.tokens import PADDING, Words
from trainables.text.vocabulary import TOKENS, VOCABULARY_NAME, Preparation
from trainables.text.word_files import (
    check_paraphrases,
    check_synonyms,
    check_vectors,
    paraphrases_of,
    synonyms_of,
    vectors_of,
)
from trainables.training.state import load_pretrained, pretrained_weights
from trainables.training.task import Batch
from trainables.training.trainer import derived_seed


@dataclass(frozen=True, eq=False)
class TextData:
    """The texts that trials use, and their device: a `TaskData` of the training loop."""

    search: SearchData[Texts]
    device: torch.device | str = "cpu"

    def check(self, config: TextConfig) -> None:
        """Check a config, the weights and the files that it names against the texts; raises as
        `TaskData.check`."""
        check_loss(config, self.search)
        self.partitions(config)
        for name in ("embeddings", "synonyms", "paraphrases"):
            path = getattr(config, name)
            if path and path != WORDNET and not Path(path).is_absolute():
                raise ValueError(
                    f"{name} {path}: must be an absolute path, since a trial may run on another "
                    f"node; give {Path(path).absolute()}"
                )
        if config.embeddings:
            check_vectors(config.embeddings, config.embedding_size)
        if config.synonyms:
            check_synonyms(config.synonyms)
        if config.paraphrases:
            check_paraphrases(config.paraphrases)
        if config.pretrained:
            model = build_model(config, preparation_in(config), self.search.classes or 1)
            load_pretrained(model, config.pretrained)

    def tasks(self, config: TextConfig) -> list["TextTask"]:
        """Return one task, or one per fold; raises as `partitions` and `prepared_for`."""
        parts = self.partitions(config)
        if config.pretrained:
            # To other ids its embeddings would mean nothing.
            prepared: Sequence[Prepared] = [prepared_by(preparation_in(config), self.search)] * len(
                parts
            )
        else:
            prepared = prepared_for(config, self.search, [part.train for part in parts])
        device = torch.device(self.device)
        return [
            TextTask(config, self.search, texts, part, device, fold)
            for fold, (texts, part) in enumerate(zip(prepared, parts, strict=True))
        ]

    def partitions(self, config: TextConfig) -> list[Partition]:
        """Return the texts to train on and to validate on: one partition, or one per fold."""
        return partitions(self.search, train_ratio=config.train_ratio, folds=config.folds)

    def prepared(self, _: TextConfig) -> dict[str, Any]:
        """Return `PreparedData.prepared`: nothing, since the weights have the vocabulary."""
        return {}


def preparation_in(config: TextConfig) -> Preparation:
    """Return the preparation of the texts that the pretrained weights were trained on.

    Raises:
        ValueError: the weights have none, or the config has another cleaning or tokenizer.
    """
    weights = pretrained_weights(config.pretrained)
    if VOCABULARY_NAME not in weights:
        raise ValueError(
            f"pretrained {config.pretrained}: has no vocabulary; give the checkpoint of a network "
            "on texts"
        )
    try:
        found = Preparation.from_stored(weights[VOCABULARY_NAME])
    except ValueError as error:
        raise ValueError(f"pretrained {config.pretrained}: {error}") from None
    for name in TOKENS:
        value, other = getattr(config, name), getattr(found.config, name)
        if value != other:
            raise ValueError(
                f"pretrained {config.pretrained}: was trained with {name}={other}, got {value}; "
                f"give {name}={other}"
            )
    return found


class TextTask:
    """A model on its device that takes ids of tokens: a `Task` of the training loop.

    Args:
        config: configuration of the network.
        data: texts with their targets.
        prepared: the texts as ids, by a vocabulary of this partition's training texts.
        partition: texts to train on and to validate on.
        device: device of the network and of the ids.
        fold: index of the fold, from 0; it determines the initial weights.

    Raises:
        ValueError: as `prediction_of`, or a file of the config cannot be used.
    """

    smallest_batch = 1

    def __init__(
        self,
        config: TextConfig,
        data: SearchData[Texts],
        prepared: Prepared,
        partition: Partition,
        device: torch.device,
        fold: int = 0,
    ) -> None:
        self.device, self.samples = device, partition.samples
        self._config, self._prepared = config, prepared
        self._ids, self._lengths = prepared.ids.to(device), prepared.lengths
        blocks = [torch.arange(block.start, block.stop) for block in partition.train]
        self._indices = torch.cat(blocks)
        self.prediction = prediction_of(config, data, self._indices.to(device))
        self._targets = self.prediction.targets(as_tensor(data.targets).to(device))
        held_out = slice(partition.validation.start, partition.validation.stop)
        self.validation = Batch(self._ids[held_out], self._targets[held_out])
        self.validation_rows = np.arange(held_out.start, held_out.stop)

        preparation = prepared.preparation
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(config.seed, 0, fold))
            model = build_model(config, preparation, self.prediction.width)
        self.facts: Mapping[str, float] = {
            "vocabulary_tokens": preparation.tokenizer.size,
            "text_length": preparation.length,
            "truncated_share": prepared.truncated,
            "padding_share": 0.0,
        }
        words = preparation.tokenizer
        if config.embeddings and isinstance(words, Words):
            ids, vectors = vectors_of(config.embeddings, words, config.embedding_size)
            encoder = model[0]
            assert isinstance(encoder, Encoder)
            with torch.no_grad():
                encoder.embedding.weight[ids] = vectors
            self.facts = {**self.facts, "embeddings_found": len(ids)}
        self.model: nn.Sequential = model.to(device)

        self._augments = any(
            (
                *(config.synonym_share, config.paraphrase_share),
                *(config.swap_share, config.deletion_share),
            )
        )
        self._synonyms, self._paraphrases = None, None
        if config.synonym_share and isinstance(words, Words):
            self._synonyms = synonyms_of(config.synonyms, words).to(device)
        if config.paraphrase_share:
            strings = tuple(data.inputs[self._indices.numpy()].strings())
            found = paraphrases_of(config.paraphrases, preparation, strings)
            self._paraphrases = found.to(device)

    def batches(self, sizes: Sequence[int]) -> Iterator[Batch]:
        """Yield the training texts in a random order, augmented as configured, each batch of like
        lengths and filled up to its longest text."""
        order = torch.randperm(self.samples)
        cells = tokens = 0
        for block in (sizes[n : n + TOGETHER] for n in range(0, len(sizes), TOGETHER)):
            count = sum(block)
            chosen, order = order[:count], order[count:]
            places = self._indices[chosen]
            ids, lengths = self._ids, self._lengths[places]
            among = places
            if self._augments:
                ids, lengths = self._augmented(chosen)
                among = torch.arange(count)
            targets = self._targets[places.to(self.device)]
            found = []
            for rows in by_length(lengths, block):
                longest = int(lengths[rows[-1]])
                cells += longest * len(rows)
                some = ids[among[rows].to(self.device), :longest]
                found.append(Batch(some, targets[rows.to(self.device)]))
            tokens += int(lengths.sum())
            self.facts = {**self.facts, "padding_share": 1 - tokens / cells}
            yield from found

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return `Task.loss`; the outputs are `[batch, classes]`, or `[batch, 1]` for numbers."""
        outputs = self.model(batch.inputs).float()
        return self.prediction.loss(outputs, batch.targets), outputs

    def outputs(self, inputs: Tensor) -> Tensor:
        """Return the outputs of the model for ids, int32 `[n, length]`: `[n, classes]`, or `[n, 1]`
        for numbers."""
        return in_order(self.model, inputs)

    def held_out(self, part: Part[Texts]) -> Batch:
        """Return other texts by the vocabulary of the training texts."""
        ids, _ = self._prepared.preparation.rows_of(part.inputs.strings())
        targets = self.prediction.targets(as_tensor(part.targets).to(self.device))
        return Batch(torch.from_numpy(ids).to(self.device), targets)

    def _augmented(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Return ids of training texts, int32 `[n, length]` on the device, and their numbers, int64
        `[n]` on the CPU; `chosen` are places among the training texts."""
        config, rows = self._config, self._indices[chosen]
        ids, lengths = self._ids[rows.to(self.device)], self._lengths[rows]
        changed = False
        if self._paraphrases is not None:
            which, row = self._paraphrases.drawn(chosen.to(self.device), config.paraphrase_share)
            ids = torch.where(which.unsqueeze(1), self._paraphrases.content[row], ids)
            changed = True
        if self._synonyms is not None:
            ids = with_synonyms(ids, config.synonym_share, self._synonyms)
        if config.swap_share:
            ids = swapped(ids, config.swap_share)
        if config.deletion_share:
            ids = with_deletions(ids, config.deletion_share)
            changed = True
        return ids, (ids != PADDING).sum(dim=1).cpu() if changed else lengths
