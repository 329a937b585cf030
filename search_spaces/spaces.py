"""Named search spaces, one for each question that a job asks."""

from dataclasses import replace

from search_spaces import catalogue
from search_spaces.hyperparameter import Hyperparameter
from search_spaces.space import Space


def scientific(parameter: Hyperparameter) -> Hyperparameter:
    """Return the hyperparameter in the scientific role: the question of the study."""
    return replace(parameter, role="scientific")


def nuisance(parameter: Hyperparameter) -> Hyperparameter:
    """Return the hyperparameter in the nuisance role: tuned so that the answer is fair."""
    return replace(parameter, role="nuisance")


NETWORK = (
    catalogue.MODEL,
    catalogue.HIDDEN_SIZES,
    catalogue.CHANNELS,
    catalogue.DEPTH,
    catalogue.KERNEL_SIZE,
    catalogue.ACTIVATION,
    catalogue.NORM_DENSE,
    catalogue.NORM_CONVOLUTIONAL,
)
SCHEDULES = (
    catalogue.SCHEDULE,
    catalogue.STEP_SIZE,
    catalogue.GAMMA_STEP,
    catalogue.GAMMA_EXPONENTIAL,
    catalogue.CYCLES,
    catalogue.SCHEDULER_PATIENCE,
    catalogue.SCHEDULER_FACTOR,
)
# At the end of a space, where they change no other value of a point.
SHAPES = (
    catalogue.MILESTONES,
    catalogue.FALL_EPOCHS,
    catalogue.CYCLE_GROWTH,
    catalogue.LINEAR_EPOCHS,
)
OPTIMIZERS = (
    catalogue.OPTIMIZER,
    catalogue.LEARNING_RATE_SGD,
    catalogue.LEARNING_RATE_ADAPTIVE,
    catalogue.MOMENTUM,
)

# An epoch in batches of 8 takes several times as long as in batches of 32.
BATCH_FROM_32 = replace(catalogue.BATCH_SIZE, values=(32, 64, 128, 256, 512))

LR_BATCH = Space("lr_batch", (catalogue.LEARNING_RATE, scientific(BATCH_FROM_32)))
"""Which learning rate suits which batch size? The first study of any model."""

LR = Space("lr", (catalogue.LEARNING_RATE,))
"""Which learning rate is best, and when? For schedules."""

OPTIMIZER = Space(
    "optimizer",
    (
        scientific(catalogue.OPTIMIZER),
        nuisance(catalogue.LEARNING_RATE_SGD),
        nuisance(catalogue.LEARNING_RATE_ADAPTIVE),
        nuisance(catalogue.MOMENTUM),
    ),
)
"""Which optimizer is best, each with its own learning rate? A comparison at a single learning rate
would only show which optimizer it suits (Choi et al. 2019). SGD with and without momentum count as
two; betas and epsilon are tuned later, for the best optimizer (`FULL_RECIPE`)."""

# The values that a grace period of one epoch covers.
SHORT_WARMUP = replace(catalogue.EPOCHS_WARMUP, high=1.0, grid=(0.0, 0.5, 1.0))

SCHEDULE = Space(
    "schedule",
    (
        *SCHEDULES,
        catalogue.EPOCHS_WARMUP,
        catalogue.EPOCHS_ENDING,
        nuisance(catalogue.LEARNING_RATE),
        *SHAPES,
    ),
    fixed=(("patience", 0),),
)
"""How should the learning rate change? Each schedule with its own learning rate."""


def within(space: Space, epochs: int) -> Space:
    """Return the space adapted to runs of `epochs` epochs: a warm-up of at most a tenth of them, an
    ending and a plateau patience of at most a third, steps, falls and lines of the same shares of
    them as of 27, and a frozen body that is thawed before the end."""

    def fitted(parameter: Hyperparameter) -> Hyperparameter:
        match parameter.name:
            case "epochs_warmup":
                return _below(parameter, epochs / 10)
            case "epochs_ending":
                return _below(parameter, epochs / 3)
            case "scheduler_patience":
                return _below(parameter, max(3, epochs // 3))
            case "step_size":
                ninths = sorted({max(1, round(epochs * share / 9)) for share in (1, 2, 3, 4)})
                middle = ninths[len(ninths) // 2]
                return replace(parameter, values=tuple(ninths), grid=tuple(ninths), default=middle)
            case "milestones":
                thirds, wide = (1 / 3, 2 / 3), (0.3, 0.6, 0.8)
                at = [tuple(round(epochs * part, 2) for part in parts) for parts in (thirds, wide)]
                return replace(parameter, values=((), *at))
            case "fall_epochs" | "linear_epochs":
                # 0 stands for a share itself.
                lengths = [v for v in parameter.values if isinstance(v, float)]
                return replace(parameter, values=tuple(round(epochs * v / 27, 2) for v in lengths))
            case "freeze_epochs":
                values = tuple(n for n in range(3) if n < epochs)
                return replace(parameter, values=values, grid=values)
        return parameter

    return replace(space, parameters=tuple(map(fitted, space.parameters)))


def _below(parameter: Hyperparameter, limit: float) -> Hyperparameter:
    """Return the hyperparameter with its range cut at `limit`, if it exceeds it."""
    if parameter.high is None or parameter.high <= limit:
        return parameter
    grid = tuple(v for v in parameter.grid if isinstance(v, (int, float)) and v < limit)
    return replace(parameter, high=limit, grid=(*grid, limit))


CLASS_LOSS = replace(catalogue.LOSS, values=("cross_entropy", "margin", "focal"))

NUMBER_LOSS = replace(
    catalogue.LOSS,
    default="squared_error",
    values=("squared_error", "absolute_error", "huber"),
)
"""Losses of numbers of any unit; the log loss needs targets from 0 to 1."""

OF_CLASSES = ("focal_gamma", "class_weights", "label_smoothing")
"""Hyperparameters that only losses of classes have."""


def for_targets(space: Space, classes: int) -> Space:
    """Return the space adapted to the targets of a dataset.

    Args:
        space: space of a job, whose losses are of classes.
        classes: number of classes; 0 for numbers, which are learned by the squared error or, where
            the space searches the loss, by one of `NUMBER_LOSS`.
    """
    if classes:
        return space
    parameters: list[Hyperparameter] = []
    for parameter in space.parameters:
        if parameter.name == "loss":
            parameters += [NUMBER_LOSS, catalogue.HUBER_DELTA]
        elif parameter.name not in OF_CLASSES:
            parameters.append(parameter)
    fixed = {name: value for name, value in space.fixed if name not in ("loss", *OF_CLASSES)}
    if NUMBER_LOSS not in parameters:
        fixed["loss"] = "squared_error"
    return replace(space, parameters=tuple(parameters), fixed=tuple(fixed.items()))


LOSS = Space(
    "loss",
    (
        CLASS_LOSS,
        catalogue.FOCAL_GAMMA,
        catalogue.CLASS_WEIGHTS,
        scientific(catalogue.LABEL_SMOOTHING),
        nuisance(catalogue.LEARNING_RATE),
    ),
)
"""Which loss should be minimised?"""

REGULARIZATION = Space(
    "regularization",
    (
        scientific(catalogue.DROPOUT),
        scientific(catalogue.WEIGHT_DECAY),
        scientific(catalogue.LABEL_SMOOTHING),
        scientific(catalogue.AUGMENTATION),
        scientific(catalogue.MIXUP_ALPHA),
        scientific(catalogue.EMA_DECAY),
    ),
    fixed=(("model", "mlp"), ("loss", "cross_entropy")),
)
"""What prevents overfitting?"""

ARCHITECTURE = Space(
    "architecture",
    (
        *NETWORK,
        nuisance(catalogue.LEARNING_RATE),
        catalogue.DROPOUT,
    ),
)
"""Which network is best? Each with its own learning rate."""

TRAINING = Space(
    "training",
    (
        *OPTIMIZERS,
        BATCH_FROM_32,
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
        BATCH_FROM_32,
        catalogue.CHANNELS,
        catalogue.KERNEL_SIZE,
        catalogue.DROPOUT,
        catalogue.WEIGHT_DECAY,
    ),
    fixed=(("model", "cnn"), ("optimizer", "sgd")),
)
"""Which convolutional network is best, and how is it trained?"""

FULL_RECIPE = Space(
    "full_recipe",
    (
        *NETWORK,
        *OPTIMIZERS,
        catalogue.NESTEROV,
        catalogue.BETA1,
        catalogue.BETA2,
        catalogue.ALPHA,
        catalogue.EPSILON,
        catalogue.BATCH_SIZE,
        catalogue.LR_SCALING,
        catalogue.BATCH_SIZE_SCHEDULE,
        catalogue.FINAL_BATCH_SIZE,
        catalogue.GRAD_CLIP_NORM,
        *SCHEDULES,
        SHORT_WARMUP,
        catalogue.EPOCHS_ENDING,
        catalogue.FINAL_LR_FRACTION,
        CLASS_LOSS,
        catalogue.FOCAL_GAMMA,
        catalogue.CLASS_WEIGHTS,
        catalogue.WEIGHT_DECAY,
        catalogue.DROPOUT,
        catalogue.LABEL_SMOOTHING,
        catalogue.AUGMENTATION,
        catalogue.MIXUP_ALPHA,
        catalogue.EMA_DECAY,
        *SHAPES,
    ),
    fixed=(("patience", 0),),
)
"""All tunable hyperparameters, for what remains after all other questions. Conditional, and more
than a study of a day can cover: `fix` what is known."""

FINE_TUNING = Space(
    "fine_tuning",
    (
        catalogue.LEARNING_RATE,
        scientific(catalogue.FREEZE_EPOCHS),
        catalogue.WEIGHT_DECAY,
        catalogue.DROPOUT,
        BATCH_FROM_32,
    ),
    fixed=(("model", "mlp"),),
)
"""How is a pretrained network fine-tuned on other data? The job gives `pretrained`."""
