import pytest
import torch
from torch import nn

from trainables.image.config import ImageConfig
from trainables.image.models import Residual, build_model


@pytest.mark.parametrize("model", ["mlp", "cnn", "resnet", "linear"])
@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 8, 8), (2, 5, 3)])
def test_any_image_becomes_a_logit_per_class(model, norm, shape):
    network = build_model(ImageConfig(model=model, channels=(4, 8, 8, 8), norm=norm), shape, 7)
    assert network.train()(torch.rand(2, *shape)).shape == (2, 7)


def test_a_residual_network_has_its_stages_and_blocks():
    config = ImageConfig(model="resnet", channels=(4, 6), depth=2, norm="batch")
    network = build_model(config, (1, 8, 8), 3)
    blocks = [layer for layer in network if isinstance(layer, Residual)]
    assert len(blocks) == 4
    # The third halves the image and widens it, so it cannot pass it on unchanged.
    assert [block.around is None for block in blocks] == [True, True, False, True]
    images, sides = torch.rand(2, 1, 8, 8), []
    for layer in network:
        images = layer(images)
        if isinstance(layer, Residual):
            sides.append(tuple(images.shape[1:]))
    assert sides == [(4, 8, 8), (4, 8, 8), (6, 4, 4), (6, 4, 4)]


def test_a_residual_block_whose_convolutions_are_zero_passes_the_image_on():
    block = Residual(ImageConfig(model="resnet", norm="none"), 4, 4, stride=1)
    for convolution in (block.inside[0], block.inside[-1]):
        torch.nn.init.zeros_(convolution.weight)
        torch.nn.init.zeros_(convolution.bias)
    images = torch.randn(2, 4, 5, 5)
    assert torch.equal(block(images), images)


def test_the_mlp_has_the_sizes_asked_for():
    network = build_model(ImageConfig(hidden_sizes=(20, 10), dropout=0.0), (1, 8, 8), 4)
    assert [p.shape for p in network.parameters() if p.dim() == 2] == [(20, 64), (10, 20), (4, 10)]


def test_the_linear_model_is_one_layer():
    network = build_model(ImageConfig(model="linear"), (1, 8, 8), 4)
    assert [type(layer) for layer in network] == [nn.Flatten, nn.Linear]


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_dropout_is_the_config_s(model):
    def rates(dropout):
        layers = build_model(ImageConfig(model=model, dropout=dropout), (1, 8, 8), 4)
        return {layer.p for layer in layers if isinstance(layer, nn.Dropout)}

    assert rates(0.3) == {0.3}
    # There at 0 too: weights are named by the places of layers.
    assert rates(0.0) == {0.0}


@pytest.mark.parametrize(
    ("name", "layer"), [("relu", nn.ReLU), ("gelu", nn.GELU), ("silu", nn.SiLU), ("tanh", nn.Tanh)]
)
def test_the_activation_is_the_config_s(name, layer):
    layers = build_model(ImageConfig(activation=name), (1, 8, 8), 4)
    assert any(isinstance(x, layer) for x in layers)


def test_convolutions_keep_the_size_and_their_kernel():
    layers = build_model(ImageConfig(model="cnn", kernel_size=5, channels=(4, 6)), (3, 16, 16), 4)
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    assert [c.weight.shape for c in convolutions] == [(4, 3, 5, 5), (6, 4, 5, 5)]
    assert convolutions[0](torch.rand(1, 3, 16, 16)).shape == (1, 4, 16, 16)
