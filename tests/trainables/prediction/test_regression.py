"""Numbers: their losses, their scores beside scikit-learn's, and the way back to their unit."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import (
    log_loss,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    r2_score,
)
from torch.nn import functional as F

from trainables.prediction.config import PredictionConfig
from trainables.prediction.regression import Numbers, regression_scores

FINITE = st.floats(-1e6, 1e6, allow_subnormal=False)
PAIRS = st.lists(st.tuples(FINITE, FINITE), min_size=2, max_size=50)


@given(PAIRS)
def test_scores_equal_those_of_scikit_learn(pairs):
    targets, predicted = np.array(pairs).T
    scores = regression_scores(torch.tensor(predicted), torch.tensor(targets))
    assert scores["rmse"] == pytest.approx(np.sqrt(mean_squared_error(targets, predicted)))
    assert scores["mae"] == pytest.approx(mean_absolute_error(targets, predicted))
    expected = mean_absolute_percentage_error(targets, predicted)
    assert scores["mape"] == pytest.approx(expected, rel=1e-6)
    # Where the targets hardly differ, the ratio is of rounding errors.
    assume(targets.std() > 1e-6 * max(1, np.abs(targets).max()))
    assert scores["r2"] == pytest.approx(r2_score(targets, predicted), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("predicted", [3.0, 4.0])
def test_equal_targets_have_an_r2_of_one_or_none(predicted):
    targets = torch.full((4,), 3.0)
    found = regression_scores(torch.full((4,), predicted), targets)["r2"]
    assert found == r2_score(targets, torch.full((4,), predicted))


def numbers(train, **rest):
    return Numbers(PredictionConfig(**{"loss": "squared_error", **rest}), torch.tensor(train))


@given(st.lists(FINITE, min_size=2, max_size=50))
def test_targets_are_standardised_and_turned_back(train):
    train = np.array(train)
    assume(train.std() > 1e-3 * max(1, np.abs(train).max()))
    of = numbers(train)
    learned = of.targets(torch.tensor(train))
    assert learned.dtype == torch.float32
    assert float(learned.mean()) == pytest.approx(0, abs=1e-3)
    assert float(learned.std(correction=0)) == pytest.approx(1, abs=1e-3)
    back = of.predicted(learned.unsqueeze(1)).numpy()
    np.testing.assert_allclose(back, train, atol=1e-5 * np.abs(train).max() + 1e-5 * train.std())


def test_a_constant_target_is_learned_as_zero():
    of = numbers([5.0, 5.0])
    assert of.targets(torch.tensor([5.0, 5.0])).tolist() == [0, 0]
    assert of.predicted(torch.zeros(2, 1)).tolist() == [5, 5]


@pytest.mark.parametrize(
    ("given_", "loss"),
    [
        ({"loss": "squared_error"}, F.mse_loss),
        ({"loss": "absolute_error"}, F.l1_loss),
        ({"loss": "huber", "huber_delta": 0.5}, lambda a, b: F.huber_loss(a, b, delta=0.5)),
        ({"loss": "log_loss"}, F.binary_cross_entropy_with_logits),
    ],
)
def test_each_loss_is_that_of_pytorch_on_the_learned_targets(given_, loss):
    train = torch.tensor([0.1, 0.4, 0.9, 0.7], dtype=torch.float64)
    of = Numbers(PredictionConfig(**given_), train)
    outputs, learned = torch.tensor([[0.3], [-2.0], [1.0], [0.0]]), of.targets(train)
    assert of.loss(outputs, learned) == loss(outputs.squeeze(1), learned)
    assert of.weight(learned) == 4
    found = of.scores(outputs, learned)
    plain = given_["loss"] in ("squared_error", "log_loss")
    assert ("objective" in found) == ("objective" in of.score_names) == (not plain)
    assert tuple(found) == of.score_names


def test_the_log_loss_is_of_probabilities_in_their_own_unit():
    train = torch.tensor([0.0, 1.0, 1.0], dtype=torch.float64)
    of = Numbers(PredictionConfig(loss="log_loss"), train)
    outputs = torch.tensor([[-1.0], [2.0], [0.5]])
    predicted = of.predicted(outputs)
    assert predicted.tolist() == pytest.approx(outputs.squeeze(1).sigmoid().tolist())
    found = of.scores(outputs, of.targets(train))
    assert found["loss"] == pytest.approx(log_loss([0, 1, 1], predicted), rel=1e-5)
    assert found["mae"] == pytest.approx(float((predicted - train).abs().mean()))


@given(st.lists(st.lists(FINITE, min_size=3, max_size=3), min_size=1, max_size=4))
def test_the_mean_of_networks_is_of_their_numbers(outputs):
    of = numbers([0.0, 10.0, 20.0])
    each = [of.predicted(torch.tensor(o).unsqueeze(1)) for o in outputs]
    mean = of.mean(each)
    assert mean.tolist() == pytest.approx(torch.stack(each).mean(dim=0).tolist())
    again = of.predicted(of.outputs_of(mean))
    np.testing.assert_allclose(again, mean, rtol=1e-5, atol=1e-3)
