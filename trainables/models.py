"""The networks: an MLP, a small convolutional net and a linear baseline."""

import math

from torch import nn

from trainables.config import Config
from trainables.dropout import Dropout

ACTIVATION_LAYERS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}


def build_model(config: Config, input_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Build the network that `config.model` names.

    Args:
        config: the trial's hyperparameters.
        input_shape: `(channels, height, width)` of one image.
        classes: number of logits.

    Returns:
        A module from float `[batch, channels, height, width]` to logits `[batch, classes]`; the MLP
        and the linear model also take `[batch, channels * height * width]`.
    """
    if config.model == "cnn":
        return _cnn(config, input_shape, classes)
    hidden_sizes = config.hidden_sizes if config.model == "mlp" else ()
    return _mlp(config, math.prod(input_shape), hidden_sizes, classes)


def _mlp(config: Config, inputs: int, hidden_sizes: tuple[int, ...], classes: int) -> nn.Module:
    layers: list[nn.Module] = [nn.Flatten()]
    for size in hidden_sizes:
        layers += [nn.Linear(inputs, size), ACTIVATION_LAYERS[config.activation]()]
        if config.dropout > 0:
            layers.append(Dropout(config.dropout))
        inputs = size
    layers.append(nn.Linear(inputs, classes))
    return nn.Sequential(*layers)


def _cnn(config: Config, input_shape: tuple[int, int, int], classes: int) -> nn.Module:
    inputs, height, width = input_shape
    layers: list[nn.Module] = []
    for channels in config.channels:
        layers += [
            # Batch norm adds its own bias.
            nn.Conv2d(inputs, channels, config.kernel_size, padding="same", bias=False),
            nn.BatchNorm2d(channels),
            ACTIVATION_LAYERS[config.activation](),
        ]
        # Never down to 1 x 1: batch norm needs two values a channel, even in a last batch of one.
        if min(height, width) >= 4:
            layers.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
        inputs = channels
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    if config.dropout > 0:
        layers.append(Dropout(config.dropout))
    layers.append(nn.Linear(inputs, classes))
    return nn.Sequential(*layers)
