"""Files that a config names: pretrained vectors, synonyms and paraphrases."""

import csv
import functools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.text.augmentation import Replacements
from trainables.text.cleaning import cleaned
from trainables.text.config import WORDNET
from trainables.text.tokens import Words, padded
from trainables.text.vocabulary import Preparation


@functools.lru_cache(maxsize=2)
def vectors_of(path: str, words: Words, size: int) -> tuple[Tensor, Tensor]:
    """Read the pretrained vectors of the known words.

    Args:
        path: a text file of word2vec or GloVe: in each line a word and its numbers, separated by
            spaces; word2vec's first line has the number of words and of dimensions.
        words: vocabulary.
        size: size of a vector.

    Returns:
        Ids of the words that have a vector, int64 `[found]`, and the vectors, float32
        `[found, size]`.

    Raises:
        ValueError: the file cannot be read, or a line of it is no word with `size` finite numbers.
    """
    found: dict[int, NDArray[np.float32]] = {}
    for number, line in enumerate(_lines("embeddings", path), start=1):
        word, *numbers = line.rstrip().split(" ")
        if number == 1 and len(numbers) == 1 and (word + numbers[0]).isdecimal():
            continue
        # A word may have spaces in it.
        word = " ".join((word, *numbers[: len(numbers) - size]))
        vector = _numbers(numbers[-size:])
        if len(vector) != size or not np.isfinite(vector).all():
            raise ValueError(
                f"embeddings {path}, line {number}: has {len(numbers)} numbers after its word, "
                f"embedding_size is {size}; give embedding_size={len(numbers)}, or repair the line"
            )
        index = words.id_of(word)
        if index >= 2 and index not in found:
            found[index] = vector
    if not found:
        raise ValueError(f"embeddings {path}: has none of the {len(words.words):,} known words")
    return torch.tensor(list(found)), torch.from_numpy(np.stack(list(found.values())))


def dimensions_of(path: str) -> int:
    """Return the size of the first vector of a file; raises as `vectors_of`."""
    lines = _lines("embeddings", path)
    first = next(lines, "").split()
    if len(first) == 2:
        first = next(lines, "").split()
    if len(first) < 2:
        raise ValueError(f"embeddings {path}: has no line of a word and its numbers")
    return len(first) - 1


def check_vectors(path: str, size: int) -> None:
    """Check the first vector of a file; raises as `vectors_of`."""
    found = dimensions_of(path)
    if found != size:
        raise ValueError(
            f"embeddings {path}: its vectors have {found} numbers, embedding_size is {size}; give "
            f"embedding_size={found}"
        )


def _numbers(words: Sequence[str]) -> NDArray[np.float32]:
    try:
        return np.array(words, np.float32)
    except ValueError:
        return np.empty(0, np.float32)


@functools.lru_cache(maxsize=2)
def synonyms_of(source: str, words: Words) -> Replacements:
    """Return the synonyms of each known word that are known words themselves.

    Args:
        source: "wordnet", or the path of a file with a word and its synonyms in each line,
            separated by tabs or commas.
        words: vocabulary.

    Raises:
        ValueError: the file cannot be read, or WordNet's data is not on this machine.
    """
    found: dict[int, list[int]] = {}
    for word, others in _wordnet(words) if source == WORDNET else _synonyms_in(source):
        index = words.id_of(word)
        known = {words.id_of(other) for other in others} - {index, 1}
        if index >= 2 and known:
            found[index] = sorted({*found.get(index, ()), *known})
    return _replacements([found.get(index, []) for index in range(words.size)])


def check_synonyms(source: str) -> None:
    """Check that synonyms can be read; raises as `synonyms_of`."""
    if source == WORDNET:
        next(_wordnet(Words("words", ("good",))))
    elif next(_synonyms_in(source), None) is None:
        raise ValueError(f"synonyms {source}: has no line of a word and its synonyms")


def _synonyms_in(path: str) -> Iterator[tuple[str, list[str]]]:
    for line in _lines("synonyms", path):
        names = [name.strip() for name in line.replace("\t", ",").split(",")]
        if names[0]:
            yield names[0], names[1:]


def _wordnet(words: Words) -> Iterator[tuple[str, list[str]]]:
    """Yield each word with the lemmas of all its senses (Fellbaum 1998, *WordNet*)."""
    from nltk.corpus import wordnet

    try:
        wordnet.ensure_loaded()
    except LookupError:
        raise ValueError(
            "synonyms 'wordnet': its data is not on this machine: python -m nltk.downloader "
            "wordnet, on every node, or give a file of synonyms"
        ) from None
    for word in words.words:
        lemmas = {name for sense in wordnet.synsets(word) for name in sense.lemma_names()}
        yield word, sorted(name.lower() for name in lemmas if "_" not in name)


@functools.lru_cache(maxsize=2)
def paraphrases_of(path: str, preparation: Preparation, texts: tuple[str, ...]) -> Replacements:
    """Return the paraphrases of each text, as ids.

    Args:
        path: a CSV or JSONL file with the columns `text` and `paraphrase`; a text may have several.
        preparation: how texts become ids.
        texts: training texts, as in their file.

    Raises:
        ValueError: the file cannot be read, lacks a column, or has a paraphrase of none of the
            texts.
    """
    found: dict[str, list[str]] = {}
    for text, paraphrase in _paraphrases_in(path):
        found.setdefault(text.strip(), []).append(paraphrase)
    each = [found.get(text.strip(), []) for text in texts]
    chosen = [paraphrase for of_text in each for paraphrase in of_text]
    if not chosen:
        raise ValueError(
            f"paraphrases {path}: the column text has none of the {len(texts):,} training texts"
        )
    ragged = preparation.tokenizer.ids_of(cleaned(chosen, preparation.config))
    rows, _ = padded(ragged, preparation.length)
    counts = torch.tensor([len(of_text) for of_text in each])
    return Replacements(counts.cumsum(0) - counts, counts, torch.from_numpy(rows))


def check_paraphrases(path: str) -> None:
    """Check the first line of a file of paraphrases; raises as `paraphrases_of`."""
    if next(_paraphrases_in(path), None) is None:
        raise ValueError(f"paraphrases {path}: has no row")


def _paraphrases_in(path: str) -> Iterator[tuple[str, str]]:
    lines = _lines("paraphrases", path)
    if path.endswith(".jsonl"):
        rows: Iterator[object] = map(json.loads, lines)
    else:
        rows = iter(csv.DictReader(lines))
    for number, row in enumerate(rows, start=1):
        pair = [row.get(name) for name in ("text", "paraphrase")] if isinstance(row, dict) else []
        if len(pair) != 2 or not all(isinstance(text, str) for text in pair):
            raise ValueError(
                f"paraphrases {path}, row {number}: needs a text and a paraphrase in columns of "
                "these names"
            )
        yield str(pair[0]), str(pair[1])


def _replacements(each: Sequence[Sequence[int]]) -> Replacements:
    counts = torch.tensor([len(some) for some in each])
    content = torch.tensor([index for some in each for index in some], dtype=torch.int32)
    return Replacements(counts.cumsum(0) - counts, counts, content)


def _lines(kind: str, path: str) -> Iterator[str]:
    """Yield the lines of a text file, in UTF-8."""
    try:
        with Path(path).open(encoding="utf-8-sig", newline="\n") as file:
            for line in file:
                yield line.rstrip("\r\n") if kind != "paraphrases" else line
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not in UTF-8"
        raise ValueError(f"{kind} {path}: cannot be read ({why})") from None
