"""How long a trial's steps and epochs would take, told from a few of its batches."""

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from trainables.data.splits import SearchData
from trainables.image.config import Config
from trainables.image.network import EVALUATION_BATCH, Network
from trainables.training.state import State
from trainables.training.trainer import Training, trainings

FEWEST = 8
"""Batches that a time is taken of, if there is time for them: a single one's is noise."""


@dataclass(frozen=True)
class Timing:
    """What a few batches tell of a trial."""

    step_seconds: float
    """Of one update of one network."""
    epoch_seconds: float
    """Training and validation, of all folds."""
    state: State
    """After those updates: as large as any that the trial will have."""


def time_epoch(
    config: Config,
    data: SearchData,
    seconds: float = 0.25,
    device: torch.device | str = "cpu",
) -> Timing:
    """Estimate the seconds of one epoch from a short run.

    Args:
        config: the trial's hyperparameters.
        data: what the trial would see.
        seconds: to measure for; a slow model takes longer, at least one batch of each kind, and one
            whose epoch is shorter takes no more than the batches of an epoch.
        device: where the trial would train.

    Raises:
        ValueError: config and data do not fit together.
    """
    device = torch.device(device)
    # A frozen body trains faster than the rest of the run, and its optimizer remembers less.
    networks = trainings(replace(config, freeze_epochs=0), data, device)
    training = networks[0]
    # The first batches allocate memory and choose kernels: their time says nothing.
    # Of the middle epoch, where the batch size changes.
    epoch = (config.epochs + 1) // 2
    updates = training.samples / config.batch_size_in(epoch)
    update = _seconds_each(_updates(training, device, epoch), 3, seconds / 2, updates, device)
    held_out, _ = training.validation
    images = held_out[:EVALUATION_BATCH]
    batches = len(held_out) / len(images)
    evaluation = _seconds_each(
        _evaluations(training.network, images), 1, seconds / 2, batches, device
    )
    # The other folds have made no update, and their optimizers have no memory yet. What is shared
    # would be saved once: each has a copy.
    states = tuple(copy.deepcopy(training.state()) for _ in networks)
    return Timing(
        step_seconds=update,
        epoch_seconds=len(networks) * (updates * update + batches * evaluation),
        state=State(epoch=0, networks=states, patience={}),
    )


def _updates(training: Training, device: torch.device, epoch: int) -> Iterator[object]:
    # Over and over: an epoch may have fewer batches than `FEWEST`.
    while True:
        with training.random_streams(epoch):
            yield from training.steps(torch.randperm(training.samples).to(device), epoch)


def _evaluations(network: Network, images: Tensor) -> Iterator[object]:
    while True:
        yield network.predict(images)


def _seconds_each(
    work: Iterator[object], discarded: int, seconds: float, in_epoch: float, device: torch.device
) -> float:
    most = max(FEWEST, in_epoch)
    for _ in range(discarded):
        next(work)
    _wait(device)
    began = time.perf_counter()
    pieces = 0
    while True:
        next(work)
        pieces += 1
        # One wait in eight, so that the queue of a GPU does not run empty at every step.
        if pieces >= most or pieces % 8 == 0 or device.type != "cuda":
            _wait(device)
            if pieces >= most or time.perf_counter() - began >= seconds:
                return (time.perf_counter() - began) / pieces


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
