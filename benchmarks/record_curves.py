"""Record real learning curves, on which `fidelity.py` replays every strategy.

400 configurations of the MLP on Fashion-MNIST, the first points of a scrambled Sobol sequence (so
that the recorded ones cover the space evenly at any time), each trained with `fit()` to its 27
epochs or until it diverges, on one core each. In bfloat16, which takes half the time of float32.

It writes `recorded/shard_00.csv` to `shard_19.csv`, 20 configurations each, one line per epoch, a
configuration at once when it is complete: it can be stopped at any time, started again, and run
twice with `--shards` of their own. About 4 hours of one core.
"""

import argparse
import csv
import os
import sys
from dataclasses import replace
from pathlib import Path

import torch

from search_spaces.catalogue import DROPOUT, HIDDEN_SIZES, MOMENTUM
from search_spaces.hyperparameter import Hyperparameter
from search_spaces.searchers.sobol_search import SobolSearch
from search_spaces.space import Space
from search_spaces.spaces import BATCH_FROM_32
from trainables.image.config import ImageConfig
from trainables.image.datasets import load_dataset
from trainables.image.task import ImageData
from trainables.training.loop import fit
from tune_cluster.trial.process import trial_seed

RECORDED = Path(__file__).parent / "recorded"
SHARDS, SHARD_SIZE, EPOCHS = 20, 20, 27
COLUMNS = ("config", "epoch", "val_accuracy", "val_loss", "epoch_seconds")

LEARNING_RATE = Hyperparameter(
    name="learning_rate",
    meaning="step size of the optimizer",
    default=1e-2,
    kind="optimization",
    role="scientific",
    advice="four decades, the upper one of which diverges with a high momentum",
    low=1e-4,
    high=1.0,
    scale="log",
)
RANGE = replace(MOMENTUM, values=(), ordered=False, low=0.5, high=0.99)
"""Recorded range of the momentum."""

SPACE = Space(
    "recorded",
    (LEARNING_RATE, BATCH_FROM_32, RANGE, DROPOUT, HIDDEN_SIZES),
    fixed=(
        ("model", "mlp"),
        ("optimizer", "sgd"),
        ("epochs", EPOCHS),
        ("precision", "bfloat16"),
        ("patience", 0),
    ),
)


def recorded_configs(path: Path) -> set[int]:
    """Return the configurations that a shard has already."""
    if not path.exists():
        return set()
    with path.open() as file:
        return {int(row["config"]) for row in csv.DictReader(file)}


def main() -> None:
    """Record what is missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shards", type=int, nargs=2, default=(0, SHARDS), metavar=("FROM", "TO"))
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = load_dataset("fashion_mnist", arguments.data_dir, seed=0).search
    points = SobolSearch(SPACE, seed=0)
    RECORDED.mkdir(exist_ok=True)
    for shard in range(*arguments.shards):
        path = RECORDED / f"shard_{shard:02d}.csv"
        known = recorded_configs(path)
        for index in range(shard * SHARD_SIZE, (shard + 1) * SHARD_SIZE):
            if index in known:
                continue
            config = ImageConfig.from_dict({**points.suggest(index), "seed": trial_seed(0, index)})
            rows = [",".join(COLUMNS)] if not path.exists() else []
            for metrics, _ in fit(config, ImageData(data)):
                values = [f"{metrics[name]:.5g}" for name in COLUMNS[2:]]
                rows.append(",".join([str(index), str(metrics["epoch"]), *values]))
            with path.open("a") as file:
                file.write("".join(row + os.linesep for row in rows))
            print(f"configuration {index}: {rows[-1]}", file=sys.stderr)


if __name__ == "__main__":
    main()
