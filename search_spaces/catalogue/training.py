"""How long a trial is trained, how the learning rate changes on the way, what keeps the network
from learning its training data by heart, and what a trial sees of the data."""

from search_spaces.hyperparameter import Hyperparameter

EPOCHS = Hyperparameter(
    name="epochs",
    meaning="passes over the training data",
    default=27,
    role="fixed",
    advice="3 to 10 for fine-tuning, 50 to 200 from scratch. It is the budget, so never tuned "
    "under early stopping: a longer run would only look better for being longer",
    values=(3, 5, 9, 16, 27, 50, 100, 200),
    ordered=True,
)

SCHEDULE = Hyperparameter(
    name="schedule",
    meaning="how the learning rate changes between warm-up and ending",
    default="constant",
    role="scientific",
    advice="cosine or linear where the length of the run is known; constant under early stopping, "
    "where a trial is compared before it has cooled down; plateau where the length is not known",
    values=("constant", "step", "exponential", "cosine", "linear", "plateau"),
)

STEP_SIZE = Hyperparameter(
    name="step_size",
    meaning="epochs between two steps",
    default=9,
    advice="a third of the run, for two steps down; He et al. 2016 take them after a half of it "
    "and after three quarters",
    values=(3, 6, 9, 12),
    ordered=True,
    condition=("schedule", ("step",)),
)

GAMMA_STEP = Hyperparameter(
    name="gamma",
    meaning="factor of the learning rate at each step",
    default=0.9,
    advice="0.1 in few steps (He et al. 2016), 0.5 and more in many",
    low=0.1,
    high=0.95,
    scale="log",
    grid=(0.1, 0.3, 0.5, 0.9),
    condition=("schedule", ("step",)),
)

GAMMA_EXPONENTIAL = Hyperparameter(
    name="gamma",
    meaning="factor of the learning rate over an epoch",
    default=0.9,
    advice="to the power of the epochs it is what is left at the end: 0.9 leaves 6% after 27",
    low=0.8,
    high=0.99,
    grid=(0.8, 0.9, 0.95, 0.99),
    condition=("schedule", ("exponential",)),
)

CYCLES = Hyperparameter(
    name="cycles",
    meaning="how often the cosine falls",
    default=1,
    advice="1 falls once; more rise again, each fall a model that could be taken (Loshchilov and "
    "Hutter 2017; Huang et al. 2017)",
    values=(1, 2, 3, 4),
    ordered=True,
    condition=("schedule", ("cosine",)),
)

SCHEDULER_PATIENCE = Hyperparameter(
    name="scheduler_patience",
    meaning="epochs without a lower validation loss before a step down",
    default=3,
    advice="2 to 10; at least 2 below the patience that ends the trial, or it never tells",
    low=2,
    high=10,
    integer=True,
    grid=(2, 3, 5, 10),
    condition=("schedule", ("plateau",)),
)

SCHEDULER_FACTOR = Hyperparameter(
    name="scheduler_factor",
    meaning="factor of the learning rate at such a step",
    default=10**-0.5,
    advice="0.1 to 0.5; the root of 0.1 makes a decade in two steps",
    low=0.1,
    high=0.5,
    scale="log",
    grid=(0.1, 0.2, 0.5),
    condition=("schedule", ("plateau",)),
)

EPOCHS_WARMUP = Hyperparameter(
    name="epochs_warmup",
    meaning="epochs in which the learning rate rises linearly from near 0",
    default=0.0,
    advice="0 to 10% of the run, usually 1 or 2; for large batches and learning rates (Goyal et "
    "al. 2017). Counted in steps, so half an epoch is possible. A grace period must cover it",
    low=0.0,
    high=2.0,
    grid=(0.0, 0.5, 1.0, 2.0),
)

EPOCHS_ENDING = Hyperparameter(
    name="epochs_ending",
    meaning="last epochs, in which the learning rate falls linearly",
    default=0.0,
    advice="1 or 2: most of what a whole schedule brings, at the end alone, so that trials can be "
    "compared before it. After a cosine or a line it only straightens their end",
    low=0.0,
    high=2.0,
    grid=(0.0, 1.0, 2.0),
)

FINAL_LR_FRACTION = Hyperparameter(
    name="final_lr_fraction",
    meaning="share of the learning rate that ending, linear and cosine fall to",
    default=0.0,
    advice="0, or a hundredth; a tenth where the run may be gone on with",
    values=(0.0, 0.001, 0.01, 0.1),
    ordered=True,
)

PATIENCE = Hyperparameter(
    name="patience",
    meaning="epochs without a lower validation loss before the trial ends; 0 never ends it",
    default=6,
    kind="regularization",
    role="fixed",
    advice="5 to 10, early stopping (Prechelt 1998). Off in the searches here: rungs stop their "
    "trials, or it is the accuracy that counts, which often rises for long after the loss has "
    "begun to",
    low=5,
    high=10,
    integer=True,
    grid=(5, 6, 8, 10),
)

MIN_DELTA = Hyperparameter(
    name="min_delta",
    meaning="by how much the validation loss must fall to count, in nats",
    default=0.0,
    kind="regularization",
    role="fixed",
    advice="0, or what the loss of two seeds differs by",
    values=(0.0, 1e-4, 1e-3, 1e-2),
    ordered=True,
)

PRINT_FREQ = Hyperparameter(
    name="print_freq",
    meaning="steps between two logged losses of single steps; 0 logs none",
    default=50,
    role="fixed",
    advice="10 to 100: a curve within an epoch shows divergence and a warm-up that is too short",
    values=(0, 10, 50, 100),
    ordered=True,
)

WEIGHT_DECAY = Hyperparameter(
    name="weight_decay",
    meaning="pull of the weight matrices towards zero; none of biases and norms",
    default=0.0,
    kind="regularization",
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
    advice="off, or 0.9 to 0.9999: a memory of 10 to 10,000 updates, a tenth of the run at most. "
    "It does what a falling learning rate does (Sandler et al. 2023)",
    values=(0.0, 0.9, 0.99, 0.999, 0.9999),
    ordered=True,
)

TRAIN_RATIO = Hyperparameter(
    name="train_ratio",
    meaning="share of the data that is trained on; the validation set stays what it is",
    default=0.8,
    kind="data",
    role="fixed",
    advice="0.7 to 0.9, up to 0.99 on large data: the split of a study is the largest of them. "
    "Swept below it, it tells what more data would bring",
    values=(0.1, 0.2, 0.4, 0.7, 0.8, 0.9, 0.95, 0.99),
    ordered=True,
)

MIN_STD = Hyperparameter(
    name="min_std",
    meaning="floor of the deviation that inputs are divided by, of the full pixel range",
    default=1e-3,
    kind="data",
    role="fixed",
    advice="1e-8 or 1e-9 only keeps a constant channel from a division by 0; a floor of a quarter "
    "of a shade, 1e-3, also keeps one that is constant in training from blowing up noise later",
    values=(1e-9, 1e-8, 1e-3),
    ordered=True,
)

FOLDS = Hyperparameter(
    name="folds",
    meaning="parts for a cross-validation, each the validation set once; 0 for the one split",
    default=0,
    kind="data",
    role="fixed",
    advice="5 or 10 (Kohavi 1995) where there are few data, a thousand samples or so: it costs as "
    "many trainings, and the mean of them decides",
    values=(0, 3, 5, 10),
    ordered=True,
)

SEED = Hyperparameter(
    name="seed",
    meaning="of initial weights, shuffling, dropout and augmentation",
    default=0,
    kind="data",
    role="fixed",
    advice="never tuned: the best of several seeds is luck. The launcher gives each trial its own; "
    "what differs by less than two seeds do does not differ (Bouthillier et al. 2021)",
    low=0,
    high=2**31 - 1,
    integer=True,
    grid=(0, 1, 2),
)
