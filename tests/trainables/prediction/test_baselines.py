"""A prediction without any input, beside scikit-learn's dummies."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import (
    balanced_accuracy_score,
    log_loss,
    mean_absolute_error,
    mean_squared_error,
    r2_score,
)

from tests.trainables.table.made_up import table
from trainables.data.dataset import SearchData
from trainables.prediction.baselines import constant_scores


def data_of(train, classes):
    rows = np.zeros((len(train), 1))
    return SearchData(
        name="made up",
        inputs=table(rows),
        targets=train,
        class_names=tuple(map(str, range(classes))),
        train_count=len(train),
        train_ratio=0.8,
    )


LABELS = st.lists(st.integers(0, 2), min_size=1, max_size=40)


@given(LABELS, LABELS)
def test_of_classes_it_is_the_frequencies_of_the_training_part(train, other):
    # Every class has a training sample.
    train, other = np.array([0, 1, 2, *train]), np.array(other)
    dummy = DummyClassifier(strategy="prior").fit(train, train)
    name, scores = constant_scores(data_of(train, 3), other)
    loss = log_loss(other, dummy.predict_proba(other), labels=[0, 1, 2])
    assert scores["loss"] == pytest.approx(loss, rel=1e-5)
    assert scores["accuracy"] == pytest.approx(dummy.score(other, other))
    if set(other) == {0, 1, 2}:
        assert scores["recall"] == pytest.approx(
            balanced_accuracy_score(other, dummy.predict(other))
        )
    assert scores["auroc"] == 0.5 or len(set(other)) == 1, "it ranks nothing"
    assert name


NUMBERS = st.lists(st.integers(-1000, 1000), min_size=2, max_size=40)


@given(NUMBERS, NUMBERS)
def test_of_numbers_it_is_the_mean_of_the_training_part(train, other):
    train, other = np.array(train, float), np.array(other, float)
    predicted = DummyRegressor().fit(train, train).predict(other)
    name, scores = constant_scores(data_of(train, 0), other)
    near = {"rel": 1e-4, "abs": 1e-3}
    assert scores["rmse"] == pytest.approx(np.sqrt(mean_squared_error(other, predicted)), **near)
    assert scores["mae"] == pytest.approx(mean_absolute_error(other, predicted), **near)
    if np.ptp(other) > 0:
        assert scores["r2"] == pytest.approx(r2_score(other, predicted), rel=1e-3, abs=1e-3)
    assert "loss" not in scores, "it depends on the loss of a trial"
    assert name
