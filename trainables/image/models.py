"""Networks: an MLP, a convolutional network, a small residual network and a linear baseline."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import Tensor, nn

from trainables.training.layers import ACTIVATION_LAYERS, Dropout

if TYPE_CHECKING:
    from trainables.image.config import ImageConfig


def build_model(
    config: ImageConfig, input_shape: tuple[int, int, int], classes: int
) -> nn.Sequential:
    """Build the network that `config.model` names.

    Args:
        config: configuration with the hyperparameters of the network.
        input_shape: `(channels, height, width)` of one image.
        classes: number of classes.

    Returns:
        A module from float `[batch, channels, height, width]` to logits `[batch, classes]`, whose
        last layer is the head; the MLP and the linear model also take
        `[batch, channels * height * width]`.
    """
    match config.model:
        case "cnn":
            return _cnn(config, input_shape, classes)
        case "resnet":
            return _resnet(config, input_shape[0], classes)
    hidden_sizes = config.hidden_sizes if config.model == "mlp" else ()
    return _mlp(config, math.prod(input_shape), hidden_sizes, classes)


def is_flat(config: ImageConfig) -> bool:
    """Return whether the model has dense layers alone, which take an image as a row."""
    return config.model in ("mlp", "linear")


class Residual(nn.Module):
    """Two convolutions with a skip connection (He et al. 2016, *Identity Mappings in Deep Residual
    Networks*, figure 1b: norm and activation come before each convolution)."""

    def __init__(self, config: ImageConfig, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.before = nn.Sequential(*_norm(config, inputs), ACTIVATION_LAYERS[config.activation]())
        self.inside = nn.Sequential(
            _convolution(config, inputs, outputs, stride),
            *_norm(config, outputs),
            ACTIVATION_LAYERS[config.activation](),
            Dropout(config.dropout),
            _convolution(config, outputs, outputs),
        )
        same = inputs == outputs and stride == 1
        self.around = None if same else nn.Conv2d(inputs, outputs, 1, bias=False)
        self._stride = stride

    def forward(self, images: Tensor) -> Tensor:
        """Map `[batch, inputs, height, width]` to `[batch, outputs, height / stride, …]`."""
        begun = self.before(images)
        past = images
        if self.around is not None:
            # In place of a stride of the convolution, whose gradient corrupts the memory of the
            # process on a CPU with AVX2 alone, if there are fewer than 8 channels (torch 2.15).
            past = self.around(begun[:, :, :: self._stride, :: self._stride])
        summed: Tensor = self.inside(begun) + past
        return summed


def _mlp(
    config: ImageConfig, inputs: int, hidden_sizes: tuple[int, ...], classes: int
) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Flatten()]
    for size in hidden_sizes:
        layers.append(nn.Linear(inputs, size))
        if config.norm != "none":
            layers.append(nn.BatchNorm1d(size) if config.norm == "batch" else nn.LayerNorm(size))
        layers.append(ACTIVATION_LAYERS[config.activation]())
        # Also at rate 0: weights are named by the positions of their layers.
        layers.append(Dropout(config.dropout))
        inputs = size
    layers.append(nn.Linear(inputs, classes))
    return nn.Sequential(*layers)


def _cnn(config: ImageConfig, input_shape: tuple[int, int, int], classes: int) -> nn.Sequential:
    inputs, height, width = input_shape
    layers: list[nn.Module] = []
    for channels in config.channels:
        for _ in range(config.depth):
            layers += [
                _convolution(config, inputs, channels),
                *_norm(config, channels),
                ACTIVATION_LAYERS[config.activation](),
            ]
            inputs = channels
        # Never reduce to 1 x 1: batch norm needs two values a channel, even in a last batch of one.
        if min(height, width) >= 4:
            layers.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
    return nn.Sequential(*layers, *_head(config, inputs, classes))


def _resnet(config: ImageConfig, inputs: int, classes: int) -> nn.Sequential:
    """Build a residual network for images of 28 to 32 pixels (He et al. 2016, section 4.2): one
    convolution, then stages of `depth` blocks; the image is halved between two stages."""
    width = config.channels[0]
    layers: list[nn.Module] = [_convolution(config, inputs, width)]
    for stage, channels in enumerate(config.channels):
        for block in range(config.depth):
            halved = stage > 0 and block == 0
            layers.append(Residual(config, width, channels, stride=2 if halved else 1))
            width = channels
    layers += [*_norm(config, width), ACTIVATION_LAYERS[config.activation]()]
    return nn.Sequential(*layers, *_head(config, width, classes))


def _convolution(config: ImageConfig, inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    side = config.kernel_size
    # A norm layer adds its own bias.
    bias = config.norm == "none"
    return nn.Conv2d(inputs, outputs, side, stride, padding=side // 2, bias=bias)


def _norm(config: ImageConfig, channels: int) -> list[nn.Module]:
    match config.norm:
        case "batch":
            return [nn.BatchNorm2d(channels)]
        case "layer":
            # Over channels and pixels of an image, with a scale and a shift for each channel.
            return [nn.GroupNorm(1, channels)]
    return []


def _head(config: ImageConfig, inputs: int, classes: int) -> list[nn.Module]:
    dropout = Dropout(config.dropout)
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), dropout, nn.Linear(inputs, classes)]
