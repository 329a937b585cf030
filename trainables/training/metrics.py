"""Scores of a classifier."""

import torch
from torch import Tensor
from torch.nn import functional as F

SCORES = ("loss", "accuracy", "precision", "recall", "f1")
"""What `scores` has."""


def scores(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Mean cross entropy in nats, accuracy, and macro precision, recall and F1.

    Args:
        logits: float `[n, classes]`.
        labels: int64 `[n]`.
    """
    loss = float(F.cross_entropy(logits, labels))
    confusion = confusion_matrix(logits.argmax(dim=1), labels, logits.shape[1])
    return {"loss": loss, **classification_scores(confusion)}


def confusion_matrix(predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Count the pairs of true and predicted class.

    Args:
        predicted: class indices, int64 `[n]`.
        labels: class indices, int64 `[n]`.
        classes: number of classes.

    Returns:
        int64 `[classes, classes]`: row = true class, column = predicted class.
    """
    pairs = labels * classes + predicted
    return torch.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def classification_scores(confusion: Tensor) -> dict[str, float]:
    """Accuracy, and precision, recall and F1 averaged over classes with equal weight (macro).

    A ratio with nothing below the line counts as 0, and a class that never occurs counts in the
    average: scikit-learn's `precision_recall_fscore_support(labels=range(classes),
    average="macro", zero_division=0)`.

    Args:
        confusion: counts `[classes, classes]`, row = true class.
    """
    counts = confusion.to("cpu", torch.float64)
    hits = counts.diagonal()
    predicted, actual = counts.sum(dim=0), counts.sum(dim=1)
    # Where nothing is to be divided, the numerator is 0 too: dividing by 1 gives the 0 we want.
    precision = hits / predicted.clamp(min=1)
    recall = hits / actual.clamp(min=1)
    f1 = 2 * hits / (predicted + actual).clamp(min=1)
    return {
        "accuracy": float(hits.sum() / counts.sum()),
        "precision": float(precision.mean()),
        "recall": float(recall.mean()),
        "f1": float(f1.mean()),
    }
