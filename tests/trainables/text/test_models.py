"""Networks do not see padding, and keep their vocabulary."""

import pytest
import torch

from trainables.text.config import TextConfig
from trainables.text.models import build_model
from trainables.text.tokens import Words
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
