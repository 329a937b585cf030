"""What a look at texts adds."""

import json

import pytest

from trainables.text.datasets import load_dataset
from trainables.text.look import keys
from trainables.text.text_classifier import TextClassifier
from trainables.text.texts import Texts

PLAIN = [
    (f"This is text number {i}, and a {'good' if i % 2 else 'bad'} one", i % 2) for i in range(60)
]


@pytest.fixture
def look(tmp_path):
    def call(texts):
        path = tmp_path / "texts.jsonl"
        lines = [json.dumps({"text": t, "label": "yes" if y else "no"}) for t, y in texts]
        path.write_text("\n".join(lines))
        return TextClassifier.look(load_dataset(str(path), tmp_path, seed=0))

    return call


def rows_of(look, title):
    (section,) = (one for one in look.sections if one.title == title)
    return {row[0]: row[1:] for row in section.rows}


def test_lengths_are_told_in_words_and_characters(look):
    found = look(PLAIN)
    assert found.warnings == []
    lengths = rows_of(found, "Lengths")
    # The comma is a word of its own.
    assert {*lengths["training, words"]} == {"10"}
    assert lengths["training, characters"][-1] == str(max(len(text) for text, _ in PLAIN))
    assert len(rows_of(found, "Training texts")) == 2


def test_traces_of_the_web_and_broken_characters_are_counted(look):
    dirty = [
        (f"<p>Text {i} &amp; more</p> see https://a.b/c sooo caf\u00c3\u00a9", y)
        for i, (_, y) in enumerate(PLAIN)
    ]
    found = look(dirty)
    traces = rows_of(found, "What may be cleaned")
    for name in ("HTML tags", "HTML entities", "addresses of the web", "broken characters"):
        assert traces[name] == ("38 of 38", "100.0%"), name
    assert traces["a character three times in a row"][0] == "38 of 38"
    assert traces["capital letters above all"][0] == "0 of 38"
    assert any("another encoding" in warning for warning in found.warnings)


def test_copies_across_the_borders_are_found(look):
    found = look(PLAIN[:20] * 6)
    assert any("test samples are training samples too" in warning for warning in found.warnings)


def test_only_equal_texts_have_one_key():
    found = keys(Texts.of(["a b", "ab", "a b", "", "ä"]))
    assert found[0] == found[2]
    assert len({*found.tolist()}) == 4
