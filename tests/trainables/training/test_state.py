import pickle

import pytest
import torch

from trainables.training.state import NetworkState, State, load_state, save_state


def a_state() -> State:
    network = NetworkState(
        updates=21,
        model={"w": torch.arange(2.0)},
        optimizer={0: {"momentum_buffer": torch.ones(2)}},
        average={},
    )
    return State(epoch=3, networks=(network, network), patience={"best": 0.5})


def test_what_was_saved_is_loaded(tmp_path):
    save_state(a_state(), tmp_path / "state.pt")
    state = load_state(tmp_path / "state.pt")
    assert (state.epoch, state.patience, len(state.networks)) == (3, {"best": 0.5}, 2)
    for network in state.networks:
        assert (network.updates, network.average) == (21, {})
        assert torch.equal(network.model["w"], torch.arange(2.0))
        assert torch.equal(network.optimizer[0]["momentum_buffer"], torch.ones(2))


def test_code_in_a_file_is_refused(tmp_path):
    torch.save({"epoch": 1, "model": test_code_in_a_file_is_refused}, tmp_path / "state.pt")
    with pytest.raises(pickle.UnpicklingError):
        load_state(tmp_path / "state.pt")


def test_a_file_of_another_shape_is_refused(tmp_path):
    torch.save({"epoch": 1, "weights": torch.ones(1)}, tmp_path / "state.pt")
    with pytest.raises(ValueError, match=r"state\.pt is not a state"):
        load_state(tmp_path / "state.pt")
