"""How long a trial is trained, and how the learning rate changes on the way."""

from search_spaces.hyperparameter import Hyperparameter

EPOCHS = Hyperparameter(
    name="epochs",
    meaning="passes over the training data",
    default=27,
    kind="optimization",
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
    kind="optimization",
    role="scientific",
    advice="cosine or linear where the length of the run is known; constant under early stopping, "
    "where a trial is compared before it has cooled down; plateau where the length is not known",
    values=("constant", "step", "exponential", "cosine", "linear", "plateau"),
)

STEP_SIZE = Hyperparameter(
    name="step_size",
    meaning="epochs between two steps",
    default=9,
    kind="optimization",
    role="nuisance",
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
    kind="optimization",
    role="nuisance",
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
    kind="optimization",
    role="nuisance",
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
    kind="optimization",
    role="nuisance",
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
    kind="optimization",
    role="nuisance",
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
    kind="optimization",
    role="nuisance",
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
    kind="optimization",
    role="nuisance",
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
    kind="optimization",
    role="nuisance",
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
    kind="optimization",
    role="nuisance",
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
    kind="optimization",
    role="fixed",
    advice="10 to 100: a curve within an epoch shows divergence and a warm-up that is too short",
    values=(0, 10, 50, 100),
    ordered=True,
)
