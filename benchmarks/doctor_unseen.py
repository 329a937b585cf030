"""Faults and healthy studies that no rule of the doctor was mended on when they were first run.

Other data than in `doctor_faults.py` (the digits and tables of scikit-learn, reviews in Chinese),
other jobs (tables, texts, a script of one's own) and another seed. What the rules of then found is
in docs/figures.md; those that were mended on one of these studies have seen it since.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from doctor_faults import kill_trials, wrong_labels
from doctor_studies import HERE, Arrays, Planned
from sklearn.datasets import load_diabetes, load_digits, make_classification

from trainables.text.datasets import read_chinese_reviews

SCRIPT = str(HERE.parent / "examples" / "plain_script.py")
OWN = ("--script", SCRIPT, "--metric", "val_loss", "--seed", "11")
"""Flags of a script of one's own, which has a learning rate `lr` and a momentum of 0.9."""

TABLE = ("--seed", "11", "--batch-size", "32", "--fix", "model=mlp", "hidden_sizes=(64,)")
"""Flags of a table; further values to fix may follow."""

BAG = ("--seed", "11", "--model", "bag", "--fix", "patience=0", "min_count=2", "embedding_size=64")
"""Flags of texts, likewise."""


def digits(chosen: slice = slice(0, 1_400)) -> Arrays:
    """Return some of scikit-learn's digits, `[n, 8, 8]`, and the last 397 as test images."""
    found = load_digits()
    x, y = (found.images * 15).astype(np.uint8), found.target.astype(np.int64)
    return {"x": x[chosen], "y": y[chosen], "x_test": x[1_400:], "y_test": y[1_400:]}


def upper_ink() -> Arrays:
    """Return digits with a number each, the part of their ink in the upper half."""
    data = digits()
    for x, y in (("x", "y"), ("x_test", "y_test")):
        ink = data[x].sum(axis=2, dtype=np.float64) + 1.0
        data[y] = ink[:, :4].sum(axis=1) / ink.sum(axis=1)
    return data


@cache
def reviews(count: int) -> pd.DataFrame:
    """Return so many of the reviews in Chinese, as many of each class."""
    raw, _ = read_chinese_reviews(Path())
    texts = pd.DataFrame({"text": raw.train.inputs.strings(), "label": raw.train.targets})
    return pd.concat([of.head(count // 2) for _, of in texts.groupby("label")])


def twice() -> pd.DataFrame:
    """Return a table whose rows are there twice."""
    table = load_diabetes(as_frame=True).frame
    return pd.concat([table, table])


def one_in_forty() -> pd.DataFrame:
    """Return a table of two classes that overlap, 40 rows of one for one of the other."""
    x, y = make_classification(
        2_400, 10, weights=[0.975], flip_y=0.0, class_sep=0.4, random_state=11
    )
    return pd.DataFrame(x).add_prefix("x").assign(target=np.where(y, "yes", "no"))


UNSEEN = {
    "table_rates_too_low": Planned(
        check="boundary",
        job="table_classification",
        flags=(
            *("--dataset", "breast_cancer", "--trials", "16", "--max-epochs", "15"),
            *("--search", "learning_rate=log:1e-6:3e-5", *TABLE),
        ),
    ),
    "script_rates_too_low": Planned(
        check="boundary",
        job="search_script",
        flags=("--trials", "16", "--search", "lr=log:1e-4:5e-3", *OWN),
    ),
    "table_dropout_too_high": Planned(
        check="boundary",
        job="table_regression",
        flags=(
            *("--dataset", "cars", "--trials", "16", "--max-epochs", "15"),
            *("--search", "dropout=0.4:0.9", *TABLE, "learning_rate=0.003"),
        ),
    ),
    "table_rates_too_high": Planned(
        check="infeasible",
        job="table_regression",
        flags=(
            *("--dataset", "diabetes", "--trials", "16", "--max-epochs", "9"),
            *("--search", "learning_rate=log:0.03:100", *TABLE, "optimizer=sgd"),
        ),
    ),
    "digits_best_rates_at_divergence": Planned(
        check="divergence edge",
        flags=(
            *("--trials", "20", "--max-epochs", "9", "--targets", "numbers", "--model", "linear"),
            *("--batch-size", "256", "--search", "learning_rate=log:1e-3:10", "--seed", "11"),
        ),
        data=upper_ink,
    ),
    "reviews_overfit": Planned(
        check="overfitting",
        job="text_lstm",
        flags=(
            *("--trials", "12", "--max-epochs", "30", "--search", "learning_rate=log:3e-3:3e-2"),
            *(*BAG, "dropout=0.0", "embedding_dropout=0.0"),
        ),
        table=lambda: reviews(400),
    ),
    "table_noisy_steps": Planned(
        check="late variance",
        job="table_classification",
        flags=(
            *("--dataset", "wine", "--trials", "12", "--max-epochs", "12"),
            *("--search", "learning_rate=log:0.1:0.3", "--seed", "11", "--batch-size", "8"),
            *("--fix", "model=mlp", "hidden_sizes=(64,)", "patience=0"),
        ),
    ),
    "table_growing_rate": Planned(
        check="training loss",
        job="table_classification",
        flags=(
            *("--dataset", "digits", "--trials", "12", "--max-epochs", "12"),
            *("--search", "dropout=0.0:0.5", *TABLE, "patience=0"),
            "learning_rate_schedule=[[1,0.003],[5,0.1],[9,3.0]]",
        ),
    ),
    "reviews_too_many_epochs": Planned(
        check="best epoch",
        job="text_lstm",
        flags=(
            *("--trials", "12", "--max-epochs", "60", "--metric", "val_loss"),
            *("--search", "learning_rate=log:1e-2:5e-2", *BAG),
            *("dropout=0.0", "embedding_dropout=0.0"),
        ),
        table=lambda: reviews(400),
    ),
    "reviews_too_few_epochs": Planned(
        check="best epoch",
        job="text_lstm",
        flags=(
            *("--trials", "12", "--max-epochs", "4"),
            *("--search", "learning_rate=log:3e-4:3e-3", *BAG),
        ),
        table=lambda: reviews(2_000),
    ),
    "digits_ranks_that_turn": Planned(
        check="ranks",
        flags=(
            *("--trials", "24", "--max-epochs", "27", "--grace-period", "1", "--rung-rule", "top"),
            *("--search", "learning_rate=log:3e-4:1e-1", "--batch-size", "32", "--seed", "11"),
            *("--fix", "optimizer=adamw", "dropout=0.0"),
        ),
        data=lambda: wrong_labels(digits(), 0.5),
    ),
    "script_too_few_trials": Planned(
        check="trials",
        job="search_script",
        flags=("--trials", "6", "--search", "lr=log:0.003:0.3", "batch-size=16,32,64", *OWN),
    ),
    "script_ended_too_early": Planned(
        check="course",
        job="search_script",
        flags=(
            *("--trials", "24", "--epoch-budget", "24", "--max-concurrent", "1"),
            *("--search", "lr=log:1e-4:1e-3", *OWN),
        ),
    ),
    "script_batches_at_one_rate": Planned(
        check="batch size",
        job="search_script",
        flags=("--trials", "8", "--search", "batch-size=8,16,32,64,128", *OWN),
    ),
    "script_seeds_alone": Planned(
        check="noise",
        job="search_script",
        flags=(
            *("--trials", "10", "--grace-period", "9", "--search", "seed=int:1:10000"),
            *("--metric", "val_accuracy", "--mode", "max", "--script", SCRIPT, "--seed", "11"),
        ),
    ),
    "table_nothing_that_matters": Planned(
        check="noise",
        job="table_classification",
        flags=(
            *("--dataset", "digits", "--trials", "10", "--max-epochs", "12"),
            *("--search", "weight_decay=log:1e-9:1e-6", *TABLE, "learning_rate=0.003"),
            *("dropout=0.1", "patience=0"),
        ),
    ),
    "another_dataset_seed_11": Planned(
        check="dataset",
        flags=("--trials", "10", "--max-epochs", "3", "--seed", "11"),
        alone=True,
    ),
    "table_copies_in_the_split": Planned(
        check="leakage",
        job="table_regression",
        flags=("--trials", "6", "--max-epochs", "9", "--predict", "target", *TABLE),
        table=twice,
    ),
    "table_forty_to_one": Planned(
        check="imbalance",
        job="table_classification",
        flags=(
            *("--trials", "10", "--max-epochs", "9"),
            *("--search", "learning_rate=log:1e-4:1e-2", *TABLE),
        ),
        table=one_in_forty,
    ),
    "digits_many_places_for_few": Planned(
        check="waiting",
        flags=(
            *("--trials", "16", "--max-epochs", "729", "--max-concurrent", "8", "--seed", "11"),
            *("--cpus-per-trial", "0.25", "--batch-size", "16", "--rung-rule", "top"),
        ),
        data=digits,
    ),
    "table_unused_gpus": Planned(
        check="gpus",
        job="table_classification",
        flags=("--dataset", "wine", "--trials", "10", "--max-epochs", "9", *TABLE),
        cluster={"num_cpus": 2, "num_gpus": 1},
    ),
    "table_killed_again_and_again": Planned(
        check="retries",
        job="table_classification",
        flags=("--dataset", "digits", "--trials", "10", "--max-epochs", "20", *TABLE),
        during=kill_trials,
    ),
}
"""By name. What else a study of the same kind needs is that of a healthy one."""

UNSEEN_HEALTHY = {
    "digits_seed_11": Planned(
        flags=(
            *("--trials", "24", "--search", "learning_rate=log:1e-3:0.3", "--seed", "11"),
            *("--fix", "dropout=0.5", "label_smoothing=0.1"),
        ),
        data=digits,
    ),
    "table_classes": Planned(
        job="table_classification",
        flags=(
            *("--dataset", "digits", "--trials", "20", "--max-epochs", "40"),
            *("--search", "learning_rate=log:1e-4:3e-2", "dropout=0.0:0.6", *TABLE),
        ),
    ),
    "table_classes_breast_cancer": Planned(
        job="table_classification",
        flags=(
            *("--dataset", "breast_cancer", "--trials", "20", "--max-epochs", "40"),
            *("--metric", "val_loss"),
            *("--search", "learning_rate=log:1e-4:3e-2", "dropout=0.0:0.6", *TABLE),
        ),
    ),
    "table_numbers": Planned(
        job="table_regression",
        flags=(
            *("--dataset", "cars", "--trials", "20", "--max-epochs", "60"),
            *("--search", "learning_rate=log:1e-4:3e-2", "dropout=0.0:0.5", *TABLE),
        ),
    ),
    "reviews": Planned(
        job="text_lstm",
        flags=(
            *("--trials", "16", "--max-epochs", "12", "--search", "learning_rate=log:3e-4:3e-2"),
            *("embedding_dropout=0.0:0.5", *BAG, "dropout=0.3", "batch_size=32"),
        ),
        table=lambda: reviews(4_000),
    ),
    "script": Planned(
        job="search_script",
        flags=(
            *("--trials", "20", "--search", "lr=log:0.003:1", "batch-size=16,32,64,128"),
            *(*OWN, "--arguments=--epochs 27"),
        ),
    ),
}
"""By name."""
