"""Tokens: texts as numbers, by words, characters or byte pairs."""

import functools
import itertools
import json
import os
import re
import sys
import unicodedata
from array import array
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

PADDING = 0
"""Id of what fills a shorter text up; it is no token."""

UNKNOWN = 1
"""Id of every token that is not in the vocabulary, and the only one of a text without a token."""

RESERVED = 2
"""Number of these ids, which come before those of the vocabulary."""

# Ideographs, kana and bopomofo; Thai, Lao, Tibetan, Burmese and Khmer.
NO_SPACES = (
    r"\u3040-\u30ff\u3100-\u312f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    r"\U00020000-\U0003ffff\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff"
)
"""Scripts that are written without spaces, as ranges of a regular expression."""


MARKS = ("Mn", "Mc", "Me")
JOINERS = "\u200c\u200d"


class Ragged(NamedTuple):
    """Ids of tokens, of texts of any length."""

    ids: NDArray[np.int32]
    """Ids of all texts, one text after another, int32 `[tokens]`."""
    ends: NDArray[np.int64]
    """End of each text in `ids`, int64 `[n]`."""

    def block(self, rows: range) -> NDArray[np.int32]:
        """Return the ids of consecutive texts."""
        begin = int(self.ends[rows.start - 1]) if rows.start else 0
        return self.ids[begin : int(self.ends[rows.stop - 1]) if rows.stop else 0]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of tokens of each text, int64 `[n]`."""
        return np.diff(self.ends, prepend=0)


class Tokenizer(Protocol):
    """A vocabulary that was made on training texts."""

    size: int
    """Number of ids, those for padding and unknown tokens included."""

    def ids_of(self, texts: Sequence[str]) -> Ragged:
        """Return the ids of cleaned texts."""

    def content(self) -> Any:
        """Return it as plain JSON, from which it can be made again."""


class Split(NamedTuple):
    """Texts as words or characters, before any vocabulary."""

    words: list[str]
    """All different words, in the order of their first occurrence."""
    places: Ragged
    """Texts as indices of `words`."""


def split(texts: Sequence[str], kind: str) -> Split:
    """Split cleaned texts into words or characters.

    A word is a sequence of letters, marks and digits, with an apostrophe inside, or one other
    character; in scripts without spaces each character is one. Space is no word, and between
    characters one space.
    """
    seen: defaultdict[str, int] = defaultdict(itertools.count().__next__)
    places, ends = array("i"), []
    find = word_pattern().findall
    for text in texts:
        words = find(text) if kind == "words" else " ".join(text.split())
        places.extend(map(seen.__getitem__, words))
        ends.append(len(places))
    ids = np.frombuffer(places, np.int32) if places else np.empty(0, np.int32)
    return Split(list(seen), Ragged(ids, np.array(ends, np.int64)))


@functools.lru_cache(maxsize=1)
def word_pattern() -> re.Pattern[str]:
    """Return the pattern of a word, as `split` finds it."""
    # A vowel sign of Hindi or a loose accent is no letter for Python, and would end a word.
    spaceless = re.compile(f"[{NO_SPACES}]")
    marks = [
        chr(code) for code in range(sys.maxunicode) if unicodedata.category(chr(code)) in MARKS
    ]
    mark = "".join(char for char in marks if not spaceless.match(char))
    letter = rf"[^\W{NO_SPACES}]"
    return re.compile(rf"{letter}+(?:(?:[{mark}{JOINERS}]+|['’](?={letter})){letter}*)*|\S")


class Words:
    """Words or characters, each with an id.

    Args:
        kind: "words" or "characters".
        words: known words, in the order of their ids.
    """

    def __init__(self, kind: str, words: Sequence[str]) -> None:
        self.kind, self.words = kind, tuple(words)
        self.size = RESERVED + len(self.words)
        self._ids = {word: RESERVED + index for index, word in enumerate(self.words)}

    @classmethod
    def most_frequent(
        cls, kind: str, texts: Split, blocks: Sequence[range], *, min_count: int, most: int
    ) -> "Words":
        """Make the vocabulary of some blocks of texts: the words that occur at least `min_count`
        times, most frequent first, equals in the order of their characters, `most` at most."""
        counts = np.zeros(len(texts.words), np.int64)
        for block in blocks:
            counts += np.bincount(texts.places.block(block), minlength=len(counts))
        known = np.flatnonzero(counts >= min_count).tolist()
        known.sort(key=lambda word: (-counts[word], texts.words[word]))
        return cls(kind, [texts.words[word] for word in known[:most]])

    def ids_of(self, texts: Sequence[str]) -> Ragged:
        """Return the ids of cleaned texts."""
        return self.ids_of_split(split(texts, self.kind))

    def ids_of_split(self, texts: Split) -> Ragged:
        """Return the ids of texts that are split already."""
        table = np.array([self._ids.get(word, UNKNOWN) for word in texts.words], np.int32)
        return Ragged(table[texts.places.ids], texts.places.ends)

    def id_of(self, word: str) -> int:
        """Return the id of a word; that of unknown ones if it is not known."""
        return self._ids.get(word, UNKNOWN)

    def content(self) -> Any:
        """Return the words."""
        return list(self.words)


class BytePairs:
    """Byte pairs (Sennrich et al. 2016, *Neural Machine Translation of Rare Words with Subword
    Units*, on bytes as in Radford et al. 2019, section 2.2), so that no text has an unknown token.

    Args:
        content: configuration that the library `tokenizers` has written.
    """

    def __init__(self, content: Any) -> None:
        self._tokenizer = _library().Tokenizer.from_str(json.dumps(content))
        self.size = self._tokenizer.get_vocab_size()

    @classmethod
    def trained_on(cls, texts: Sequence[str], *, min_count: int, most: int) -> "BytePairs":
        """Merge the most frequent pairs that occur at least `min_count` times, up to `most` tokens,
        the 256 bytes included."""
        library = _library()
        tokenizer = library.Tokenizer(library.models.BPE())
        tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=True)
        trainer = library.trainers.BpeTrainer(
            vocab_size=RESERVED + most,
            min_frequency=min_count,
            special_tokens=["<padding>", "<unknown>"],
            initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer)
        return cls(json.loads(tokenizer.to_str()))

    def ids_of(self, texts: Sequence[str]) -> Ragged:
        """Return the ids of cleaned texts."""
        found = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        each = [encoding.ids for encoding in found]
        ends = np.cumsum([len(ids) for ids in each], dtype=np.int64)
        return Ragged(np.fromiter(itertools.chain.from_iterable(each), np.int32), ends)

    def content(self) -> Any:
        """Return the library's configuration, with vocabulary and merges."""
        return json.loads(self._tokenizer.to_str())


def _library() -> Any:
    # A trial has the cores that it was granted, and no more.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import tokenizers

    return tokenizers


def padded(texts: Ragged, length: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return texts as rows of one length.

    Returns:
        The first `length` ids of each text, int32 `[n, length]`, filled up with `PADDING`, and the
        number of ids of each, int64 `[n]`. A text without a token has `UNKNOWN`.
    """
    lengths = texts.lengths
    within = np.arange(len(texts.ids)) - np.repeat(texts.ends - lengths, lengths)
    kept = np.minimum(lengths, length)
    rows = np.full((len(lengths), length), PADDING, np.int32)
    rows[np.arange(length) < kept[:, None]] = texts.ids[within < length]
    rows[lengths == 0, 0] = UNKNOWN
    return rows, np.maximum(kept, 1)
