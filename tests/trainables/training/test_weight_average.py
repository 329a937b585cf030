"""The moving average of the weights."""

import contextlib

import pytest
import torch
from torch import nn

from trainables.training.optimizers import WeightAverage


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


def test_it_is_the_average_that_its_recursion_says():
    network = model()
    average = WeightAverage(network, 0.9)
    expected = network.state_dict()["0.weight"].clone()
    for updates in range(1, 200):
        with torch.no_grad():
            network[0].weight += torch.randn(2, 3)
        average.update(network, updates)
        decay = min(0.9, (1 + updates) / (10 + updates))
        expected = decay * expected + (1 - decay) * network[0].weight.detach()
        assert torch.allclose(average.weights["0.weight"], expected, atol=1e-5)


def test_statistics_of_norms_are_averaged_and_counts_are_not():
    assert set(WeightAverage(model(), 0.9).weights) == {
        *("0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"),
    }


def test_inside_the_model_has_the_average_and_afterwards_its_own_weights_even_after_an_error():
    network = model()
    average = WeightAverage(network, 0.5)
    own = {name: value.clone() for name, value in network.state_dict().items()}
    for value in average.weights.values():
        value.add_(1)
    with contextlib.suppress(RuntimeError), average.in_place_of(network):
        assert torch.equal(network[0].weight, own["0.weight"] + 1)
        raise RuntimeError
    assert all(torch.equal(value, own[name]) for name, value in network.state_dict().items())


def test_without_a_decay_there_is_none_and_the_model_stays_what_it_is():
    network = model()
    average = WeightAverage(network, 0.0)
    average.update(network, 1)
    assert average.weights == {}
    with average.in_place_of(network):
        pass
    average.load({})


def test_a_saved_one_is_copied_and_one_of_another_model_refused():
    network = model()
    average = WeightAverage(network, 0.9)
    saved = {name: value + 1 for name, value in average.weights.items()}
    average.load(saved)
    saved["0.weight"].zero_()
    assert not torch.equal(average.weights["0.weight"], saved["0.weight"])
    with pytest.raises(ValueError, match=r"an average of 0 tensors, ema_decay 0\.9 keeps one of"):
        average.load({})
