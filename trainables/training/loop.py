"""The training loop: a generator with one step per epoch, independent of Ray and of the task."""

import math
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeAlias, TypeVar

from trainables.training.config import TrainingConfig
from trainables.training.early_stopping import Patience, watched_score
from trainables.training.state import State, snapshot
from trainables.training.step_log import StepListener, curves
from trainables.training.task import TaskData
from trainables.training.trainer import EpochResult, Trainer

DEVIATIONS = ("loss", "accuracy")
"""Scores whose standard deviation over the folds is reported."""

Metrics: TypeAlias = dict[str, Any]
C = TypeVar("C", bound=TrainingConfig)


def fit(
    config: C,
    data: TaskData[C],
    state: State | None = None,
    listener: StepListener | None = None,
) -> Iterator[tuple[Metrics, State]]:
    """Train, one pass over the data a step, until `config.passes` are done, patience is over or a
    loss is not finite.

    On the CPU a run resumed from a saved state equals the uninterrupted one bit for bit. A
    non-finite loss ends the epoch within 32 updates, without an evaluation, and then the run. Folds
    alternate within a step, with one epoch each.

    Args:
        config: hyperparameters.
        data: source of the tasks.
        state: state to resume from; None starts from the beginning.
        listener: receives every `print_freq`-th update soon after it was made.

    Yields:
        Metrics of the epoch and the state after it. The state is valid until the next step:
        `snapshot` copies it. The metrics: `epoch` (`config.epoch_after`: 1, 2, 3 and so on, without
        a scaling of the epochs), `train_loss` (the objective over the
        epoch, while the weights change, which may differ from `val_loss`) and `train_` with the
        task's training scores, `val_` with the task's scores, among them `val_loss`, its facts,
        `learning_rate` (of the last update), `updates` (optimizer steps so far, of one network),
        `epoch_seconds` (training and evaluation), `samples_per_second` (training alone), and
        `step_losses`, pairs of an update and its loss, every `print_freq` updates, and
        `step_scores`, such pairs by name: of the training scores, the learning rate and the samples
        per second. With folds each metric is the mean over them (those of steps are of the first,
        as is what `listener` receives), `epoch_seconds` the sum, and
        `val_loss_std` and `val_accuracy_std` are standard deviations.

    Raises:
        ValueError: on the first step, if config, data and state are not compatible.
    """
    patience = Patience() if state is None else Patience(**state.patience)
    done = 0 if state is None else state.epoch
    if done >= config.passes or patience.over(config):
        return
    networks = trainers(config, data)
    watched = watched_score(config, networks[0].task.prediction.score_names)
    if state is None:
        for trainer in networks:
            trainer.start_from_pretrained()
    else:
        state.check_networks(len(networks))
        for trainer, network in zip(networks, snapshot(state).networks, strict=True):
            trainer.restore(network, state.epoch)

    for epoch in range(done + 1, config.passes + 1):
        metrics = _train_epoch(networks, epoch, patience.factor, listener)
        metrics["epoch"] = config.epoch_after(epoch)
        patience.note(metrics[f"val_{watched}"], config)
        after = State(
            epoch=epoch,
            networks=tuple(trainer.state() for trainer in networks),
            patience=asdict(patience),
        )
        yield metrics, after
        if is_over(config, metrics, after):
            return


def trainers(config: C, data: TaskData[C]) -> list[Trainer]:
    """Return one trainer, or one per fold."""
    return [Trainer(config, task, fold) for fold, task in enumerate(data.tasks(config))]


def is_over(config: TrainingConfig, metrics: Mapping[str, Any], state: State) -> bool:
    """Return whether `state`, after an epoch with these metrics, is the last one of its run."""
    finite = math.isfinite(metrics["train_loss"]) and math.isfinite(metrics["val_loss"])
    waited = Patience(**state.patience).over(config)
    return state.epoch >= config.passes or waited or not finite


def _train_epoch(
    networks: Sequence[Trainer], epoch: int, plateau: float, listener: StepListener | None
) -> Metrics:
    began = time.perf_counter()
    results: list[EpochResult] = []
    found: list[dict[str, float]] = []
    training_seconds = 0.0
    names = networks[0].task.prediction.score_names
    for trainer in networks:
        started = time.perf_counter()
        results.append(trainer.run_epoch(epoch, plateau, None if results else listener))
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
        **{n: _mean([t.task.facts[n] for t in networks]) for n in networks[0].task.facts},
        "learning_rate": results[0].learning_rate,
        "updates": networks[0].updates,
        "epoch_seconds": time.perf_counter() - began,
        "samples_per_second": sum(result.samples for result in results) / training_seconds,
        "step_losses": [(step.update, step.loss) for step in results[0].steps],
        "step_scores": curves(results[0].steps),
    }
    if len(networks) > 1:
        for name in (name for name in DEVIATIONS if name in names):
            values = [s[name] for s in found]
            finite = all(map(math.isfinite, values))
            metrics[f"val_{name}_std"] = statistics.stdev(values) if finite else math.nan
    return metrics


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
