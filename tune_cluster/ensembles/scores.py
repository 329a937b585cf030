"""Scores of predictions, by the names that trials report with `val_` before them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from search_spaces.objective import Objective

Floats: TypeAlias = NDArray[np.float64]
Score: TypeAlias = Callable[[Floats, NDArray[Any]], float]
"""Function of predictions and targets, as in `Predictions`."""

VALIDATION = "val_"
"""Prefix of the names of validation metrics."""


def log_loss(predicted: Floats, targets: NDArray[Any]) -> float:
    """Return the mean cross entropy in nats."""
    true = predicted[np.arange(len(targets)), targets]
    return float(-np.log(true.clip(min=np.finfo(np.float64).tiny)).mean())


def _confusion(predicted: Floats, targets: NDArray[Any]) -> NDArray[np.int64]:
    classes = predicted.shape[1]
    pairs = targets * classes + predicted.argmax(axis=1)
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def _macro(numerator: float, denominator: Callable[[NDArray[np.int64]], Any]) -> Score:
    """Return the mean over the classes of hits over another count; 0 over 0 is 0."""

    def score(predicted: Floats, targets: NDArray[Any]) -> float:
        counts = _confusion(predicted, targets)
        return float((numerator * counts.diagonal() / denominator(counts).clip(min=1)).mean())

    return score


def _r2(predicted: Floats, targets: NDArray[Any]) -> float:
    """Return 1 less the squared error over that of the mean; of equal targets 0, or 1 if all are
    met, as scikit-learn does and trials report."""
    squared, spread = ((predicted - targets) ** 2).mean(), targets.var()
    return float(1 - squared / spread if spread > 0 else squared == 0)


def _area(name: str) -> Score:
    """Return scikit-learn's score of that name, the mean over the classes; NaN if a class has no
    sample."""

    def score(predicted: Floats, targets: NDArray[Any]) -> float:
        from sklearn import metrics

        classes = predicted.shape[1]
        if len(np.unique(targets)) < classes:
            return float("nan")
        one_hot = targets[:, None] == np.arange(classes)
        return float(getattr(metrics, name)(one_hot, predicted, average="macro"))

    return score


CLASS_SCORES: Mapping[str, Score] = {
    "loss": log_loss,
    "accuracy": lambda p, t: float((p.argmax(axis=1) == t).mean()),
    "precision": _macro(1, lambda counts: counts.sum(axis=0)),
    "recall": _macro(1, lambda counts: counts.sum(axis=1)),
    "f1": _macro(2, lambda counts: counts.sum(axis=0) + counts.sum(axis=1)),
    "auroc": _area("roc_auc_score"),
    "average_precision": _area("average_precision_score"),
}
"""Scores of classes; precision, recall and F1 are means over the classes (macro)."""

NUMBER_SCORES: Mapping[str, Score] = {
    "mse": lambda p, t: float(((p - t) ** 2).mean()),
    "rmse": lambda p, t: float(np.sqrt(((p - t) ** 2).mean())),
    "mae": lambda p, t: float(np.abs(p - t).mean()),
    "r2": _r2,
    "mape": lambda p, t: float((np.abs(p - t) / np.abs(t).clip(min=1e-16)).mean()),
}
"""Scores of numbers, in the unit of the targets; a trial reports its loss in that of standardised
ones."""

LOSSES = ("loss", "mse")
"""Scores that decide between predictions that are equal by another; each kind has one of them."""

AREAS = ("auroc", "average_precision")
"""Scores that scikit-learn computes."""

FALLING = ("loss", "mse", "rmse", "mae", "mape")
"""Scores of which less is better."""

CLASS_ALIASES = {"balanced_accuracy": "recall", "log_loss": "loss", "macro_f1": "f1"}
"""Other names of the scores of classes."""

NUMBER_ALIASES = {"loss": "mse"}
"""Names of scores of numbers that rank predictions alike."""


def scores_of(predicted: Floats) -> Mapping[str, Score]:
    """Return the scores of predictions of this kind, by name."""
    return CLASS_SCORES if predicted.ndim == 2 else NUMBER_SCORES


def loss_of(predicted: Floats) -> str:
    """Return the name of the loss of these predictions."""
    return next(name for name in LOSSES if name in scores_of(predicted))


def criterion_of(metric: str, predicted: Floats, targets: NDArray[Any]) -> Objective:
    """Return the score by which ensembles are chosen: the study's metric if predictions have it,
    else their loss."""
    name = metric.removeprefix(VALIDATION)
    name = (CLASS_ALIASES if predicted.ndim == 2 else NUMBER_ALIASES).get(name, name)
    known = scores_of(predicted)
    if name not in known or not np.isfinite(known[name](predicted, targets)):
        name = loss_of(predicted)
    return Objective(name, "min" if name in FALLING else "max")


def score_all(predicted: Floats, targets: NDArray[Any], *, areas: bool = True) -> dict[str, float]:
    """Return all scores that these predictions have; without `areas`, those alone that need no
    scikit-learn, whose import takes a second."""
    known = {n: of for n, of in scores_of(predicted).items() if areas or n not in AREAS}
    found = {name: of(predicted, targets) for name, of in known.items()}
    return {name: value for name, value in found.items() if np.isfinite(value)}
