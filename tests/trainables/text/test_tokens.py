"""Tokens of any script, and vocabularies of the training texts alone."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.text.tokens import (
    PADDING,
    UNKNOWN,
    BytePairs,
    Ragged,
    Words,
    padded,
    split,
)


def words_of(text, kind="words"):
    found = split([text], kind)
    return [found.words[place] for place in found.places.ids]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("it's 3 o’clock, isn't it?", ["it's", "3", "o’clock", ",", "isn't", "it", "?"]),
        ("'quoted' rock 'n' roll", ["'", "quoted", "'", "rock", "'", "n", "'", "roll"]),
        ("质量不错,x1很好", ["质", "量", "不", "错", ",", "x1", "很", "好"]),
        ("ありがとう", list("ありがとう")),
        ("한국어 영화", ["한국어", "영화"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("Αθήνα ёлка", ["Αθήνα", "ёлка"]),
        ("cafe\u0301!", ["cafe\u0301", "!"]),
        ("😀👍", ["😀", "👍"]),
        ("  ", []),
    ],
)
def test_words_of_many_scripts(text, words):
    assert words_of(text) == words


def test_characters_keep_one_space():
    assert words_of(" a \n bc ", "characters") == ["a", " ", "b", "c"]


@given(st.lists(st.text(), max_size=6))
def test_no_character_but_space_is_lost(texts):
    found = split(texts, "words")
    for row, text in enumerate(texts):
        begin = found.places.ends[row - 1] if row else 0
        ids = found.places.ids[begin : found.places.ends[row]]
        assert "".join(found.words[i] for i in ids) == "".join(text.split())


def test_a_vocabulary_has_the_words_of_the_training_texts_by_frequency():
    texts = ["b a", "a c b", "only in validation only", "a"]
    found = split(texts, "words")
    words = Words.most_frequent("words", found, [range(2), range(3, 4)], min_count=1, most=10)
    assert words.words == ("a", "b", "c")
    ragged = words.ids_of(texts)
    assert ragged.ids.tolist() == [3, 2, 2, 4, 3, *[UNKNOWN] * 4, 2]
    assert words.ids_of_split(found).ids.tolist() == ragged.ids.tolist()
    again = Words("words", words.content())
    assert again.ids_of(texts).ids.tolist() == ragged.ids.tolist()
    few = Words.most_frequent("words", found, [range(4)], min_count=2, most=1)
    assert few.words == ("a",)


TRAIN = """
import json
from trainables.text.tokens import BytePairs

texts = ["low lower lowest " * 3, "new newer newest " * 3, "质量不错 质量很好 " * 3]
print(json.dumps(BytePairs.trained_on(texts, min_count=2, most=300).content()))
"""


def test_byte_pairs_are_the_same_in_every_process_and_know_all_texts():
    pytest.importorskip("tokenizers")
    contents = [
        subprocess.run([sys.executable, "-c", TRAIN], capture_output=True, check=True).stdout
        for _ in range(2)
    ]
    assert contents[0] == contents[1]
    pairs = BytePairs(json.loads(contents[0]))
    texts = ["lowest", "", "質 ß 😀 \x00"]
    ragged = pairs.ids_of(texts)
    assert ragged.lengths[0] <= 2
    assert ragged.lengths[1] == 0
    assert set(ragged.ids.tolist()) & {PADDING, UNKNOWN} == set()
    again = BytePairs(pairs.content()).ids_of(texts)
    assert again.ids.tolist() == ragged.ids.tolist()
    assert int(ragged.ids.max()) < pairs.size


@given(st.lists(st.lists(st.integers(2, 9), max_size=7), max_size=8), st.integers(1, 9))
def test_rows_are_filled_up_or_cut(texts, length):
    ids = np.array([i for text in texts for i in text], np.int32)
    ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
    rows, lengths = padded(Ragged(ids, ends), length)
    for row, kept, text in zip(rows.tolist(), lengths.tolist(), texts, strict=True):
        wanted = text[:length] or [UNKNOWN]
        assert kept == len(wanted)
        assert row == wanted + [PADDING] * (length - kept)
