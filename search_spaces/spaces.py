"""The named spaces: one for each question that a job asks."""

from dataclasses import replace

from search_spaces import catalogue
from search_spaces.hyperparameter import Hyperparameter
from search_spaces.space import Space

LEARNING_RATE_SGD = replace(
    catalogue.LEARNING_RATE,
    low=1e-3,
    high=1e-1,
    grid=(1e-3, 3e-3, 1e-2, 3e-2, 1e-1),
    condition=("optimizer", ("sgd", "adagrad")),
)
LEARNING_RATE_ADAPTIVE = replace(
    catalogue.LEARNING_RATE,
    default=1e-3,
    low=1e-4,
    high=1e-2,
    grid=(1e-4, 3e-4, 1e-3, 3e-3, 1e-2),
    condition=("optimizer", ("adam", "adamw", "rmsprop")),
    advice="a tenth of SGD's: they scale each update themselves (Kingma and Ba 2015)",
)


def scientific(parameter: Hyperparameter) -> Hyperparameter:
    """As the question of a study, and no longer only tuned along."""
    return replace(parameter, role="scientific")


def nuisance(parameter: Hyperparameter) -> Hyperparameter:
    """Tuned along, so that the answer is fair."""
    return replace(parameter, role="nuisance")


LR_BATCH = Space("lr_batch", (catalogue.LEARNING_RATE, scientific(catalogue.BATCH_SIZE)))
"""Which learning rate goes with which batch size? The first study of any model."""

LR = Space("lr", (catalogue.LEARNING_RATE,))
"""Which learning rate, and when? For schedules."""

OPTIMIZER = Space(
    "optimizer",
    (
        scientific(catalogue.OPTIMIZER),
        nuisance(LEARNING_RATE_SGD),
        nuisance(LEARNING_RATE_ADAPTIVE),
    ),
)
"""Which optimizer, each with the learning rate that it needs? A comparison at one learning rate
would only find out whose it was (Choi et al. 2019)."""

# A first look has three epochs, which both have to fit into.
WARMUP = replace(catalogue.EPOCHS_WARMUP, high=1.0, grid=(0.0, 0.5, 1.0))

SCHEDULE = Space(
    "schedule",
    (
        catalogue.SCHEDULE,
        catalogue.STEP_SIZE,
        catalogue.GAMMA_STEP,
        catalogue.GAMMA_EXPONENTIAL,
        catalogue.CYCLES,
        catalogue.SCHEDULER_PATIENCE,
        catalogue.SCHEDULER_FACTOR,
        WARMUP,
        catalogue.EPOCHS_ENDING,
        nuisance(catalogue.LEARNING_RATE),
    ),
)
"""How should the learning rate change? With the one that each schedule needs."""

LOSS = Space(
    "loss",
    (
        catalogue.LOSS,
        catalogue.FOCAL_GAMMA,
        catalogue.CLASS_WEIGHTS,
        scientific(catalogue.LABEL_SMOOTHING),
        nuisance(catalogue.LEARNING_RATE),
    ),
)
"""What should be minimised?"""

REGULARIZATION = Space(
    "regularization",
    tuple(
        map(
            scientific,
            (
                catalogue.DROPOUT,
                catalogue.WEIGHT_DECAY,
                catalogue.LABEL_SMOOTHING,
                catalogue.AUGMENTATION,
                catalogue.MIXUP_ALPHA,
            ),
        )
    ),
    fixed=(("model", "mlp"), ("loss", "cross_entropy")),
)
"""What keeps the network from learning its training data by heart?"""

ARCHITECTURE = Space(
    "architecture",
    (
        catalogue.MODEL,
        catalogue.HIDDEN_SIZES,
        catalogue.CHANNELS,
        catalogue.DEPTH,
        catalogue.KERNEL_SIZE,
        catalogue.ACTIVATION,
        catalogue.NORM_DENSE,
        catalogue.NORM_CONVOLUTIONAL,
        nuisance(catalogue.LEARNING_RATE),
        catalogue.DROPOUT,
    ),
)
"""Which network? With the learning rate that it needs."""

TRAINING = Space(
    "training",
    (
        catalogue.OPTIMIZER,
        LEARNING_RATE_SGD,
        LEARNING_RATE_ADAPTIVE,
        catalogue.MOMENTUM,
        catalogue.BATCH_SIZE,
        catalogue.HIDDEN_SIZES,
        catalogue.ACTIVATION,
        catalogue.DROPOUT,
        catalogue.WEIGHT_DECAY,
        catalogue.LABEL_SMOOTHING,
    ),
    fixed=(("model", "mlp"), ("loss", "cross_entropy")),
)
"""How is the MLP trained best? Conditional: each optimizer has its own learning rate."""

CNN = Space(
    "cnn",
    (
        catalogue.LEARNING_RATE,
        catalogue.MOMENTUM,
        catalogue.BATCH_SIZE,
        catalogue.CHANNELS,
        catalogue.KERNEL_SIZE,
        catalogue.DROPOUT,
        catalogue.WEIGHT_DECAY,
    ),
    fixed=(("model", "cnn"), ("optimizer", "sgd")),
)
"""Which convolutional network, and how is it trained?"""

FULL_RECIPE = Space(
    "full_recipe",
    (
        catalogue.MODEL,
        catalogue.HIDDEN_SIZES,
        catalogue.CHANNELS,
        catalogue.DEPTH,
        catalogue.KERNEL_SIZE,
        catalogue.ACTIVATION,
        catalogue.NORM_DENSE,
        catalogue.NORM_CONVOLUTIONAL,
        catalogue.OPTIMIZER,
        LEARNING_RATE_SGD,
        LEARNING_RATE_ADAPTIVE,
        catalogue.MOMENTUM,
        catalogue.NESTEROV,
        catalogue.BETA1,
        catalogue.BETA2,
        catalogue.ALPHA,
        catalogue.EPSILON,
        catalogue.BATCH_SIZE,
        catalogue.LR_SCALING,
        catalogue.BASE_BATCH_SIZE,
        catalogue.BATCH_SIZE_SCHEDULE,
        catalogue.FINAL_BATCH_SIZE,
        catalogue.ACCUMULATION_STEPS,
        catalogue.GRAD_CLIP_NORM,
        catalogue.SCHEDULE,
        catalogue.STEP_SIZE,
        catalogue.GAMMA_STEP,
        catalogue.GAMMA_EXPONENTIAL,
        catalogue.CYCLES,
        catalogue.SCHEDULER_PATIENCE,
        catalogue.SCHEDULER_FACTOR,
        WARMUP,
        catalogue.EPOCHS_ENDING,
        catalogue.FINAL_LR_FRACTION,
        catalogue.LOSS,
        catalogue.FOCAL_GAMMA,
        catalogue.CLASS_WEIGHTS,
        catalogue.WEIGHT_DECAY,
        catalogue.DROPOUT,
        catalogue.LABEL_SMOOTHING,
        catalogue.AUGMENTATION,
        catalogue.MIXUP_ALPHA,
        catalogue.EMA_DECAY,
        replace(catalogue.PRECISION, values=("float32", "bfloat16")),
    ),
)
"""All of it: what is left when every other question has been asked. Conditional, and more than a
study of a day can cover: `fix` what is known."""

SPACES = (
    LR_BATCH,
    LR,
    OPTIMIZER,
    SCHEDULE,
    LOSS,
    REGULARIZATION,
    ARCHITECTURE,
    TRAINING,
    CNN,
    FULL_RECIPE,
)
