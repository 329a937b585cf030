"""Scores of a trained state on other samples, such as the test set."""

from typing import Any, TypeVar

from trainables.data.dataset import Part
from trainables.training.config import TrainingConfig
from trainables.training.state import State, load_weights
from trainables.training.task import TaskData
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
    tasks = data.tasks(config)
    state.check_networks(len(tasks))
    found = []
    for task, network in zip(tasks, state.networks, strict=True):
        load_weights(task.model, {**network.model, **network.average})
        found.append(predict(task, config, task.held_out(part).inputs))
    first, targets = tasks[0], tasks[0].held_out(part).targets
    outputs = found[0]
    if len(found) > 1:
        each = [task.prediction.predicted(out) for task, out in zip(tasks, found, strict=True)]
        outputs = first.prediction.outputs_of(first.prediction.mean(each))
    scores = first.prediction.scores(outputs, targets)
    # The objective guides a training, and says nothing beside the scores.
    return {name: score for name, score in scores.items() if name != "objective"}
