"""The study that every script here runs, and the output of its result."""

import argparse
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

DATASET = "fashion_mnist"
DATA = Path(__file__).parents[2] / "data"
TRAIN_RATIO = 0.9

LEARNING_RATES = (1e-4, 1.0)
BATCH_SIZES = (32, 64, 128, 256, 512)

GRACE_PERIOD, REDUCTION_FACTOR = 1, 3
WORKERS = 2

POINTS = "points.json"


def arguments() -> argparse.Namespace:
    """Parse the command line of a peer's script."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="for all files")
    return parser.parse_args()


def points(folder: Path) -> list[dict[str, Any]]:
    """Return the learning rate and batch size of each trial, in order: the same for all peers."""
    told: list[dict[str, Any]] = json.loads((folder / POINTS).read_text())
    return told


def tell(folder: Path, accuracies: Iterable[Sequence[float]]) -> None:
    """Write `outcome.json`.

    Args:
        folder: folder of the output.
        accuracies: validation accuracy of each trial after each epoch; a NaN is an epoch that
            diverged.
    """
    trials = list(accuracies)
    outcome = {
        "trials": len(trials),
        "epochs": sum(map(len, trials)),
        "best_val_accuracy": max(a for trial in trials for a in trial if not math.isnan(a)),
    }
    (folder / "outcome.json").write_text(json.dumps(outcome))
