"""Hyperparameters of training: length, schedule of the learning rate, regularization, and the
data that a trial sees."""

from search_spaces.hyperparameter import Hyperparameter

EPOCHS = Hyperparameter(
    name="epochs",
    meaning="passes over the training data",
    default=27,
    role="fixed",
    advice="3 to 10 for fine-tuning, 50 to 200 from scratch. It is the budget, so never tuned "
    "under early stopping: a longer run would be better just because it is longer",
    values=(3, 5, 9, 16, 27, 50, 100, 200),
    ordered=True,
)

EPOCHS_SCALING = Hyperparameter(
    name="epochs_scaling",
    meaning="factor of the passes over the data for a batch of b times its base",
    default="none",
    role="fixed",
    advice="b keeps the number of updates, without which large batches generalise worse (Hoffer "
    "et al. 2017). But a batch of twice the size needs half the updates, up to a size that depends "
    "on model and data, and no fewer beyond it (Shallue et al. 2019): none is right for small "
    "batches, b for very large ones, and the root of b is between. A rung counts shares of the "
    "run, equal in updates under b and unequal in time; with rungs the base must be the smallest "
    "batch size. The learning rate has no such factor: no relation of it to the length of a run is "
    "known to hold, and a range of three decades would make one trial a thousand times as long as "
    "another",
    values=("none", "equal_updates", "sqrt"),
)

SCHEDULE = Hyperparameter(
    name="schedule",
    meaning="how the learning rate changes between warm-up and ending",
    default="constant",
    role="scientific",
    advice="cosine or linear if the length of the run is known; constant under early stopping, "
    "which compares trials before a decay ends; plateau if the length is not known; milestones "
    "where a paper names them; restarts and periodic for several usable models in one run",
    values=(
        *("constant", "step", "exponential", "cosine", "linear", "plateau"),
        *("milestones", "restarts", "periodic"),
    ),
)

STEP_SIZE = Hyperparameter(
    name="step_size",
    meaning="epochs between two steps",
    default=9,
    advice="a third of the run, for two steps; He et al. 2016 take them after a half and after "
    "three quarters of the run",
    values=(3, 6, 9, 12),
    ordered=True,
    condition=("schedule", ("step",)),
)

MILESTONES = Hyperparameter(
    name="milestones",
    meaning="epochs, or updates, of the run after which a step is taken",
    default=(),
    advice="none given: after a half and three quarters of the run (He et al. 2016). Others: after "
    "each third, or after 30, 60 and 80% of it (Zagoruyko and Komodakis 2016)",
    values=((), (9, 18), (8, 16, 22)),
    condition=("schedule", ("milestones",)),
)

MILESTONE_UNIT = Hyperparameter(
    name="milestone_unit",
    meaning="unit of the milestones",
    default="epochs",
    role="fixed",
    advice="epochs; updates to repeat a paper that counts them: He et al. 2016 take steps after "
    "32,000 and 48,000 updates",
    values=("epochs", "updates"),
    condition=("schedule", ("milestones",)),
)

GAMMA_STEP = Hyperparameter(
    name="gamma",
    meaning="factor of the learning rate at each step",
    default=0.9,
    advice="0.1 for few steps (He et al. 2016), 0.5 and more for many",
    low=0.1,
    high=0.95,
    scale="log",
    grid=(0.1, 0.3, 0.5, 0.9),
    condition=("schedule", ("step", "milestones")),
)

GAMMA_EXPONENTIAL = Hyperparameter(
    name="gamma",
    meaning="factor of the learning rate over an epoch",
    default=0.9,
    advice="its power by the number of epochs is the final factor: 0.9 leaves 6% after 27",
    low=0.8,
    high=0.99,
    grid=(0.8, 0.9, 0.95, 0.99),
    condition=("schedule", ("exponential",)),
)

CYCLES = Hyperparameter(
    name="cycles",
    meaning="number of times that the cosine falls",
    default=1,
    advice="1 falls once; with more the learning rate rises again, and each fall ends in a usable "
    "model (Loshchilov and Hutter 2017; Huang et al. 2017)",
    values=(1, 2, 3, 4),
    ordered=True,
    condition=("schedule", ("cosine",)),
)

FALL_EPOCHS = Hyperparameter(
    name="fall_epochs",
    meaning="epochs of the first fall of restarts, and of each fall and each rise of periodic",
    default=0.0,
    advice="0 is a third of the run: with a growth of 2 the second fall ends with it. The run is "
    "best stopped at the end of a fall. Loshchilov and Hutter 2017 use T_0 = 1, 10 and 50 of 200 "
    "epochs",
    # 0, a third of 27 epochs, is between 6 and 13.5.
    values=(3.0, 6.0, 0.0, 13.5),
    ordered=True,
    condition=("schedule", ("restarts", "periodic")),
)

CYCLE_GROWTH = Hyperparameter(
    name="cycle_growth",
    meaning="length of a fall over the length of the fall before",
    default=2,
    advice="2: good models early, and long falls late (Loshchilov and Hutter 2017, T_mult); 1 "
    "keeps the length",
    values=(1, 2, 3),
    ordered=True,
    condition=("schedule", ("restarts",)),
)

LINEAR_EPOCHS = Hyperparameter(
    name="linear_epochs",
    meaning="epochs in which the line falls, after which the learning rate is constant",
    default=0.0,
    advice="0 is the whole run, which needs a final fraction above 0 or ends at 0; shorter with a "
    "final fraction of 0.01 to 0.1, if the run may be continued",
    values=(9.0, 18.0, 0.0),
    ordered=True,
    condition=("schedule", ("linear",)),
)

SCHEDULER_PATIENCE = Hyperparameter(
    name="scheduler_patience",
    meaning="epochs without a better validation loss (or patience_metric) before a step down",
    default=3,
    advice="2 to 10; below the patience that ends the trial, for several steps. A trial waits at "
    "least 2 epochs longer than this, so that a step may have an effect",
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
    advice="1 or 2: most of the benefit of a whole schedule, at the end alone, so that trials can "
    "be compared before it. After a cosine or a line it only straightens their end",
    low=0.0,
    high=2.0,
    grid=(0.0, 1.0, 2.0),
)

FINAL_LR_FRACTION = Hyperparameter(
    name="final_lr_fraction",
    meaning="final share of the learning rate after ending, linear and cosine",
    default=0.0,
    advice="0, or a hundredth; a tenth if the run may be continued",
    values=(0.0, 0.001, 0.01, 0.1),
    ordered=True,
)

PATIENCE = Hyperparameter(
    name="patience",
    meaning="epochs without a better validation loss (or patience_metric) before the trial ends; "
    "0 never ends it",
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

PATIENCE_METRIC = Hyperparameter(
    name="patience_metric",
    meaning="validation score that patience and the schedule plateau watch",
    default="loss",
    kind="regularization",
    role="fixed",
    advice="loss, which is smooth; the metric of the study where the loss rises long before the "
    "metric falls (Guo et al. 2017, section 3), or where classes are imbalanced: f1. objective is "
    "the loss that is minimised",
    values=(
        *("loss", "objective", "accuracy", "precision", "recall", "f1"),
        *("rmse", "mae", "r2", "mape"),
    ),
)

MIN_DELTA = Hyperparameter(
    name="min_delta",
    meaning="change of the watched validation score, in its unit, that counts as an improvement",
    default=0.0,
    kind="regularization",
    role="fixed",
    advice="0, or the difference in loss between two seeds",
    values=(0.0, 1e-4, 1e-3, 1e-2),
    ordered=True,
)

PRINT_FREQ = Hyperparameter(
    name="print_freq",
    meaning="steps between two that are logged (loss, scores, learning rate, speed); 0 for none",
    default=50,
    role="fixed",
    advice="10 to 100: a curve within an epoch shows divergence and a warm-up that is too short",
    values=(0, 10, 50, 100),
    ordered=True,
)

WEIGHT_DECAY = Hyperparameter(
    name="weight_decay",
    meaning="decay of the weight matrices towards zero; none for biases and norms",
    default=0.0,
    kind="regularization",
    advice="1e-5 to 1e-1 on a log scale, more for small data (0.01 to 0.1); decoupled under AdamW "
    "(Loshchilov and Hutter 2019), else L2",
    low=1e-5,
    high=1e-1,
    scale="log",
    grid=(1e-5, 1e-4, 1e-3, 1e-2, 1e-1),
)

DROPOUT = Hyperparameter(
    name="dropout",
    meaning="share of the units that is set to zero during training",
    default=0.1,
    kind="regularization",
    advice="0 to 0.5; more for wide layers and small data (Srivastava et al. 2014)",
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
    advice="0 to 0.2, usually 0.1 for noisy labels (Szegedy et al. 2016)",
    low=0.0,
    high=0.2,
    grid=(0.0, 0.1, 0.2),
    condition=("loss", ("cross_entropy",)),
)

AUGMENTATION = Hyperparameter(
    name="augmentation",
    meaning="random changes of training images",
    default="none",
    kind="regularization",
    role="scientific",
    advice="changes that keep the class: shifts almost always, flips not for digits and letters; "
    "more of them in longer runs",
    values=("none", "shift", "shift_flip", "erasing", "mixup"),
)

MIXUP_ALPHA = Hyperparameter(
    name="mixup_alpha",
    meaning="parameter of the beta distribution that mixes two images; higher mixes more evenly",
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
    advice="off, or 0.9 to 0.9999: an average over 10 to 10,000 updates, a tenth of the run at "
    "most. It has the effect of a falling learning rate (Sandler et al. 2023)",
    values=(0.0, 0.9, 0.99, 0.999, 0.9999),
    ordered=True,
)

TRAIN_RATIO = Hyperparameter(
    name="train_ratio",
    meaning="share of the data used for training; the validation set does not change",
    default=0.8,
    kind="data",
    role="fixed",
    advice="0.7 to 0.9, up to 0.99 on large data: the largest value defines the split of a study. "
    "Values below it show what more data would bring",
    values=(0.1, 0.2, 0.4, 0.7, 0.8, 0.9, 0.95, 0.99),
    ordered=True,
)

MIN_STD = Hyperparameter(
    name="min_std",
    meaning="smallest deviation that divides the inputs, relative to the full pixel range",
    default=1e-3,
    kind="data",
    role="fixed",
    advice="1e-8 or 1e-9 only prevents a division by 0 for a constant channel; a quarter of a grey "
    "level, 1e-3, also limits the noise of a channel that is constant in the training data",
    values=(1e-9, 1e-8, 1e-3),
    ordered=True,
)

FOLDS = Hyperparameter(
    name="folds",
    meaning="folds of a cross-validation, each the validation set once; 0 for a single split",
    default=0,
    kind="data",
    role="fixed",
    advice="5 or 10 (Kohavi 1995) for small data, a thousand samples or so: it costs as many "
    "trainings, and their mean is compared",
    values=(0, 3, 5, 10),
    ordered=True,
)

SEED = Hyperparameter(
    name="seed",
    meaning="seed of initial weights, shuffling, dropout and augmentation",
    default=0,
    kind="data",
    role="fixed",
    advice="never tuned: the best of several seeds is luck. The launcher gives each trial its own; "
    "a difference smaller than that between two seeds is none (Bouthillier et al. 2021)",
    low=0,
    high=2**31 - 1,
    integer=True,
    grid=(0, 1, 2),
)
