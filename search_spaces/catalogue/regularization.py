"""What keeps a network from learning its training data by heart."""

from search_spaces.hyperparameter import Hyperparameter

WEIGHT_DECAY = Hyperparameter(
    name="weight_decay",
    meaning="pull of the weight matrices towards zero; none of biases and norms",
    default=0.0,
    kind="regularization",
    role="nuisance",
    advice="1e-5 to 1e-1 on a log scale, more for few data (0.01 to 0.1); decoupled under AdamW "
    "(Loshchilov and Hutter 2019), else L2",
    low=1e-5,
    high=1e-1,
    scale="log",
    grid=(1e-5, 1e-4, 1e-3, 1e-2, 1e-1),
)

DROPOUT = Hyperparameter(
    name="dropout",
    meaning="share of the units that is set to zero in training",
    default=0.1,
    kind="regularization",
    role="nuisance",
    advice="0 to 0.5; more for wide layers and few data (Srivastava et al. 2014)",
    low=0.0,
    high=0.5,
    grid=(0.0, 0.1, 0.3, 0.5),
    condition=("model", ("mlp", "cnn", "resnet")),
)

LABEL_SMOOTHING = Hyperparameter(
    name="label_smoothing",
    meaning="share of the target that is spread over all classes",
    default=0.0,
    kind="regularization",
    role="nuisance",
    advice="0 to 0.2, usually 0.1 where labels are dirty (Szegedy et al. 2016)",
    low=0.0,
    high=0.2,
    grid=(0.0, 0.1, 0.2),
    condition=("loss", ("cross_entropy",)),
)

AUGMENTATION = Hyperparameter(
    name="augmentation",
    meaning="how training images are changed at random",
    default="none",
    kind="regularization",
    role="scientific",
    advice="what leaves the class as it is: shifts almost always, flips not for digits and "
    "letters; the longer the run, the more of it",
    values=("none", "shift", "shift_flip", "erasing", "mixup"),
)

MIXUP_ALPHA = Hyperparameter(
    name="mixup_alpha",
    meaning="how even the mixture of two images is",
    default=0.2,
    kind="regularization",
    role="nuisance",
    advice="0.1 to 0.4 on large data, up to 1 on CIFAR (Zhang et al. 2018)",
    low=0.1,
    high=1.0,
    scale="log",
    grid=(0.1, 0.2, 0.4, 1.0),
    condition=("augmentation", ("mixup",)),
)

EMA_DECAY = Hyperparameter(
    name="ema_decay",
    meaning="share of the weights' moving average that each update keeps; 0 keeps no average",
    default=0.0,
    kind="regularization",
    role="nuisance",
    advice="off, or 0.9 to 0.9999: a memory of 10 to 10,000 updates, a tenth of the run at most. "
    "It does what a falling learning rate does (Sandler et al. 2023)",
    values=(0.0, 0.9, 0.99, 0.999, 0.9999),
    ordered=True,
)
