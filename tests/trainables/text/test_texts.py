"""Texts as arrays are the texts."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trainables.text.texts import Texts

some_texts = st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=12)


@given(some_texts)
def test_texts_come_back_as_they_were(texts):
    found = Texts.of(texts)
    assert len(found) == len(texts)
    assert found.strings() == texts


@given(some_texts, st.data())
def test_rows_and_slices_are_those_of_a_list(texts, data):
    found = Texts.of(texts)
    cut = data.draw(st.slices(len(texts)))
    assert found[cut].strings() == texts[cut]
    rows = data.draw(st.lists(st.integers(0, len(texts) - 1), max_size=20)) if texts else []
    assert found[np.array(rows, np.int64)].strings() == [texts[row] for row in rows]
