"""Augmented texts keep what they must keep."""

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.text.augmentation import Replacements, swapped, with_deletions, with_synonyms
from trainables.text.tokens import PADDING, Ragged, padded


@st.composite
def batches(draw):
    texts = draw(st.lists(st.lists(st.integers(2, 30), min_size=1, max_size=9), min_size=1))
    ids = torch.tensor([i for text in texts for i in text], dtype=torch.int32).numpy()
    ends = torch.tensor([len(text) for text in texts]).cumsum(0).numpy()
    rows, _ = padded(Ragged(ids, ends), 9)
    return torch.from_numpy(rows)


shares = st.sampled_from([0.0, 0.1, 0.5, 0.99])


@given(batches(), shares, st.integers(0, 99))
def test_swaps_keep_the_tokens_of_each_text(ids, share, seed):
    torch.manual_seed(seed)
    found = swapped(ids, share)
    for before, after in zip(ids.tolist(), found.tolist(), strict=True):
        assert Counter(before) == Counter(after)
        assert before.count(PADDING) == 0 or before.index(PADDING) == after.index(PADDING)
    assert share or torch.equal(ids, found)


@given(batches(), shares, st.integers(0, 99))
def test_deletions_keep_the_order_and_at_least_one_token(ids, share, seed):
    torch.manual_seed(seed)
    found = with_deletions(ids, share)
    for before, after in zip(ids.tolist(), found.tolist(), strict=True):
        kept = [token for token in after if token != PADDING]
        assert kept
        assert after == kept + [PADDING] * (len(after) - len(kept))
        rest = iter(before)
        assert all(token in rest for token in kept)
    assert share or torch.equal(ids, found)


def test_shares_are_those_that_were_asked_for():
    torch.manual_seed(0)
    ids = torch.randint(2, 1000, (400, 50), dtype=torch.int32)
    kept = (with_deletions(ids, 0.2) != PADDING).float().mean()
    assert float(kept) == pytest.approx(0.8, abs=0.01)
    moved = (swapped(ids, 0.2) != ids).float().mean()
    assert float(moved) == pytest.approx(0.18, abs=0.02)


def test_a_synonym_is_one_of_the_tokens_own():
    torch.manual_seed(0)
    # Token 3 has two synonyms, token 5 one, the others none.
    counts = torch.tensor([0, 0, 0, 2, 0, 1])
    synonyms = Replacements(
        counts.cumsum(0) - counts, counts, torch.tensor([7, 8, 9], dtype=torch.int32)
    )
    ids = torch.tensor([[2, 3, 4, 5, 0]] * 2000, dtype=torch.int32)
    found = with_synonyms(ids, 0.5, synonyms)
    assert torch.equal(found[:, [0, 2, 4]], ids[:, [0, 2, 4]])
    assert set(found[:, 1].tolist()) == {3, 7, 8}
    assert set(found[:, 3].tolist()) == {5, 9}
    assert float((found[:, 1] != 3).float().mean()) == pytest.approx(0.5, abs=0.05)
    nothing = Replacements(counts * 0, counts * 0, torch.empty(0, dtype=torch.int32))
    assert torch.equal(with_synonyms(ids, 0.5, nothing), ids)
