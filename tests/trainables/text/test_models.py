"""Networks do not see padding, and keep their vocabulary."""

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from trainables.text.config import TextConfig
from trainables.text.models import build_model
from trainables.text.tokens import PADDING, Words
from trainables.text.vocabulary import Preparation

MODELS = ("bag", "lstm", "transformer")
SMALL = {"embedding_size": 8, "hidden_size": 6, "heads": 2}
WORDS = Preparation(TextConfig(), Words("words", ("a", "b", "c")), 7)


def network(model, **config):
    torch.manual_seed(0)
    return build_model(TextConfig(model=model, **SMALL, **config), WORDS, 3).eval()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("layers", [1, 2])
def test_padding_changes_nothing(model, layers):
    built = network(model, layers=layers)
    ids = torch.tensor([[2, 3, 4], [4, 2, 0], [1, 0, 0]], dtype=torch.int32)
    wide = torch.nn.functional.pad(ids, (0, 4))
    alone = torch.cat([built(row[row != 0].unsqueeze(0)) for row in ids])
    assert torch.allclose(built(ids), alone, atol=1e-6)
    assert torch.allclose(built(wide), alone, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "ordered"), [("bag", False), ("lstm", True), ("transformer", True)]
)
def test_order_counts_for_all_but_the_bag(model, ordered):
    built = network(model)
    found = built(torch.tensor([[2, 3, 4], [4, 3, 2]]))
    assert torch.allclose(found[0], found[1], atol=1e-6) is not ordered


@pytest.mark.parametrize("model", MODELS)
def test_a_dropped_token_has_no_vector_anywhere_in_a_batch(model):
    built = network(model, embedding_dropout=0.5, dropout=0.0).train()
    encoder = built[0]
    torch.manual_seed(1)
    kept = encoder.kept(torch.tensor([[2, 3, 4], [4, 3, 2]]))
    assert set(kept.unique().tolist()) <= {0.0, 2.0}
    assert torch.equal(kept[0], kept[1].flip(0))
    assert encoder.eval().kept(torch.tensor([[2]])) is None


def test_a_network_keeps_its_vocabulary_and_refuses_another_one():
    built = network("bag")
    stored = Preparation.from_stored(built.state_dict()["0.vocabulary"])
    assert stored.tokenizer.content() == ["a", "b", "c"]
    assert stored.length == 7
    other = Preparation(TextConfig(), Words("words", ("a", "b", "d")), 7)
    with pytest.raises(ValueError, match="another vocabulary"):
        build_model(TextConfig(model="bag", **SMALL), other, 3).load_state_dict(built.state_dict())


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("layers", [1, 2])
def test_an_lstm_computes_what_packed_sequences_give_with_its_gradients(layers, bidirectional):
    encoder = network("lstm", layers=layers, bidirectional=bidirectional, dropout=0.0)[0].train()
    ids = torch.randint(1, encoder.embedding.num_embeddings, (5, 9))
    for text, length in enumerate((9, 1, 4, 9, 2)):
        ids[text, length:] = PADDING
    packed = pack_padded_sequence(
        encoder.embedded(ids),
        (ids != PADDING).sum(dim=1),
        batch_first=True,
        enforce_sorted=False,
    )
    found, _ = pad_packed_sequence(
        encoder.lstm(packed)[0], batch_first=True, padding_value=-torch.inf
    )
    results = []
    for vectors in (encoder(ids), found.amax(dim=1)):
        gradients = torch.autograd.grad(vectors.square().sum(), list(encoder.parameters()))
        results.append((vectors, *gradients))
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-6)
