"""Scores of rankings are those of scikit-learn, ties included."""

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    log_loss,
    roc_auc_score,
)

from trainables.prediction.classification import scores
from trainables.prediction.ranking import auroc, average_precision

CLASSES = 4
MORE = ("balanced_accuracy", "auroc", "average_precision")

# Few distinct values, so that most samples are ties.
rows = st.lists(
    st.tuples(st.integers(0, CLASSES - 1), *[st.integers(0, 3)] * CLASSES), min_size=1, max_size=40
)


def against_the_rest(score, labels, columns):
    """Return the mean of a score of scikit-learn over the classes for which it is defined."""
    found = [
        score(labels == label, column)
        for label, column in enumerate(columns)
        if 0 < (labels == label).sum() < len(labels)
    ]
    return np.mean(found) if found else math.nan


@given(rows)
def test_each_class_against_the_rest_is_scored_as_by_scikit_learn(given_rows):
    labels, *columns = np.array(given_rows).T
    ranks = torch.tensor(np.array(columns).T, dtype=torch.float64)
    found = auroc(ranks, torch.tensor(labels))
    assert found == pytest.approx(against_the_rest(roc_auc_score, labels, columns), nan_ok=True)
    expected = [
        average_precision_score(labels == label, column)
        for label, column in enumerate(columns)
        if label in labels
    ]
    found = average_precision(ranks, torch.tensor(labels))
    assert found == pytest.approx(np.mean(expected))


@given(rows)
def test_scores_of_logits_are_those_of_scikit_learn(given_rows):
    # Every class occurs, as scikit-learn's own mean over classes demands.
    each = [(label, *range(CLASSES)) for label in range(CLASSES)]
    labels, *columns = np.array([*given_rows, *each]).T
    logits = torch.tensor(np.array(columns).T, dtype=torch.float32)
    found = scores(logits, torch.tensor(labels), MORE)
    probabilities = logits.double().softmax(dim=1).numpy()
    one_hot = np.eye(CLASSES)[labels]
    predicted = logits.argmax(dim=1).numpy()
    assert found["auroc"] == pytest.approx(roc_auc_score(labels, probabilities, multi_class="ovr"))
    assert found["average_precision"] == pytest.approx(
        average_precision_score(one_hot, probabilities)
    )
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert found["loss"] == pytest.approx(log_loss(labels, probabilities), rel=1e-5)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=30))
def test_balanced_accuracy_is_the_mean_over_classes_that_occur(pairs):
    labels, predicted = np.array(pairs).T
    logits = torch.eye(4)[torch.tensor(predicted)]
    found = scores(logits, torch.tensor(labels), ("balanced_accuracy",))["balanced_accuracy"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert found == pytest.approx(balanced_accuracy_score(labels, predicted))


def test_samples_of_which_a_network_is_sure_are_ranked_too():
    # In float32 all of these probabilities of class 0 are 1.
    logits = torch.tensor([[20.0, 0.0], [22.0, 0.0], [24.0, 0.0], [26.0, 0.0]])
    labels = torch.tensor([1, 1, 0, 0])
    assert (logits.softmax(dim=1)[:, 0] == 1).all()
    assert scores(logits, labels, ("auroc",))["auroc"] == 1


def test_without_another_class_there_is_no_ranking():
    assert math.isnan(auroc(torch.rand(3, 2), torch.zeros(3, dtype=torch.int64)))
    assert average_precision(torch.rand(3, 2), torch.zeros(3, dtype=torch.int64)) == 1
