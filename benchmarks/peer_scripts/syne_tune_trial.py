"""One trial under Syne Tune: our `fit()` in a process of its own."""

import argparse
import math

import numpy as np
import torch
from syne_tune import Reporter

from trainables.data.dataset import SearchData
from trainables.image.config import ImageConfig
from trainables.image.images import Images
from trainables.image.task import ImageData
from trainables.training.loop import fit

SCALARS = ("name", "train_count", "train_ratio")


def main() -> None:
    """Train, and report each epoch."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--learning_rate", type=float, required=True)
    parser.add_argument("--batch_size", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--data", required=True)
    # Syne Tune adds the folder for checkpoints.
    options, _ = parser.parse_known_args()

    torch.set_num_threads(1)
    with np.load(options.data) as file:
        arrays = {name: file[name] for name in file}
    scalars = {name: arrays.pop(name).item() for name in SCALARS}
    inputs, names = Images(arrays.pop("pixels")), tuple(arrays.pop("class_names").tolist())
    data = SearchData(inputs=inputs, class_names=names, **arrays, **scalars)
    config = ImageConfig(
        learning_rate=options.learning_rate,
        batch_size=options.batch_size,
        epochs=options.epochs,
        train_ratio=data.train_ratio,
        patience=0,
        seed=options.seed,
    )
    report = Reporter()
    for metrics, _ in fit(config, ImageData(data)):
        accuracy = metrics["val_accuracy"]
        # A rung is sorted, and a NaN would break its order.
        report(epoch=int(metrics["epoch"]), val_accuracy=0.0 if math.isnan(accuracy) else accuracy)


if __name__ == "__main__":
    main()
