"""The optimizers are PyTorch's own, and bring no compiler along."""

import subprocess
import sys

import pytest
import torch

from trainables.training.config import TrainingConfig
from trainables.training.optimizers import OPTIMIZERS, build_optimizer, step_of

TRAIN = """
import sys, torch
from trainables.training.config import TrainingConfig
from trainables.training.optimizers import build_optimizer, step_of
for name in sys.argv[1:]:
    model = torch.nn.Linear(3, 2)
    optimizer = build_optimizer(TrainingConfig(optimizer=name), model)
    optimizer.zero_grad()
    model(torch.ones(1, 3)).sum().backward()
    step_of(optimizer)()
    optimizer.load_state_dict(optimizer.state_dict())
    if "torch._dynamo" in sys.modules or "sympy" in sys.modules:
        sys.exit(f"{name} has imported the compiler")
"""


def test_training_imports_no_compiler():
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, *OPTIMIZERS], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_updates_are_those_of_pytorchs_own_step(optimizer):
    weights = []
    for own in (True, False):
        torch.manual_seed(0)
        model = torch.nn.Linear(5, 3)
        optimizing = build_optimizer(TrainingConfig(optimizer=optimizer), model)
        step = step_of(optimizing) if own else optimizing.step
        for _ in range(10):
            optimizing.zero_grad()
            model(torch.randn(7, 5)).square().sum().backward()
            step()
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(*weights)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_what_decays_are_matrices_and_never_biases_or_norms(optimizer):
    model = torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.BatchNorm1d(3))
    config = TrainingConfig(optimizer=optimizer, weight_decay=0.25, momentum=0.0, learning_rate=0.5)
    optimizing = build_optimizer(config, model)
    before = [p.detach().clone() for p in model.parameters()]
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    step_of(optimizing)()
    matrix, *others = model.parameters()
    assert all(map(torch.equal, others, before[1:]))
    if optimizer == "sgd":
        # L2: the gradient has the decay added.
        assert torch.allclose(matrix, before[0] * (1 - 0.5 * 0.25))
    elif optimizer == "adamw":
        # Decoupled: no moment knows of it.
        assert torch.allclose(matrix, before[0] * (1 - 0.5 * 0.25))
        assert all(not memory["exp_avg"].any() for memory in optimizing.state.values())
    else:
        assert not torch.equal(matrix, before[0])
