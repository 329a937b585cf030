"""Losses: closed forms, gradients, and comparison with PyTorch's own where one exists."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional as F

from trainables.prediction.classification import ClassificationLoss, balanced_weights, focal_losses

LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 0.5], [-3.0, 1.0, 4.0]], dtype=torch.float64)
TARGETS = torch.tensor([0, 2, 1])
WEIGHTS = torch.tensor([0.5, 2.0, 1.0], dtype=torch.float64)

LOSSES = {
    "cross entropy": ClassificationLoss(),
    "smoothed": ClassificationLoss(label_smoothing=0.1),
    "margin": ClassificationLoss(kind="margin"),
    "focal": ClassificationLoss(kind="focal", focal_gamma=1.5),
    "focal 0.5": ClassificationLoss(kind="focal", focal_gamma=0.5),
}


def test_the_cross_entropy_is_minus_the_log_of_the_true_probability():
    p = LOGITS.softmax(dim=1)
    expected = -sum(math.log(p[i, t]) for i, t in enumerate(TARGETS)) / 3
    assert float(ClassificationLoss()(LOGITS, TARGETS)) == pytest.approx(expected)


def test_smoothing_mixes_in_the_mean_over_all_classes():
    logs = LOGITS.log_softmax(dim=1)
    own = -logs[range(3), TARGETS].mean()
    expected = 0.9 * own - 0.1 * logs.mean()
    found = ClassificationLoss(label_smoothing=0.1)(LOGITS, TARGETS)
    assert float(found) == pytest.approx(float(expected))


def test_the_margin_loss_counts_what_comes_within_1_of_the_true_class():
    # 0: nothing within 1 of 2.0. 1: two at a distance of 0, each 1. 2: -3 is far, 4 - 1 + 1 = 4.
    expected = (0 + (1 + 1) / 3 + 4 / 3) / 3
    assert float(ClassificationLoss(kind="margin")(LOGITS, TARGETS)) == pytest.approx(expected)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
def test_the_focal_loss_is_its_closed_form(gamma):
    p = LOGITS.softmax(dim=1)[range(3), TARGETS]
    expected = -((1 - p) ** gamma) * p.log()
    assert torch.allclose(focal_losses(LOGITS, TARGETS, gamma), expected)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_without_focus_it_is_the_cross_entropy(weights):
    focal = ClassificationLoss(kind="focal", focal_gamma=0, class_weights=weights)
    assert torch.allclose(focal(LOGITS, TARGETS), F.cross_entropy(LOGITS, TARGETS, weights))


@pytest.mark.parametrize("case", LOSSES)
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_the_gradient_is_that_of_the_value(case, weights):
    loss = replace(LOSSES[case], class_weights=weights)
    logits = LOGITS.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(x, TARGETS), (logits,))


@pytest.mark.parametrize("gamma", [0.0, 0.3, 0.5, 1.0, 5.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_of_a_sample_that_is_certain_focal_has_a_finite_gradient(gamma, dtype):
    logits = torch.tensor([[100.0, 0.0], [0.0, 100.0]], dtype=dtype, requires_grad=True)
    losses = focal_losses(logits, torch.tensor([0, 0]), gamma)
    losses.sum().backward()
    assert losses.isfinite().all()
    assert logits.grad.isfinite().all()
    assert float(losses[0].detach()) == pytest.approx(0, abs=1e-6)
    assert float(losses[1].detach()) == pytest.approx(100, rel=0.01)


@pytest.mark.parametrize("case", LOSSES)
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_parts_of_a_batch_weighted_by_their_share_are_the_batch(case, weights):
    loss = replace(LOSSES[case], class_weights=weights)
    parts = [slice(0, 1), slice(1, 3)]
    whole = loss.weight(TARGETS)
    together = sum(
        loss(LOGITS[part], TARGETS[part]) * (loss.weight(TARGETS[part]) / whole) for part in parts
    )
    assert float(together) == pytest.approx(float(loss(LOGITS, TARGETS)), rel=1e-6)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60))
def test_balanced_weights_are_scikit_learns(labels):
    found = balanced_weights(torch.tensor(labels), 5)
    there = np.unique(labels)
    expected = compute_class_weight("balanced", classes=there, y=np.array(labels))
    # It knows only the classes that occur.
    scale = len(there) / 5
    assert torch.allclose(
        found[there], torch.tensor(expected * scale, dtype=torch.float32), rtol=1e-6
    )
    assert all(found[c] == 0 for c in range(5) if c not in there)
