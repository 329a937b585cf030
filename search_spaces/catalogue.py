"""The catalogue: every hyperparameter that a trial can be given, its range, and the reason for it.

Names and defaults are those of the trainable's config; a test holds the two together.
"""

from search_spaces.hyperparameter import Hyperparameter

LEARNING_RATE = Hyperparameter(
    name="learning_rate",
    meaning="step size of the optimizer",
    default=1e-2,
    kind="optimization",
    role="scientific",
    advice="SGD with momentum 1e-3 to 1e-2 as a first range, widened by a decade on both sides "
    "where no study has been; on a log scale, since what matters is its ratio (Bengio 2012, 3.1)",
    low=1e-4,
    high=1e-1,
    scale="log",
    grid=(1e-4, 1e-3, 1e-2, 1e-1),
)

BATCH_SIZE = Hyperparameter(
    name="batch_size",
    meaning="samples in one update",
    default=128,
    kind="optimization",
    role="nuisance",
    advice="powers of two: 8 to 32 is noisy but generalises, 64 to 256 is smooth; a change of it "
    "asks for a new learning rate (Shallue et al. 2019)",
    values=(32, 64, 128, 256, 512),
    ordered=True,
)

OPTIMIZER = Hyperparameter(
    name="optimizer",
    meaning="rule of the update",
    default="sgd",
    kind="optimization",
    role="nuisance",
    advice="SGD with momentum where time allows to tune it, Adam where it does not "
    "(Choi et al. 2019)",
    values=("sgd", "adam"),
)

MOMENTUM = Hyperparameter(
    name="momentum",
    meaning="share of the last update that is kept",
    default=0.9,
    kind="optimization",
    role="nuisance",
    advice="0.9 is seldom far off; 0.95 to 0.99 with small learning rates (Sutskever et al. 2013)",
    low=0.5,
    high=0.99,
    grid=(0.5, 0.9, 0.95, 0.99),
    condition=("optimizer", ("sgd",)),
)

HIDDEN_SIZES = Hyperparameter(
    name="hidden_sizes",
    meaning="units of each hidden layer",
    default=(512, 256),
    kind="network",
    role="scientific",
    advice="too wide costs time, too narrow costs accuracy; layers of one shape or falling "
    "(Bengio 2012, 3.2)",
    values=((128,), (256, 128), (512, 256), (1024, 512), (512, 512, 512)),
    condition=("model", ("mlp",)),
)

ACTIVATION = Hyperparameter(
    name="activation",
    meaning="non-linearity between layers",
    default="relu",
    kind="network",
    role="nuisance",
    advice="ReLU first; GELU and tanh seldom change a ranking",
    values=("relu", "gelu", "tanh"),
    condition=("model", ("mlp", "cnn")),
)

CHANNELS = Hyperparameter(
    name="channels",
    meaning="channels of each convolution",
    default=(32, 64),
    kind="network",
    role="scientific",
    advice="doubled where the image is halved (Simonyan and Zisserman 2014)",
    values=((16, 32), (32, 64), (32, 64, 128)),
    condition=("model", ("cnn",)),
)

KERNEL_SIZE = Hyperparameter(
    name="kernel_size",
    meaning="side of a convolution's window, in pixels",
    default=3,
    kind="network",
    role="nuisance",
    advice="3, stacked, sees as much as 5 for less (Simonyan and Zisserman 2014)",
    values=(3, 5),
    ordered=True,
    condition=("model", ("cnn",)),
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
    condition=("model", ("mlp", "cnn")),
)

WEIGHT_DECAY = Hyperparameter(
    name="weight_decay",
    meaning="pull of the weight matrices towards zero",
    default=0.0,
    kind="regularization",
    role="nuisance",
    advice="1e-5 to 1e-1 on a log scale, more for few data (0.01 to 0.1); decoupled under Adam "
    "(Loshchilov and Hutter 2019)",
    low=1e-5,
    high=1e-1,
    scale="log",
    grid=(1e-5, 1e-4, 1e-3, 1e-2, 1e-1),
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
)

TRAIN_RATIO = Hyperparameter(
    name="train_ratio",
    meaning="share of the data that is trained on; the validation set stays what it is",
    default=0.8,
    kind="data",
    role="fixed",
    advice="swept below the split's own ratio it tells what more data would bring",
    values=(0.1, 0.2, 0.4, 0.8),
    ordered=True,
)

CATALOGUE = (
    LEARNING_RATE,
    BATCH_SIZE,
    OPTIMIZER,
    MOMENTUM,
    HIDDEN_SIZES,
    ACTIVATION,
    CHANNELS,
    KERNEL_SIZE,
    DROPOUT,
    WEIGHT_DECAY,
    LABEL_SMOOTHING,
    TRAIN_RATIO,
)
