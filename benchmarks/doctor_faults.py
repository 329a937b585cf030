"""Faults that are planted in studies of the first job, on Fashion-MNIST, and healthy studies of it.

The rules of the doctor were mended on them: `doctor_unseen.py` has others.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import numpy as np
from doctor_studies import HERE, Arrays, Planned
from numpy.typing import NDArray

# Processes of trials are found as in the tests.
sys.path.insert(0, str(HERE.parent))

from tests.faults.rack import descendants, trains
from trainables.image.datasets import DATASETS

DATA = HERE.parent / "data"

FIRST, LATER, MANY = slice(0, 10_000), slice(10_000, 20_000), slice(20_000, 22_000)
"""Images of Fashion-MNIST."""

KILLS = 8
"""Number of processes of trials that are killed."""

Images = tuple[NDArray[np.uint8], NDArray[np.int64]]


@cache
def fashion(part: str) -> Images:
    """Return the training or the test images of Fashion-MNIST, `[n, 28, 28]`, and classes."""
    found = DATASETS["fashion_mnist"].read(DATA)
    one = found.train if part == "train" else found.test
    return one.inputs.pixels[:, 0], one.targets.astype(np.int64)


def images(chosen: slice = MANY, tested: int = 2_000) -> Arrays:
    """Return some images of Fashion-MNIST and the first of its test images."""
    (x, y), (x_test, y_test) = fashion("train"), fashion("test")
    return {
        **{"x": x[chosen], "y": y[chosen]},
        **{"x_test": x_test[:tested], "y_test": y_test[:tested]},
    }


def few() -> Arrays:
    """Return 600 images, a fifth of them with a class drawn at random."""
    return wrong_labels(images(slice(20_000, 20_600)), 0.2)


def wrong_labels(data: Arrays, share: float) -> Arrays:
    """Return data, a share of whose training classes are drawn at random."""
    generator = np.random.default_rng(0)
    y = data["y"].copy()
    wrong = generator.random(len(y)) < share
    y[wrong] = generator.integers(0, 10, wrong.sum())
    return {**data, "y": y}


def copied() -> Arrays:
    """Return images that are there twice, so that a split puts copies into both of its parts."""
    data = images(slice(20_000, 21_000))
    return {**data, "x": np.concatenate([data["x"]] * 2), "y": np.concatenate([data["y"]] * 2)}


def unbalanced() -> Arrays:
    """Return shirts and T-shirts, which look alike, 30 of these for one of those."""
    (x, y), (x_test, y_test) = fashion("train"), fashion("test")
    rows = np.r_[np.flatnonzero(y == 0)[:2_400], np.flatnonzero(y == 6)[:80]]
    tested = np.flatnonzero((y_test == 0) | (y_test == 6))
    return {
        **{"x": x[rows], "y": (y[rows] == 6).astype(np.int64)},
        **{"x_test": x_test[tested], "y_test": (y_test[tested] == 6).astype(np.int64)},
    }


def shares() -> Arrays:
    """Return images with a number each, the part of their brightness in the upper half: a linear
    model of it is the better the larger its rate is, until it diverges."""
    data = images()
    for x, y in (("x", "y"), ("x_test", "y_test")):
        bright = data[x].sum(axis=2, dtype=np.float64) + 1.0
        data[y] = bright[:, :14].sum(axis=1) / bright.sum(axis=1)
    return data


def kill_trials(process: subprocess.Popen[bytes], study: Path) -> None:
    """Kill the process of a trial, again and again, with a second of work between."""
    for _ in range(KILLS):
        while process.poll() is None and not (found := working(process)):
            time.sleep(0.1)
        time.sleep(1)
        if process.poll() is not None:
            break
        for pid in found[:1]:
            if trains(pid):
                os.kill(pid, signal.SIGKILL)


def working(process: subprocess.Popen[bytes]) -> list[int]:
    """Return the processes that train a trial of a study."""
    return [pid for pid in descendants(process.pid) if trains(pid)]


def whole(epochs: int) -> tuple[str, ...]:
    """Return the flags of trials of so many epochs that no rung stops."""
    return "--max-epochs", str(epochs), "--grace-period", str(epochs)


FAULTS = {
    "rates_too_low": Planned(
        check="boundary",
        flags=(*("--trials", "16", "--max-epochs", "9"), "--search", "learning_rate=log:5e-5:1e-3"),
        data=images,
    ),
    "rates_too_high": Planned(
        check="infeasible",
        flags=(*("--trials", "16", "--max-epochs", "9"), "--search", "learning_rate=log:0.03:30"),
        data=images,
    ),
    "best_rates_at_divergence": Planned(
        check="divergence edge",
        flags=(
            *("--trials", "20", "--max-epochs", "9", "--targets", "numbers", "--model", "linear"),
            *("--batch-size", "256", "--search", "learning_rate=log:1e-4:1e-1"),
        ),
        data=shares,
    ),
    "no_regularization": Planned(
        check="overfitting",
        flags=(
            *("--trials", "12", *whole(27), "--search", "learning_rate=log:3e-4:1e-2"),
            *("--fix", "optimizer=adamw", "dropout=0.0"),
        ),
        data=few,
    ),
    "noisy_steps": Planned(
        check="late variance",
        flags=(
            *("--trials", "12", *whole(12)),
            *("--batch-size", "16", "--search", "learning_rate=log:0.03:0.055"),
        ),
        data=lambda: images(slice(20_000, 21_000)),
    ),
    "growing_rate": Planned(
        check="training loss",
        flags=(
            *("--trials", "12", *whole(12), "--search", "dropout=0.0:0.5"),
            *("--fix", "learning_rate_schedule=[[1,0.03],[5,0.3],[9,3.0]]", "grad_clip_norm=1.0"),
        ),
        data=images,
    ),
    "too_many_epochs": Planned(
        check="best epoch",
        flags=(
            *("--trials", "12", *whole(60), "--metric", "val_loss"),
            *("--fix", "optimizer=adamw", "dropout=0.0"),
            *("--search", "learning_rate=log:1e-3:1e-2"),
        ),
        data=few,
    ),
    "too_few_epochs": Planned(
        check="best epoch",
        flags=(
            *("--trials", "12", *whole(4)),
            *("--search", "learning_rate=log:1e-3:1e-2"),
        ),
        data=images,
    ),
    "ranks_that_turn": Planned(
        check="ranks",
        flags=(
            *("--trials", "24", "--max-epochs", "27", "--grace-period", "1", "--rung-rule", "top"),
            *("--search", "learning_rate=log:3e-4:1e-1"),
            *("--fix", "optimizer=adamw", "dropout=0.0"),
        ),
        data=lambda: wrong_labels(images(slice(20_000, 21_000)), 0.5),
    ),
    "too_few_trials": Planned(
        check="trials", flags=("--trials", "6", "--max-epochs", "9"), data=images
    ),
    "ended_too_early": Planned(
        check="course",
        flags=(
            *("--trials", "24", "--epoch-budget", "24", "--max-concurrent", "1"),
            *("--search", "learning_rate=log:5e-5:5e-4"),
        ),
        data=images,
    ),
    "batches_at_one_rate": Planned(
        check="batch size",
        flags=("--trials", "8", "--max-epochs", "9", "--fix", "learning_rate=0.03"),
        data=images,
    ),
    "nothing_that_matters": Planned(
        check="noise",
        flags=(
            *("--trials", "10", *whole(12)),
            *("--fix", "learning_rate=0.02", "batch_size=32"),
            *("--search", "min_std=log:1e-5:1e-3"),
        ),
        data=images,
    ),
    "another_dataset": Planned(
        check="dataset", flags=("--trials", "12", "--max-epochs", "9"), alone=True
    ),
    "copies_in_the_split": Planned(
        check="leakage", flags=("--trials", "12", "--max-epochs", "9"), data=copied
    ),
    "thirty_to_one": Planned(
        check="imbalance", flags=("--trials", "12", "--max-epochs", "9"), data=unbalanced
    ),
    "many_places_for_few": Planned(
        check="waiting",
        flags=(
            *("--trials", "16", "--max-epochs", "486", "--max-concurrent", "8"),
            *("--cpus-per-trial", "0.25", "--batch-size", "16", "--rung-rule", "top"),
        ),
        data=images,
    ),
    "unused_gpus": Planned(
        check="gpus",
        flags=("--dataset", "digits", "--trials", "12", "--max-epochs", "9"),
        cluster={"num_cpus": 2, "num_gpus": 2},
    ),
    "killed_again_and_again": Planned(
        check="retries",
        flags=("--trials", "12", "--max-epochs", "9", "--batch-size", "8"),
        data=images,
        during=kill_trials,
    ),
}
"""By name. A GPU of `unused_gpus` is one that the cluster declares."""

WELL_SET = (
    *("--trials", "24", "--search", "learning_rate=log:1e-3:0.3"),
    *("--fix", "dropout=0.5", "label_smoothing=0.1"),
)

HEALTHY = {
    "digits": Planned(flags=("--dataset", "digits", "--seed", "1", *WELL_SET)),
    "fashion_2": Planned(flags=("--seed", "2", *WELL_SET), data=lambda: images(FIRST, 10_000)),
    "other_fashion": Planned(flags=("--seed", "3", *WELL_SET), data=lambda: images(LATER, 10_000)),
}
