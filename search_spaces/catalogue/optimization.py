"""Hyperparameters of the weight updates: optimizer, learning rate, batch and loss."""

from dataclasses import replace

from search_spaces.hyperparameter import Hyperparameter

LEARNING_RATE = Hyperparameter(
    name="learning_rate",
    meaning="step size of the optimizer",
    default=1e-2,
    role="scientific",
    advice="on a log scale, since ratios matter (Bengio 2012, 3.3). First ranges: SGD 1e-2 to "
    "1e-1, with momentum 1e-3 to 1e-2, Adam 1e-3 to 1e-2. This range, for one optimizer with "
    "momentum, is wider by a decade on both sides, for models without an earlier study",
    low=1e-4,
    high=1e-1,
    scale="log",
    grid=(1e-4, 1e-3, 1e-2, 1e-1),
)

LEARNING_RATE_ADAPTIVE = replace(
    LEARNING_RATE,
    default=1e-3,
    condition=("optimizer", ("adam", "adamw", "rmsprop")),
    advice="1e-3 to 1e-2 first, widened by a decade on both sides. The default is a tenth of "
    "SGD's: these optimizers scale each update themselves (Kingma and Ba 2015)",
)

LEARNING_RATE_SGD = replace(
    LEARNING_RATE,
    high=1.0,
    grid=(1e-3, 1e-2, 1e-1, 1.0),
    condition=("optimizer", ("sgd", "adagrad")),
    advice="with and without momentum: both first ranges, 1e-3 to 1e-2 and 1e-2 to 1e-1, "
    "widened by a decade on both sides",
)

LR_SCALING = Hyperparameter(
    name="lr_scaling",
    meaning="factor of the learning rate for a batch of b times its base",
    default="none",
    advice="sources disagree: b keeps the progress per epoch (Goyal et al. 2017), the root of b "
    "the gradient noise (Krizhevsky 2014; Malladi et al. 2022 for Adam). Some use 1 / b, which "
    "suits a loss that is summed over the batch: ours is a mean. No rule holds for all models "
    "(Shallue et al. 2019): none, and a learning rate tuned for each batch size, is safest",
    values=("none", "linear", "sqrt", "inverse"),
)

BASE_BATCH_SIZE = Hyperparameter(
    name="base_batch_size",
    meaning="batch size that learning rate and epochs refer to, where they are scaled",
    default=128,
    role="fixed",
    advice="the batch size at which the learning rate was tuned",
    values=(8, 16, 32, 64, 128, 256, 512),
    ordered=True,
)

BATCH_SIZE = Hyperparameter(
    name="batch_size",
    meaning="samples in one update",
    default=128,
    advice="powers of two: 8 to 32 is noisy but generalises (Masters and Luschi 2018), 64 to 256 "
    "is smooth, 1024 and more for a large GPU. Not to be tuned for accuracy alone: another batch "
    "size needs another learning rate (Shallue et al. 2019). Spaces of a first study begin at 32, "
    "since an epoch takes the longer the smaller its batches",
    values=(8, 16, 32, 64, 128, 256, 512),
    ordered=True,
)

BATCH_SIZE_SCHEDULE = Hyperparameter(
    name="batch_size_schedule",
    meaning="whether the batch grows or shrinks during training",
    default="constant",
    advice="growing it has the effect of a falling learning rate, in fewer updates (Smith et al. "
    "2018)",
    values=("constant", "linear"),
)

FINAL_BATCH_SIZE = Hyperparameter(
    name="final_batch_size",
    meaning="samples in an update of the last epoch",
    default=512,
    advice="above the first to reduce noise at the end, below it to add noise",
    values=(32, 64, 128, 256, 512, 1024),
    ordered=True,
    condition=("batch_size_schedule", ("linear",)),
)

ACCUMULATION_STEPS = Hyperparameter(
    name="accumulation_steps",
    meaning="number of parts in which a batch passes through the network, for one update",
    default=1,
    role="fixed",
    advice="1 if a batch fits into memory: the update is the same, except for batch norm, which "
    "normalises each part separately",
    values=(1, 2, 4, 8),
    ordered=True,
)

GRAD_CLIP_NORM = Hyperparameter(
    name="grad_clip_norm",
    meaning="largest norm of the gradient; larger ones are scaled down to it, 0 disables clipping",
    default=0.0,
    advice="off, or 0.1 to 10: above the norm of a usual gradient, so that only outliers are "
    "clipped (Pascanu et al. 2013). Off comes last, as the limit of a large norm",
    values=(0.1, 0.3, 1.0, 3.0, 10.0, 0.0),
    ordered=True,
)

OPTIMIZER = Hyperparameter(
    name="optimizer",
    meaning="update rule",
    default="sgd",
    advice="with equal tuning the more general rule is never worse (Choi et al. 2019): AdamW "
    "first, and SGD with momentum for convolutions, its traditional use; Adagrad for rare "
    "features",
    values=("sgd", "adam", "adamw", "adagrad", "rmsprop"),
)

MOMENTUM = Hyperparameter(
    name="momentum",
    meaning="share of the last update that is kept",
    default=0.9,
    advice="0.9 is seldom far from the best; 0.95 to 0.99 with small learning rates (Sutskever et "
    "al. 2013); 0 is plain SGD",
    values=(0.0, 0.5, 0.9, 0.95, 0.99),
    ordered=True,
    condition=("optimizer", ("sgd",)),
)

NESTEROV = Hyperparameter(
    name="nesterov",
    meaning="whether the gradient is computed ahead, after the momentum step (Nesterov)",
    default=False,
    advice="helps most where momentum is high (Sutskever et al. 2013)",
    values=(False, True),
    condition=("momentum", (0.5, 0.9, 0.95, 0.99)),
)

BETA1 = Hyperparameter(
    name="beta1",
    meaning="share of the last mean gradient that is kept",
    default=0.9,
    advice="tuned after the learning rate, if trials are left (Godbole et al. 2023)",
    values=(0.8, 0.9, 0.95),
    ordered=True,
    condition=("optimizer", ("adam", "adamw")),
)

BETA2 = Hyperparameter(
    name="beta2",
    meaning="share of the last mean squared gradient that is kept",
    default=0.999,
    advice="0.999; lower if gradients change quickly or batches are large",
    values=(0.95, 0.99, 0.999, 0.9999),
    ordered=True,
    condition=("optimizer", ("adam", "adamw")),
)

ALPHA = Hyperparameter(
    name="alpha",
    meaning="share of the last mean squared gradient that RMSprop keeps",
    default=0.99,
    advice="0.9 (Tieleman and Hinton 2012) to 0.99 (PyTorch)",
    values=(0.9, 0.95, 0.99, 0.999),
    ordered=True,
    condition=("optimizer", ("rmsprop",)),
)

EPSILON = Hyperparameter(
    name="epsilon",
    meaning="added to the root that divides a gradient",
    default=1e-8,
    advice="1e-8; up to 1 turns an adaptive rule into SGD, worth a study if Adam is worse than SGD "
    "(Choi et al. 2019)",
    low=1e-10,
    high=1e-1,
    scale="log",
    grid=(1e-8, 1e-5, 1e-3),
    condition=("optimizer", ("adam", "adamw", "adagrad", "rmsprop")),
)

LOSS = Hyperparameter(
    name="loss",
    meaning="loss that is minimised",
    default="cross_entropy",
    role="scientific",
    advice="cross entropy unless there is a reason: focal if few samples are hard, margin if "
    "probabilities are not needed. For numbers squared error, which predicts the mean; absolute "
    "error, which predicts the median, or Huber where outliers are noise; log loss for "
    "probabilities",
    values=(
        *("cross_entropy", "margin", "focal"),
        *("squared_error", "absolute_error", "huber", "log_loss"),
    ),
)

HUBER_DELTA = Hyperparameter(
    name="huber_delta",
    meaning="error, in standard deviations of the targets, from which the Huber loss is linear",
    default=1.0,
    advice="1.35 is nearly as efficient as the squared error where errors are normal (Huber 1964); "
    "lower the more outliers there are",
    low=0.1,
    high=3.0,
    scale="log",
    grid=(0.3, 1.0, 1.35, 3.0),
    condition=("loss", ("huber",)),
)

FOCAL_GAMMA = Hyperparameter(
    name="focal_gamma",
    meaning="exponent that lowers the weight of samples that are already classified well",
    default=2.0,
    advice="0 is cross entropy, 2 worked best in the paper, 5 is the largest value that it tried "
    "(Lin et al. 2017)",
    low=0.0,
    high=5.0,
    grid=(0.5, 1.0, 2.0, 5.0),
    condition=("loss", ("focal",)),
)

CLASS_WEIGHTS = Hyperparameter(
    name="class_weights",
    meaning="whether each class has the same weight, however few its samples",
    default="none",
    advice="balanced if small classes matter as much (King and Zeng 2001); on balanced data both "
    "are equal",
    values=("none", "balanced"),
)

PRECISION = Hyperparameter(
    name="precision",
    meaning="number format of matrix products; weights and optimizer stay float32",
    default="float32",
    role="fixed",
    advice="bfloat16 is faster on processors that support it, and seldom changes accuracy; "
    "tf32, on GPUs from 2020 on, changes it even less",
    values=("float32", "tf32", "bfloat16"),
)
