"""Hyperparameters of networks on tables alone, and those that have other values there."""

from dataclasses import replace

from search_spaces.catalogue import network, training
from search_spaces.hyperparameter import Hyperparameter

TABLE_MODEL = replace(
    network.MODEL,
    advice="linear as a baseline; the MLP and the ResNet are close, and the best of the simple "
    "networks on tables (Gorishniy et al. 2021)",
    values=("mlp", "resnet", "linear"),
)

WIDTH = Hyperparameter(
    name="width",
    meaning="units between two blocks of the ResNet",
    default=192,
    kind="network",
    role="scientific",
    advice="64 to 512 (Gorishniy et al. 2021, table 12); less for tables of a few hundred rows",
    values=(32, 64, 128, 192, 256, 512),
    ordered=True,
    condition=("model", ("resnet",)),
)

BLOCKS = Hyperparameter(
    name="blocks",
    meaning="residual blocks",
    default=2,
    kind="network",
    role="scientific",
    advice="1 to 8 (Gorishniy et al. 2021, table 12), seldom more than 4",
    values=(1, 2, 3, 4),
    ordered=True,
    condition=("model", ("resnet",)),
)

WIDTH_FACTOR = Hyperparameter(
    name="width_factor",
    meaning="units inside a block, as a multiple of its width",
    default=2.0,
    kind="network",
    advice="1 to 4 (Gorishniy et al. 2021, table 12)",
    low=1.0,
    high=4.0,
    grid=(1.0, 2.0, 4.0),
    condition=("model", ("resnet",)),
)

IMPUTATION = Hyperparameter(
    name="imputation",
    meaning="what a missing value becomes, by the training rows",
    default="mean",
    kind="data",
    advice="a flag if that a value is missing says something; median where a column has outliers; "
    "most frequent for whole numbers that are names",
    values=("mean", "median", "most_frequent", "flag"),
)

FEATURE_SELECTION = Hyperparameter(
    name="feature_selection",
    meaning="how features are chosen",
    default="none",
    kind="data",
    role="scientific",
    advice="none first: a network can learn to ignore a feature. Mutual information where many "
    "columns are noise, a gate that is learned where features matter together (Yamada et al. "
    "2020); variance alone finds only what hardly changes",
    values=("none", "variance", "mutual_information", "gate"),
)

FEATURE_SHARE = Hyperparameter(
    name="feature_share",
    meaning="share of the features that is kept",
    default=0.5,
    kind="data",
    advice="a half, down to a tenth where there are hundreds",
    low=0.1,
    high=1.0,
    grid=(0.1, 0.25, 0.5, 0.75),
    condition=("feature_selection", ("variance", "mutual_information")),
)

GATE_PENALTY = Hyperparameter(
    name="gate_penalty",
    meaning="weight of the expected share of open gates in the loss",
    default=0.01,
    kind="regularization",
    advice="on a log scale: the higher, the fewer features stay (Yamada et al. 2020, section 4)",
    low=1e-3,
    high=1.0,
    scale="log",
    grid=(1e-3, 1e-2, 1e-1, 1.0),
    condition=("feature_selection", ("gate",)),
)

TABLE_MIN_STD = replace(
    training.MIN_STD,
    meaning="smallest deviation that divides a column, in the column's unit",
    default=1e-9,
    advice="1e-9 only prevents a division by 0; more where a column that hardly varies is noise",
)
