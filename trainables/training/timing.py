"""How long a trial's steps and epochs would take, told from a few of its batches."""

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import torch

from trainables.training.config import TrainingConfig
from trainables.training.loop import trainers
from trainables.training.state import State
from trainables.training.task import TaskData
from trainables.training.trainer import EVALUATION_BATCH, Trainer, predict

C = TypeVar("C", bound=TrainingConfig)

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


def time_epoch(config: C, data: TaskData[C], seconds: float = 0.25) -> Timing:
    """Estimate the seconds of one epoch from a short run.

    Args:
        config: the trial's hyperparameters.
        data: gives the task, or one a fold.
        seconds: to measure for; a slow model takes longer, at least one batch of each kind, and one
            whose epoch is shorter takes no more than the batches of an epoch.

    Raises:
        ValueError: config and data do not fit together.
    """
    # A frozen body trains faster than the rest of the run, and its optimizer remembers less.
    networks = trainers(replace(config, freeze_epochs=0), data)
    trainer, device = networks[0], networks[0].task.device
    # The first batches allocate memory and choose kernels: their time says nothing.
    # Of the middle epoch, where the batch size changes.
    epoch = (config.epochs + 1) // 2
    updates = trainer.task.samples / config.batch_size_in(epoch)
    update = _seconds_each(_updates(trainer, epoch), 3, seconds / 2, updates, device)
    held_out = len(trainer.task.validation.inputs)
    batches = held_out / min(held_out, EVALUATION_BATCH)
    evaluation = _seconds_each(_evaluations(trainer), 1, seconds / 2, batches, device)
    # The other folds have made no update, and their optimizers have no memory yet. What is shared
    # would be saved once: each has a copy.
    states = tuple(copy.deepcopy(trainer.state()) for _ in networks)
    return Timing(
        step_seconds=update,
        epoch_seconds=len(networks) * (updates * update + batches * evaluation),
        state=State(epoch=0, networks=states, patience={}),
    )


def _updates(trainer: Trainer, epoch: int) -> Iterator[object]:
    # Over and over: an epoch may have fewer batches than `FEWEST`.
    while True:
        with trainer.random_streams(epoch):
            yield from trainer.steps(epoch)


def _evaluations(trainer: Trainer) -> Iterator[object]:
    inputs = trainer.task.validation.inputs[:EVALUATION_BATCH]
    while True:
        yield predict(trainer.task, trainer.config, inputs)


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
