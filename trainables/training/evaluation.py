"""Predictions and scores of a trained state, on held-out samples and on other ones."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.data.dataset import Part
from trainables.training.config import TrainingConfig
from trainables.training.state import State, load_weights
from trainables.training.task import Task, TaskData
from trainables.training.trainer import predict

C = TypeVar("C", bound=TrainingConfig)


def evaluate_part(config: C, state: State, data: TaskData[C], part: Part[Any]) -> dict[str, float]:
    """Evaluate a trained state on other samples, prepared as its training samples were.

    The networks of several folds form an ensemble: their predictions are averaged.

    Args:
        config: configuration that the state was trained with.
        state: weights; their moving average is used if there is one.
        data: data that the state was trained on, and the device for the evaluation.
        part: other samples.

    Returns:
        The task's scores, such as `loss`, `accuracy`, `precision`, `recall`, `f1` (macro).

    Raises:
        ValueError: the state has another model or number of folds than the config.
    """
    tasks = list(_loaded(config, state, data))
    found = [predict(task, config, task.held_out(part).inputs) for task in tasks]
    first, targets = tasks[0], tasks[0].held_out(part).targets
    outputs = found[0] if len(found) == 1 else first.prediction.outputs_of(_mean(tasks, found))
    scores = first.prediction.scores(outputs, targets)
    # The objective guides a training, and says nothing beside the scores.
    return {name: score for name, score in scores.items() if name != "objective"}


def predict_part(config: C, state: State, data: TaskData[C], part: Part[Any]) -> Tensor:
    """Return what a trained state predicts for other samples, as `Prediction.predicted`; arguments
    and errors as `evaluate_part`."""
    tasks = list(_loaded(config, state, data))
    return _mean(tasks, [predict(task, config, task.held_out(part).inputs) for task in tasks])


def predict_held_out(
    config: C, state: State, data: TaskData[C]
) -> tuple[NDArray[np.int64], Tensor]:
    """Predict the validation samples; with folds every sample, by the network that was not trained
    on it.

    Args:
        config: configuration that the state was trained with.
        state: weights; their moving average is used if there is one.
        data: data that the state was trained on, and the device.

    Returns:
        Rows of these samples in the data of the search, ascending, and their predictions, as
        `Prediction.predicted`.

    Raises:
        ValueError: the state has another model or number of folds than the config.
    """
    tasks = list(_loaded(config, state, data))
    predicted = [
        task.prediction.predicted(predict(task, config, task.validation.inputs)) for task in tasks
    ]
    rows = np.concatenate([task.validation_rows for task in tasks])
    order = np.argsort(rows)
    return rows[order], torch.cat(predicted).cpu()[torch.from_numpy(order)]


def _mean(tasks: Sequence[Task], outputs: Sequence[Tensor]) -> Tensor:
    each = [task.prediction.predicted(out) for task, out in zip(tasks, outputs, strict=True)]
    return each[0] if len(each) == 1 else tasks[0].prediction.mean(each)


def _loaded(config: C, state: State, data: TaskData[C]) -> Iterator[Task]:
    """Yield the task of each network of a state, with its weights."""
    tasks = data.tasks(config)
    state.check_networks(len(tasks))
    for task, network in zip(tasks, state.networks, strict=True):
        load_weights(task.model, network.weights)
        yield task
