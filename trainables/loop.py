"""The training loop: a generator of one step per epoch that knows nothing of Ray."""

import math
import time
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from trainables.config import Config
from trainables.data import SearchData, as_tensor
from trainables.network import Network
from trainables.state import State
from trainables.training import Training

VALIDATION_METRICS = ("loss", "accuracy", "precision", "recall", "f1")


def fit(
    config: Config,
    data: SearchData,
    state: State | None = None,
    *,
    device: torch.device | str = "cpu",
) -> Iterator[tuple[dict[str, float], State]]:
    """Train, one epoch a step, until `config.epochs` are done or a loss is not finite.

    On the CPU a run that goes on from a saved state equals the uninterrupted one bit for bit. A
    non-finite loss ends the epoch within 32 updates, without an evaluation, and the run after it.

    Args:
        config: the trial's hyperparameters.
        data: what trials see of the dataset.
        state: where to go on; None starts afresh.
        device: where to train; all data is moved there.

    Yields:
        Metrics of the epoch and the state after it. The state is valid until the next step:
        `snapshot` copies it. The metrics: `epoch` (from 1), `train_loss` and `train_accuracy` (over
        the epoch, while the weights change), `val_loss` (cross entropy in nats), `val_accuracy`,
        `val_precision`, `val_recall`, `val_f1` (macro), `learning_rate`, `updates` (optimizer steps
        so far), `epoch_seconds` (training and evaluation), `samples_per_second` (training alone).

    Raises:
        ValueError: on the first step, where config, data and state do not fit together.
    """
    done = 0 if state is None else state.epoch
    if done >= config.epochs:
        return
    training = Training(config, data, torch.device(device))
    if state is not None:
        training.restore(state)
    validation_images = training.network.place(data.validation_images)
    validation_labels = as_tensor(data.validation_labels).to(device)

    for epoch in range(done + 1, config.epochs + 1):
        began = time.perf_counter()
        train_loss, train_accuracy, samples = training.run_epoch(epoch)
        trained = time.perf_counter()
        if math.isfinite(train_loss):
            scores = training.network.evaluate(validation_images, validation_labels)
        else:
            scores = dict.fromkeys(VALIDATION_METRICS, math.nan)
        metrics: dict[str, float] = {
            "epoch": epoch,
            "train_loss": train_loss,
            "train_accuracy": train_accuracy,
            **{f"val_{name}": scores[name] for name in VALIDATION_METRICS},
            "learning_rate": config.learning_rate_in(epoch),
            "updates": training.updates,
            "epoch_seconds": time.perf_counter() - began,
            "samples_per_second": samples / (trained - began),
        }
        yield metrics, training.state(epoch)
        if not (math.isfinite(train_loss) and math.isfinite(scores["loss"])):
            return


def evaluate_images(
    config: Config,
    state: State,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    reference: SearchData,
    device: torch.device | str = "cpu",
) -> dict[str, float]:
    """Evaluate a trained state on other images, standardised as its training images were.

    Args:
        config: what the state was trained with.
        state: holds the weights.
        images: uint8 `[n, channels, height, width]`.
        labels: int64 `[n]`.
        reference: what it was trained on.
        device: where to evaluate.

    Returns:
        `loss` (cross entropy in nats), `accuracy`, `precision`, `recall`, `f1` (macro).

    Raises:
        ValueError: the state is of another model than the config's.
    """
    network = Network(config, reference, torch.device(device))
    network.load_weights(state)
    return network.evaluate(network.place(images), as_tensor(labels).to(device))
