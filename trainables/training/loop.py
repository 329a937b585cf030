"""The training loop: a generator of one step per epoch that knows nothing of Ray."""

import math
import statistics
import time
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from trainables.data.partition import partitions
from trainables.data.splits import SearchData, as_tensor
from trainables.image.config import Config
from trainables.image.network import Network, placed, scores
from trainables.training.early_stopping import Patience
from trainables.training.losses import is_plain
from trainables.training.state import State, snapshot
from trainables.training.trainer import EpochResult, Training, trainings

VALIDATION_METRICS = ("loss", "accuracy", "precision", "recall", "f1")
DEVIATIONS = ("loss", "accuracy")

Metrics: TypeAlias = dict[str, Any]


def fit(
    config: Config,
    data: SearchData,
    state: State | None = None,
    *,
    device: torch.device | str = "cpu",
) -> Iterator[tuple[Metrics, State]]:
    """Train, one epoch a step, until `config.epochs` are done, patience is over or a loss is not
    finite.

    On the CPU a run that goes on from a saved state equals the uninterrupted one bit for bit. A
    non-finite loss ends the epoch within 32 updates, without an evaluation, and the run after it.
    Folds take turns, an epoch each a step.

    Args:
        config: the trial's hyperparameters.
        data: what trials see of the dataset.
        state: where to go on; None starts afresh.
        device: where to train; all data is moved there.

    Yields:
        Metrics of the epoch and the state after it. The state is valid until the next step:
        `snapshot` copies it. The metrics: `epoch` (from 1), `train_loss` and `train_accuracy` (over
        the epoch, while the weights change; what is minimised, which may not be the cross entropy),
        `val_loss` (cross entropy in nats), `val_accuracy`, `val_precision`, `val_recall`, `val_f1`
        (macro), `val_objective` (what is minimised, where that is not the plain cross entropy),
        `learning_rate` (of the last update), `updates` (optimizer steps so far, of one
        network), `epoch_seconds` (training and evaluation), `samples_per_second` (training alone),
        and `step_losses`, pairs of an update and its loss, every `print_freq` updates. With folds
        each is the mean over them (`step_losses` of the first), `epoch_seconds` the sum, and
        `val_loss_std` and `val_accuracy_std` are their standard deviations.

    Raises:
        ValueError: on the first step, where config, data and state do not fit together.
    """
    patience = Patience.of(state.patience if state is not None else {})
    done = 0 if state is None else state.epoch
    if done >= config.epochs or patience.over(config):
        return
    networks = trainings(config, data, torch.device(device))
    _begin(networks, state)

    for epoch in range(done + 1, config.epochs + 1):
        for training in networks:
            training.plateau = patience.factor
        metrics = _train_epoch(networks, epoch)
        patience.note(metrics["val_loss"], config)
        after = State(
            epoch=epoch,
            networks=tuple(training.state() for training in networks),
            patience=patience.state(),
        )
        yield metrics, after
        if is_over(config, metrics, after):
            return


def is_over(config: Config, metrics: Mapping[str, Any], state: State) -> bool:
    """Whether `state`, after an epoch with these metrics, is the last one of its run."""
    finite = math.isfinite(metrics["train_loss"]) and math.isfinite(metrics["val_loss"])
    waited = Patience.of(state.patience).over(config)
    return state.epoch >= config.epochs or waited or not finite


def _begin(networks: list[Training], state: State | None) -> None:
    if state is None:
        for training in networks:
            training.start_from_pretrained()
        return
    _check_folds(state, len(networks))
    copied = snapshot(state)
    for training, network in zip(networks, copied.networks, strict=True):
        training.restore(network, copied.epoch)


def _check_folds(state: State, networks: int) -> None:
    if len(state.networks) != networks:
        raise ValueError(
            f"the state is of {len(state.networks)} networks, the config's folds are {networks}: "
            f"give the folds that it was trained with"
        )


def _train_epoch(networks: list[Training], epoch: int) -> Metrics:
    began = time.perf_counter()
    results: list[EpochResult] = []
    found: list[dict[str, float]] = []
    training_seconds = 0.0
    plain = is_plain(networks[0].config)
    names = VALIDATION_METRICS if plain else (*VALIDATION_METRICS, "objective")
    for training in networks:
        started = time.perf_counter()
        results.append(training.run_epoch(epoch))
        training_seconds += time.perf_counter() - started
        if math.isfinite(results[-1].loss):
            found.append(training.evaluate())
        else:
            found.append(dict.fromkeys(names, math.nan))
    metrics: Metrics = {
        "epoch": epoch,
        "train_loss": _mean([result.loss for result in results]),
        "train_accuracy": _mean([result.accuracy for result in results]),
        **{f"val_{name}": _mean([s[name] for s in found]) for name in names},
        "learning_rate": results[0].learning_rate,
        "updates": networks[0].updates,
        "epoch_seconds": time.perf_counter() - began,
        "samples_per_second": sum(result.samples for result in results) / training_seconds,
        "step_losses": results[0].step_losses,
    }
    if len(networks) > 1:
        for name in DEVIATIONS:
            values = [s[name] for s in found]
            finite = all(map(math.isfinite, values))
            metrics[f"val_{name}_std"] = statistics.stdev(values) if finite else math.nan
    return metrics


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def evaluate_images(
    config: Config,
    state: State,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    reference: SearchData,
    device: torch.device | str = "cpu",
) -> dict[str, float]:
    """Evaluate a trained state on other images, standardised as its training images were.

    The networks of several folds are an ensemble: the mean of their probabilities counts.

    Args:
        config: what the state was trained with.
        state: holds the weights; their moving average counts where there is one.
        images: uint8 `[n, channels, height, width]`.
        labels: int64 `[n]`.
        reference: what it was trained on.
        device: where to evaluate.

    Returns:
        `loss` (cross entropy in nats), `accuracy`, `precision`, `recall`, `f1` (macro).

    Raises:
        ValueError: the state is of another model or number of folds than the config's.
    """
    device = torch.device(device)
    pixels = placed(images, config, device)
    logits = []
    blocks = partitions(config, reference)
    _check_folds(state, len(blocks))
    for fold, partition in enumerate(blocks):
        network = Network(config, reference, device, partition, fold)
        network.load_weights({**state.networks[fold].model, **state.networks[fold].average})
        logits.append(network.predict(pixels))
    together = logits[0]
    if len(logits) > 1:
        # The logarithm of the mean probability.
        together = torch.stack([one.log_softmax(dim=1) for one in logits]).logsumexp(dim=0)
        together -= math.log(len(logits))
    return scores(together, as_tensor(labels).to(device))
