"""A task of the tests' own, a regression: the loop knows nothing of images or of classes."""

import math
from dataclasses import replace
from typing import Annotated

import pytest
import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import nn

from trainables.training.config import CHECKS, TrainingConfig
from trainables.training.loop import fit
from trainables.training.state import load_state, save_state, snapshot
from trainables.training.task import Batch
from trainables.training.timing import time_epoch

ROWS, HELD_OUT = 200, 40
CLOCK = ("epoch_seconds", "samples_per_second", "step_scores")


@dataclass(frozen=True, kw_only=True, config=CHECKS)
class RegressionConfig(TrainingConfig):
    width: Annotated[int, Field(ge=1)] = 8


class SquaredError:
    """Numbers, as they are."""

    width = 1
    score_names = ("loss", "mean_absolute_error")

    def targets(self, targets):
        return targets

    def loss(self, outputs, targets):
        return nn.functional.mse_loss(outputs, targets)

    def weight(self, targets):
        return len(targets)

    def train_scores(self, outputs, targets):
        return {}

    def scores(self, outputs, targets):
        wrong = (outputs - targets).abs()
        return {"loss": float((wrong**2).mean()), "mean_absolute_error": float(wrong.mean())}

    def predicted(self, outputs):
        return outputs

    def outputs_of(self, predicted):
        return predicted

    def mean(self, predicted):
        return torch.stack(predicted).mean(dim=0)


class Regression:
    """y = sin of a sum of x, by a small network and its squared error."""

    device = torch.device("cpu")
    smallest_batch = 1
    samples = ROWS - HELD_OUT
    prediction = SquaredError()

    def __init__(self, config: RegressionConfig, fold: int) -> None:
        generator = torch.Generator().manual_seed(0)
        inputs = torch.randn(ROWS, 3, generator=generator)
        targets = inputs.sum(dim=1, keepdim=True).sin()
        self.facts = {"features": 3.0}
        self.training = Batch(inputs[HELD_OUT:], targets[HELD_OUT:])
        self.validation = Batch(inputs[:HELD_OUT], targets[:HELD_OUT])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed + fold)
            width = config.width
            self.model = nn.Sequential(nn.Linear(3, width), nn.Tanh(), nn.Linear(width, 1))

    def batches(self, sizes):
        order = torch.randperm(self.samples)
        for rows in order.split(list(sizes)):
            yield Batch(self.training.inputs[rows], self.training.targets[rows])

    def loss(self, batch):
        outputs = self.model(batch.inputs).float()
        return self.prediction.loss(outputs, batch.targets), outputs

    def outputs(self, inputs):
        return self.model(inputs)


class RegressionData:
    def tasks(self, config):
        return [Regression(config, fold) for fold in range(config.folds or 1)]


CONFIG = RegressionConfig(epochs=4, optimizer="adam", learning_rate=0.03, batch_size=32)


def run(config, state=None):
    return [
        ({name: value for name, value in metrics.items() if name not in CLOCK}, snapshot(state))
        for metrics, state in fit(config, RegressionData(), state)
    ]


def test_a_regression_learns_and_reports_scores_of_its_own():
    epochs = [metrics for metrics, _ in run(replace(CONFIG, epochs=20))]
    assert epochs[-1]["val_loss"] < epochs[0]["val_loss"] / 2
    assert 0 < epochs[-1]["val_mean_absolute_error"] < 1
    assert not [name for name in epochs[0] if "accuracy" in name]
    assert {metrics["features"] for metrics in epochs} == {3.0}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"schedule": "cosine", "epochs_warmup": 1.0, "ema_decay": 0.9},
        {"accumulation_steps": 4, "grad_clip_norm": 0.1, "weight_decay": 0.01},
        {"folds": 3, "patience": 0},
    ],
)
def test_it_goes_on_from_a_checkpoint_bit_for_bit(tmp_path, change):
    config = replace(CONFIG, **change)
    whole = run(config)
    save_state(whole[1][1], tmp_path / "state.pt")
    resumed = run(config, load_state(tmp_path / "state.pt"))
    assert [metrics for metrics, _ in resumed] == [metrics for metrics, _ in whole[2:]]


def test_a_diverged_one_ends_at_once():
    ((metrics, _),) = run(replace(CONFIG, optimizer="sgd", learning_rate=1e30, patience=0))
    assert not math.isfinite(metrics["train_loss"])


def test_its_epochs_are_timed_like_any_other():
    timing = time_epoch(CONFIG, RegressionData(), seconds=0.05)
    assert timing.epoch_seconds > timing.step_seconds > 0
