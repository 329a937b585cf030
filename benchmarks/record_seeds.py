"""Record configurations with many seeds each, on which `confirm.py` replays studies and verdicts.

The first job's question, learning rate and batch size, on a small MLP (128 and 64 units), 27
epochs, so that a run takes one to two seconds of a core:

- `fashion_mnist`: 6,000 of its training images, of which a trial trains on 2,000.
- `digits`: its 1,437 training images, of which a trial trains on 479.

The pool is the first 96 points of a scrambled Sobol sequence and the defaults. All of it is trained
with the seeds of two studies: one split in a study, another initialisation for each trial. What
studies of `confirm.py` confirm, but for a few of the others, is trained with 35 further seeds; each
of them is another split and another initialisation, the same for all configurations, as
`tune-cluster confirm` pairs them.

It writes `recorded_seeds/<dataset>.csv`, a run at once when it is complete: it can be stopped at
any time, started again, and run twice with `--fresh` seeds of their own.
"""

import argparse
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from confirm import confirmed
from seeded_runs import (
    DATASETS,
    EPOCHS,
    FOLDER,
    FRESH,
    POOL,
    STUDIES,
    configurations,
    file_of,
    read_table,
)

from trainables.data.dataset import Part, SearchData
from trainables.data.splits import split
from trainables.image import datasets
from trainables.image.config import ImageConfig
from trainables.image.images import Images
from trainables.image.task import ImageData
from trainables.training.loop import fit
from tune_cluster.trial.process import trial_seed

SAMPLES = {"fashion_mnist": 6_000, "digits": 1_437}
"""Images that are split, by dataset."""
TRAIN_RATIO = 1 / 3
"""Share that a trial trains on: the rest, on which it is validated, is large for little noise."""

FIXED = {
    "hidden_sizes": (128, 64),
    "epochs": EPOCHS,
    "patience": 0,
    "train_ratio": TRAIN_RATIO,
}
"""What all runs have in common."""


def run(data: SearchData[Images], config: Mapping[str, Any], seed: int) -> list[float]:
    """Train a configuration; return the validation accuracy by epoch, as in a table."""
    found = [math.nan] * EPOCHS
    hyperparameters = ImageConfig.from_dict({**config, **FIXED, "seed": seed})
    for metrics, _ in fit(hyperparameters, ImageData(data)):
        found[int(metrics["epoch"]) - 1] = metrics["val_accuracy"]
    return found


def record(dataset: str, wanted: Iterable[tuple[int, int]], data_dir: Path) -> None:
    """Record configurations and seeds of a dataset, as far as they are missing."""
    pool = configurations()
    whole = datasets.DATASETS[dataset].read(data_dir)
    rows = np.arange(SAMPLES[dataset])
    part = Part(whole.train.inputs[rows], whole.train.targets[rows])
    missing = set(wanted) - read_table(dataset).keys()
    FOLDER.mkdir(exist_ok=True)
    for seed in sorted({seed for _, seed in missing}):
        data = split(
            dataset, part, class_names=whole.class_names, seed=seed, train_ratio=TRAIN_RATIO
        )
        for config in sorted(config for config, of in missing if of == seed):
            values = run(data, pool[config], trial_seed(seed, config) if seed in STUDIES else seed)
            with file_of(dataset).open("a") as file:
                line = [str(config), str(seed), *(f"{value:.5g}" for value in values)]
                file.write(",".join(line) + os.linesep)
            print(f"{dataset}, configuration {config}, seed {seed}: {values[-1]:.4f}", flush=True)


def main() -> None:
    """Record what is missing: the pool for the studies, then what they confirm."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("datasets", nargs="*", default=DATASETS, metavar="DATASET")
    parser.add_argument(
        "--fresh", type=int, nargs=2, default=(FRESH.start, FRESH.stop), metavar=("FROM", "TO")
    )
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for dataset in arguments.datasets:
        pool = [(config, seed) for config in range(POOL + 1) for seed in STUDIES]
        record(dataset, pool, arguments.data_dir)
    for dataset in arguments.datasets:
        chosen = confirmed(read_table(dataset))
        fresh = [(config, seed) for config in chosen for seed in range(*arguments.fresh)]
        record(dataset, fresh, arguments.data_dir)


if __name__ == "__main__":
    main()
