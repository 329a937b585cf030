"""The time of an update and of an epoch, estimated from a few batches."""

import copy
import logging
import timeit
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from trainables.training.config import TrainingConfig
from trainables.training.loop import trainers
from trainables.training.state import State
from trainables.training.task import TaskData
from trainables.training.trainer import EVALUATION_BATCH, Trainer, predict

C = TypeVar("C", bound=TrainingConfig)

DISCARD_SECONDS = 0.5
"""Time after which no further piece of work is discarded: it takes longer than what only the first
ones do."""


@dataclass(frozen=True)
class Timing:
    """Estimates from a few batches of a trial."""

    step_seconds: float
    """Seconds of one update of one network."""
    epoch_seconds: float
    """Seconds of training and validation in an epoch, of all folds; with `epochs_scaling` that is
    as many passes as it makes an epoch."""
    state: State
    """State after those updates: as large as any state of the trial."""


def time_epoch(config: C, data: TaskData[C], seconds: float = 0.1) -> Timing:
    """Estimate the seconds of one epoch from a short run.

    Args:
        config: hyperparameters.
        data: source of the tasks.
        seconds: time to measure for; a slow model takes longer, a few batches of each kind.

    Raises:
        ValueError: config and data are not compatible.
    """
    # A frozen body trains faster than the rest of the run, and its optimizer has less memory.
    networks = trainers(replace(config, freeze_epochs=0), data)
    trainer = networks[0]
    # Measure the middle epoch, since the batch size may change.
    epoch = (config.passes + 1) // 2
    count = trainer.task.samples / config.batch_size_in(epoch)
    update = seconds_each(updates(trainer, epoch), 3, seconds / 2)
    held_out = len(trainer.task.validation.inputs)
    batches = held_out / min(held_out, EVALUATION_BATCH)
    evaluation = seconds_each(_evaluations(trainer), 1, seconds / 2)
    # The other folds have made no update, and their optimizers have no memory yet. Shared tensors
    # would be saved only once, so each fold gets a copy.
    states = tuple(copy.deepcopy(trainer.state()) for _ in networks)
    return Timing(
        step_seconds=update,
        epoch_seconds=config.passes
        / config.epochs
        * (len(networks) * (count * update + batches * evaluation)),
        state=State(epoch=0, networks=states, patience={}),
    )


def updates(trainer: Trainer, epoch: int) -> Generator[object, None, None]:
    """Make updates without end."""
    # Repeat, since an epoch may be shorter than the measurement.
    while True:
        with trainer.random_streams(epoch):
            yield from trainer.steps(epoch)


def _evaluations(trainer: Trainer) -> Iterator[object]:
    inputs = trainer.task.validation.inputs[:EVALUATION_BATCH]
    while True:
        yield predict(trainer.task, trainer.config, inputs)


def seconds_each(work: Iterator[object], discarded: int, seconds: float) -> float:
    """Return the mean seconds of a piece of work, over about `seconds` or one slow piece, after at
    most `discarded` pieces."""
    # The import says that no GPU is there, where only CUDA's compiler is.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    # Imported here, since no trial needs it.
    from torch.utils.benchmark import timer as clock

    # The first batches allocate memory and choose kernels: their time is not representative.
    began = clock()
    for _ in range(discarded):
        next(work)
        if clock() - began > DISCARD_SECONDS:
            break
    # Not torch's Timer, which runs everything twice before it measures. Its clock waits for a GPU.
    pieces = timeit.Timer("next(work)", timer=clock, globals={"work": work})
    one = pieces.timeit(1)
    count = round(seconds / max(one, 1e-9))
    return one if count <= 1 else pieces.timeit(count) / count
