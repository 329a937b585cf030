import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    precision_recall_fscore_support,
)
from sklearn.metrics import confusion_matrix as sklearn_confusion

from trainables.prediction.classification import classification_scores, confusion_matrix


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60))
def test_scores_equal_those_of_scikit_learn(pairs):
    labels, predicted = np.array(pairs).T
    confusion = confusion_matrix(torch.tensor(predicted), torch.tensor(labels), 5)
    classes = range(5)
    np.testing.assert_array_equal(confusion, sklearn_confusion(labels, predicted, labels=classes))
    scores = classification_scores(confusion)
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels, predicted, labels=classes, average="macro", zero_division=0
    )
    assert scores == pytest.approx(
        {
            "accuracy": accuracy_score(labels, predicted),
            "precision": precision,
            "recall": recall,
            "f1": f1,
        }
    )
