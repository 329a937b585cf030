"""The training loop: a generator of one step per epoch that knows neither Ray nor a task."""

import math
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from trainables.training.config import TrainingConfig
from trainables.training.early_stopping import Patience
from trainables.training.state import State, snapshot
from trainables.training.task import TaskData
from trainables.training.trainer import EpochResult, Trainer

DEVIATIONS = ("loss", "accuracy")
"""Scores whose standard deviation over the folds is reported."""

Metrics: TypeAlias = dict[str, Any]
C = TypeVar("C", bound=TrainingConfig)


def fit(
    config: C, data: TaskData[C], state: State | None = None
) -> Iterator[tuple[Metrics, State]]:
    """Train, one epoch a step, until `config.epochs` are done, patience is over or a loss is not
    finite.

    On the CPU a run that goes on from a saved state equals the uninterrupted one bit for bit. A
    non-finite loss ends the epoch within 32 updates, without an evaluation, and the run after it.
    Folds take turns, an epoch each a step.

    Args:
        config: the trial's hyperparameters.
        data: gives the task, or one a fold.
        state: where to go on; None starts afresh.

    Yields:
        Metrics of the epoch and the state after it. The state is valid until the next step:
        `snapshot` copies it. The metrics: `epoch` (from 1), `train_loss` and `train_` with the
        task's training scores (over the epoch, while the weights change; what is minimised, which
        may not be what `val_loss` is), `val_` with the task's scores, `val_loss` among them,
        `learning_rate` (of the last update), `updates` (optimizer steps so far, of one network),
        `epoch_seconds` (training and evaluation), `samples_per_second` (training alone), and
        `step_losses`, pairs of an update and its loss, every `print_freq` updates. With folds each
        is the mean over them (`step_losses` of the first), `epoch_seconds` the sum, and
        `val_loss_std` and `val_accuracy_std` are their standard deviations.

    Raises:
        ValueError: on the first step, where config, data and state do not fit together.
    """
    patience = Patience.of(state.patience if state is not None else {})
    done = 0 if state is None else state.epoch
    if done >= config.epochs or patience.over(config):
        return
    networks = trainers(config, data)
    _begin(networks, state)

    for epoch in range(done + 1, config.epochs + 1):
        for trainer in networks:
            trainer.plateau = patience.factor
        metrics = _train_epoch(networks, epoch)
        patience.note(metrics["val_loss"], config)
        after = State(
            epoch=epoch,
            networks=tuple(trainer.state() for trainer in networks),
            patience=patience.state(),
        )
        yield metrics, after
        if is_over(config, metrics, after):
            return


def trainers(config: C, data: TaskData[C]) -> list[Trainer]:
    """One network in training, or one a fold.

    Raises:
        ValueError: config and data do not fit together.
    """
    return [Trainer(config, task, fold) for fold, task in enumerate(data.tasks(config))]


def is_over(config: TrainingConfig, metrics: Mapping[str, Any], state: State) -> bool:
    """Whether `state`, after an epoch with these metrics, is the last one of its run."""
    finite = math.isfinite(metrics["train_loss"]) and math.isfinite(metrics["val_loss"])
    waited = Patience.of(state.patience).over(config)
    return state.epoch >= config.epochs or waited or not finite


def _begin(networks: Sequence[Trainer], state: State | None) -> None:
    if state is None:
        for trainer in networks:
            trainer.start_from_pretrained()
        return
    state.check_networks(len(networks))
    copied = snapshot(state)
    for trainer, network in zip(networks, copied.networks, strict=True):
        trainer.restore(network, copied.epoch)


def _train_epoch(networks: Sequence[Trainer], epoch: int) -> Metrics:
    began = time.perf_counter()
    results: list[EpochResult] = []
    found: list[dict[str, float]] = []
    training_seconds = 0.0
    names = networks[0].task.score_names
    for trainer in networks:
        started = time.perf_counter()
        results.append(trainer.run_epoch(epoch))
        training_seconds += time.perf_counter() - started
        if math.isfinite(results[-1].loss):
            found.append(trainer.evaluate())
        else:
            found.append(dict.fromkeys(names, math.nan))
    metrics: Metrics = {
        "epoch": epoch,
        "train_loss": _mean([result.loss for result in results]),
        **{f"train_{n}": _mean([r.scores[n] for r in results]) for n in results[0].scores},
        **{f"val_{name}": _mean([s[name] for s in found]) for name in names},
        "learning_rate": results[0].learning_rate,
        "updates": networks[0].updates,
        "epoch_seconds": time.perf_counter() - began,
        "samples_per_second": sum(result.samples for result in results) / training_seconds,
        "step_losses": results[0].step_losses,
    }
    if len(networks) > 1:
        for name in (name for name in DEVIATIONS if name in names):
            values = [s[name] for s in found]
            finite = all(map(math.isfinite, values))
            metrics[f"val_{name}_std"] = statistics.stdev(values) if finite else math.nan
    return metrics


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
