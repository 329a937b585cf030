"""Initial weights: fitting ones are used, others are reported."""

import pickle

import pytest
import torch
from torch import nn

from trainables.image.config import ImageConfig
from trainables.image.models import build_model
from trainables.image.task import ImageData
from trainables.training.loop import fit
from trainables.training.state import load_pretrained, save_state

SMALL = ImageConfig(hidden_sizes=(8,), batch_size=32, epochs=1, ema_decay=0.9)


def network(classes=4, seed=0, **fields):
    torch.manual_seed(seed)
    return build_model(ImageConfig(**{"hidden_sizes": (8,), **fields}), (1, 8, 8), classes)


def test_a_state_dict_is_taken_over_whole(tmp_path):
    known, own = network(), network(seed=1)
    torch.save(known.state_dict(), tmp_path / "weights.pt")
    assert load_pretrained(own, str(tmp_path / "weights.pt")) == []
    for name, value in known.state_dict().items():
        assert torch.equal(own.state_dict()[name], value)


def test_of_other_classes_all_but_the_head_is_taken_over(tmp_path):
    known, own = network(classes=10), network(seed=1)
    torch.save(known.state_dict(), tmp_path / "weights.pt")
    head = own[-1].weight.clone()
    assert load_pretrained(own, str(tmp_path / "weights.pt")) == ["4.weight", "4.bias"]
    assert torch.equal(own[1].weight, known[1].weight)
    assert torch.equal(own[-1].weight, head)


def test_of_a_checkpoint_of_ours_the_average_is_taken(tiny, tmp_path):
    *_, (_, state) = fit(SMALL, ImageData(tiny))
    save_state(state, tmp_path / "state.pt")
    own = network(seed=1)
    load_pretrained(own, str(tmp_path))
    saved = state.networks[0]
    assert torch.equal(own[1].weight, saved.average["1.weight"])
    assert not torch.equal(own[1].weight, saved.model["1.weight"])


def test_the_networks_of_several_folds_are_no_one_network(tiny, tmp_path):
    *_, (_, state) = fit(ImageConfig(hidden_sizes=(8,), epochs=1, folds=2), ImageData(tiny))
    save_state(state, tmp_path / "state.pt")
    with pytest.raises(ValueError, match="2 networks, one per fold"):
        load_pretrained(network(), str(tmp_path))


@pytest.mark.parametrize(
    "networks", [{"a": 1}, [torch.zeros(1)], [{"model": {"a": 1}}], [{"model": 3}], 3]
)
def test_what_only_looks_like_a_state_of_ours_is_refused(tmp_path, networks):
    torch.save({"epoch": 1, "networks": networks}, tmp_path / "state.pt")
    with pytest.raises(ValueError, match="has no state dict"):
        load_pretrained(network(), str(tmp_path))


def test_names_that_are_no_texts_are_refused(tmp_path):
    torch.save({**network().state_dict(), 0: torch.zeros(1)}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match="has no state dict"):
        load_pretrained(network(), str(tmp_path / "w.pt"))


def test_what_is_no_state_dict_is_refused_and_never_run(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    (tmp_path / "hostile.pt").write_bytes(pickle.dumps(Hostile()))
    (tmp_path / "text.pt").write_text("no weights")
    torch.save({"a": 1}, tmp_path / "numbers.pt")
    for name in ("hostile.pt", "text.pt", "numbers.pt", "missing.pt"):
        with pytest.raises(ValueError, match=f"pretrained .*{name}"):
            load_pretrained(network(), str(tmp_path / name))
    assert not (tmp_path / "ran").exists()


def test_another_dropout_is_no_other_network(tmp_path):
    known, own = network(dropout=0.5), network(seed=1, dropout=0.0)
    torch.save(known.state_dict(), tmp_path / "weights.pt")
    assert load_pretrained(own, str(tmp_path / "weights.pt")) == []


def test_a_body_without_its_head_will_do(tmp_path):
    body = {n: w for n, w in network().state_dict().items() if n.startswith("1.")}
    torch.save(body, tmp_path / "weights.pt")
    assert load_pretrained(network(seed=1), str(tmp_path / "weights.pt")) == ["4.weight", "4.bias"]


def test_a_deeper_network_and_a_linear_one_are_refused(tmp_path):
    torch.save(network(hidden_sizes=(8, 6)).state_dict(), tmp_path / "weights.pt")
    for own in (network(), network(model="linear")):
        with pytest.raises(ValueError, match="another network"):
            load_pretrained(own, str(tmp_path / "weights.pt"))


@pytest.mark.parametrize("other", [nn.Linear(3, 2), network(hidden_sizes=(9,))])
def test_weights_of_another_network_are_refused_with_both_shapes(tmp_path, other):
    torch.save(other.state_dict(), tmp_path / "weights.pt")
    with pytest.raises(ValueError, match=r"another network: .* is .* in the file, .* in the model"):
        load_pretrained(network(), str(tmp_path / "weights.pt"))
