"""The average of the weights of several trainings of one network, a "soup" (Wortsman et al. 2022,
*Model soups*)."""

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from trainables.data.dataset import Part, S, SearchData
from trainables.training.config import TrainingConfig
from trainables.training.state import NetworkState, State, load_weights
from trainables.training.task import Task, TaskData
from trainables.training.trainer import derived_seed, predict, seeded

C = TypeVar("C", bound=TrainingConfig)

COMPARED_SAMPLES = 64
"""Number of samples on which two networks with the same weights must predict the same."""

TOLERANCE = 0.05
"""Largest difference of these predictions, in standard deviations of them: inputs that are
standardised over a few samples more or less differ by less, another activation by more."""


def averaged(
    configs: Sequence[C], states: Sequence[State], data: TaskData[C], search: SearchData[S]
) -> State:
    """Return a state with the mean of the weights of several states, without an optimizer's memory.

    The running statistics of batch norm are those of the mean weights, computed anew over the
    training samples (Izmailov et al. 2018, *Averaging Weights Leads to Wider Optima*, section 3.2).
    With folds the networks of each fold are averaged.

    Args:
        configs: configuration of each state; the result is used with the first.
        states: trained states.
        data: data that they were trained on, and the device.
        search: the samples.

    Raises:
        ValueError: the networks, or the inputs that they are made for, are not the same.
    """
    tasks = data.tasks(configs[0])
    for state in states:
        state.check_networks(len(tasks))
    each = [[state.networks[fold].weights for state in states] for fold in range(len(tasks))]
    means = [_mean(weights) for weights in each]
    for config in configs[1:]:
        if config != configs[0]:
            _check_same(tasks[0], data.tasks(config)[0], configs[0], each[0][0], search)
    networks = []
    for fold, (task, mean) in enumerate(zip(tasks, means, strict=True)):
        load_weights(task.model, mean)
        _renew_statistics(task, configs[0], fold)
        model = {name: value.cpu().clone() for name, value in task.model.state_dict().items()}
        networks.append(NetworkState(updates=0, model=model, optimizer={}, average={}))
    return State(epoch=0, networks=tuple(networks), patience={})


def _mean(weights: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    first = weights[0]
    shapes = {name: value.shape for name, value in first.items()}
    for other in weights[1:]:
        if {name: value.shape for name, value in other.items()} != shapes:
            raise ValueError("weights can be averaged between equal networks alone")
    return {
        # Counters, such as of batches, are renewed or unused.
        name: torch.stack([of_one[name] for of_one in weights]).mean(dim=0)
        if value.is_floating_point()
        else value
        for name, value in first.items()
    }


def _check_same(
    task: Task,
    other: Task,
    config: TrainingConfig,
    weights: dict[str, Tensor],
    search: SearchData[S],
) -> None:
    """Raise a ValueError unless two tasks predict the same with the same weights: a network may
    differ by its layers, and by what its inputs mean, such as the words of a vocabulary."""
    few = Part(search.inputs[:COMPARED_SAMPLES], search.targets[:COMPARED_SAMPLES])
    found = []
    for one in (task, other):
        load_weights(one.model, weights)
        outputs = predict(one, config, one.held_out(few).inputs)
        found.append(one.prediction.predicted(outputs).double())
    if found[0].shape != found[1].shape or not torch.allclose(
        found[0], found[1], rtol=0, atol=TOLERANCE * float(found[0].std())
    ):
        raise ValueError(
            "weights can be averaged between equal networks alone, whose inputs are prepared alike"
        )


def _renew_statistics(task: Task, config: TrainingConfig, fold: int) -> None:
    norms = [module for module in task.model.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        return
    task.model.eval()
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        # The plain mean over all batches.
        norm.momentum = None
        norm.train()
    size = min(config.batch_size, task.samples)
    sizes = [size] * (task.samples // size)
    sizes[-1] += task.samples - sum(sizes)
    with torch.no_grad(), seeded(derived_seed(config.seed, 0, fold), task.device):
        for batch in task.batches(sizes):
            task.loss(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    task.model.eval()
