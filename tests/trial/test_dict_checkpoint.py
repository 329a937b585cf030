"""A dictionary that `save_checkpoint` returns comes back as it was, and brings no code with it."""

import os
import pickle
import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.in_process import names
from tune_cluster.trial.dict_checkpoint import (
    JSON_FILE,
    TORCH_FILE,
    load_returned,
    save_returned,
)

numbers = st.booleans() | st.integers() | st.floats(allow_nan=False) | st.none()
values = st.recursive(
    numbers | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner)
    ),
    max_leaves=9,
)


@given(st.dictionaries(st.text() | st.integers(), values))
def test_plain_data_is_restored_with_its_types(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("checkpoint")
    save_returned(content, str(folder))
    assert repr(load_returned(folder)) == repr(content)


def test_a_model_and_the_states_of_generators_are_restored(tmp_path):
    model = torch.nn.Linear(3, 3)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    content = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "generators": (random.getstate(), np.random.get_state(), torch.get_rng_state()),
        "numbers": [np.float32(0.5), np.int64(3), np.bool_(True), np.array(["text"])],
    }
    save_returned(content, str(tmp_path))
    assert names(tmp_path) == [TORCH_FILE]
    assert repr(load_returned(tmp_path)) == repr(content)


def test_a_dictionary_without_tensors_needs_no_torch_and_a_folder_is_a_folder(tmp_path):
    for returned in (None, str(tmp_path), tmp_path):
        save_returned(returned, str(tmp_path))
        assert load_returned(tmp_path) == str(tmp_path)
    save_returned({"epoch": 3, "losses": [0.5, None]}, str(tmp_path))
    assert names(tmp_path) == [JSON_FILE]


class Own:
    """A class of the user's."""


@pytest.mark.parametrize("value", [Own(), Own, lambda: Own, np.array([Own()]), {1: [Own()]}])
def test_an_object_that_only_a_pickle_can_hold_is_refused_on_saving(tmp_path, value):
    with pytest.raises(ValueError, match=r"Own|lambda"):
        save_returned({"value": value}, str(tmp_path))


@pytest.mark.parametrize("returned", ["/elsewhere", 3, [1]])
def test_a_returned_value_that_tune_refuses_is_refused(tmp_path, returned):
    with pytest.raises((ValueError, TypeError), match="save_checkpoint"):
        save_returned(returned, str(tmp_path))


class Hostile:
    def __reduce__(self):
        return os.mkdir, ("was-unpickled",)


def test_a_hostile_pickle_as_checkpoint_runs_no_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"x": Hostile()}, TORCH_FILE)
    with pytest.raises(pickle.UnpicklingError):
        load_returned(tmp_path)
    assert names(tmp_path) == [TORCH_FILE]
