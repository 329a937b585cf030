"""What a trial sees of the data, and the seed of all its random streams."""

from search_spaces.hyperparameter import Hyperparameter

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
