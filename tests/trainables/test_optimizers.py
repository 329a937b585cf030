"""The optimizers are PyTorch's own, and bring no compiler along."""

import subprocess
import sys

import pytest
import torch

from trainables.config import Config
from trainables.optimizers import build_optimizer, step_of

TRAIN = """
import sys, torch
from trainables.config import Config
from trainables.optimizers import build_optimizer, step_of
model = torch.nn.Linear(3, 2)
optimizer = build_optimizer(Config(optimizer={optimizer!r}), model)
optimizer.zero_grad()
model(torch.ones(1, 3)).sum().backward()
step_of(optimizer)()
optimizer.load_state_dict(optimizer.state_dict())
sys.exit("torch._dynamo" in sys.modules or "sympy" in sys.modules)
"""


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_training_imports_no_compiler(optimizer):
    code = TRAIN.format(optimizer=optimizer)
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_updates_are_those_of_pytorchs_own_step(optimizer):
    weights = []
    for own in (True, False):
        torch.manual_seed(0)
        model = torch.nn.Linear(5, 3)
        optimizing = build_optimizer(Config(optimizer=optimizer), model)
        step = step_of(optimizing) if own else optimizing.step
        for _ in range(10):
            optimizing.zero_grad()
            model(torch.randn(7, 5)).square().sum().backward()
            step()
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(*weights)
