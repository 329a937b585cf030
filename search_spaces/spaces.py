"""The named spaces: one for each question that a job asks."""

from dataclasses import replace

from search_spaces.catalogue import (
    ACTIVATION,
    BATCH_SIZE,
    CHANNELS,
    DROPOUT,
    HIDDEN_SIZES,
    KERNEL_SIZE,
    LABEL_SMOOTHING,
    LEARNING_RATE,
    MOMENTUM,
    OPTIMIZER,
    WEIGHT_DECAY,
)
from search_spaces.space import Space

LEARNING_RATE_SGD = replace(
    LEARNING_RATE,
    low=1e-3,
    high=1e-1,
    grid=(1e-3, 3e-3, 1e-2, 3e-2, 1e-1),
    condition=("optimizer", ("sgd",)),
)
LEARNING_RATE_ADAM = replace(
    LEARNING_RATE,
    low=1e-4,
    high=1e-2,
    grid=(1e-4, 3e-4, 1e-3, 3e-3, 1e-2),
    condition=("optimizer", ("adam",)),
    advice="a tenth of SGD's: Adam scales each update itself (Kingma and Ba 2015)",
)

LR_BATCH = Space("lr_batch", (LEARNING_RATE, BATCH_SIZE))
"""Which learning rate goes with which batch size? The first study of any model."""

LR = Space("lr", (LEARNING_RATE,))
"""Which learning rate, and when? For schedules."""

OPTIMIZERS = Space("optimizers", (OPTIMIZER, LEARNING_RATE_SGD, LEARNING_RATE_ADAM))
"""Which optimizer, each with the learning rate that it needs? A comparison at one learning rate
would only find out whose it was (Choi et al. 2019)."""

REGULARIZATION = Space(
    "regularization", (DROPOUT, WEIGHT_DECAY, LABEL_SMOOTHING), fixed=(("model", "mlp"),)
)
"""What keeps the network from learning its training data by heart?"""

TRAINING = Space(
    "training",
    (
        OPTIMIZER,
        LEARNING_RATE_SGD,
        LEARNING_RATE_ADAM,
        MOMENTUM,
        BATCH_SIZE,
        HIDDEN_SIZES,
        ACTIVATION,
        DROPOUT,
        WEIGHT_DECAY,
        LABEL_SMOOTHING,
    ),
    fixed=(("model", "mlp"),),
)
"""How is the MLP trained best? Conditional: each optimizer has its own learning rate."""

CNN = Space(
    "cnn",
    (LEARNING_RATE, MOMENTUM, BATCH_SIZE, CHANNELS, KERNEL_SIZE, DROPOUT, WEIGHT_DECAY),
    fixed=(("model", "cnn"), ("optimizer", "sgd")),
)
"""Which convolutional network, and how is it trained?"""
