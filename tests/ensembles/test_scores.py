import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from trainables.prediction.classification import scores
from tune_cluster.ensembles.scores import criterion_of, score_all

MORE = ("auroc", "average_precision")


def made_up(samples, classes, seed):
    generator = np.random.default_rng(seed)
    predicted = generator.dirichlet(np.ones(classes), samples)
    return predicted, generator.integers(0, classes, samples)


@given(st.integers(1, 60), st.integers(2, 5), st.integers(0, 2**32))
def test_scores_of_classes_are_scikit_learns(samples, classes, seed):
    predicted, targets = made_up(samples, classes, seed)
    found, labels = score_all(predicted, targets), predicted.argmax(axis=1)
    every = range(classes)
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        targets, labels, labels=every, average="macro", zero_division=0
    )
    assert found["precision"] == pytest.approx(precision)
    assert found["recall"] == pytest.approx(recall)
    assert found["f1"] == pytest.approx(f1)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(targets, labels))
    assert found["loss"] == pytest.approx(metrics.log_loss(targets, predicted, labels=every))
    usual = scores(torch.tensor(predicted).log(), torch.tensor(targets), MORE)
    assert found == pytest.approx({name: usual[name] for name in found}), "as trials report them"
    if len(np.unique(targets)) < classes:
        assert "auroc" not in found
    elif classes == 2:
        assert found["auroc"] == pytest.approx(metrics.roc_auc_score(targets, predicted[:, 1]))
    else:
        many = metrics.roc_auc_score(targets, predicted, multi_class="ovr", average="macro")
        assert found["auroc"] == pytest.approx(many)


@given(st.integers(2, 60), st.integers(0, 2**32))
def test_scores_of_numbers_are_scikit_learns(samples, seed):
    predicted, targets = np.random.default_rng(seed).normal(3, 2, (2, samples))
    found = score_all(predicted, targets)
    assert found["rmse"] == pytest.approx(metrics.root_mean_squared_error(targets, predicted))
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(targets, predicted))
    assert found["r2"] == pytest.approx(metrics.r2_score(targets, predicted))
    assert found["mape"] == pytest.approx(
        metrics.mean_absolute_percentage_error(targets, predicted)
    )


@pytest.mark.parametrize(("predicted", "score"), [([3.5, 2.0], 0.0), ([2.0, 2.0], 1.0)])
def test_r2_of_equal_targets_is_finite(predicted, score):
    targets = np.array([2.0, 2.0])
    assert score_all(np.array(predicted), targets)["r2"] == score
    assert metrics.r2_score(targets, predicted) == score


@pytest.mark.parametrize(
    ("metric", "score", "mode"),
    [
        ("val_accuracy", "accuracy", "max"),
        ("val_f1", "f1", "max"),
        ("val_loss", "loss", "min"),
        ("val_auroc", "auroc", "max"),
        ("val_balanced_accuracy", "recall", "max"),
        # Of one's own: the loss decides.
        ("money", "loss", "min"),
    ],
)
def test_the_metric_of_the_study_decides_if_predictions_have_it(metric, score, mode):
    found = criterion_of(metric, *made_up(50, 3, 0))
    assert (found.metric, found.mode) == (score, mode)


@pytest.mark.parametrize(
    ("metric", "score", "mode"),
    [
        ("val_rmse", "rmse", "min"),
        ("val_r2", "r2", "max"),
        # The loss of a trial is the squared error of standardised targets.
        ("val_loss", "mse", "min"),
        ("money", "mse", "min"),
    ],
)
def test_the_metric_of_a_study_of_numbers_decides(metric, score, mode):
    numbers = np.arange(9.0)
    found = criterion_of(metric, numbers + 1, numbers)
    assert (found.metric, found.mode) == (score, mode)


def test_the_loss_decides_where_a_class_has_no_sample_for_the_metric():
    predicted, targets = made_up(50, 3, 0)
    assert criterion_of("val_auroc", predicted, targets % 2).metric == "loss"
