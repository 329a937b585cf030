"""Classes: losses and scores; validation reports the plain cross entropy beside the objective."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from trainables.prediction.config import PredictionConfig
from trainables.prediction.outputs import log_probabilities, mean_probabilities
from trainables.prediction.ranking import auroc, average_precision


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassificationLoss:
    """The training loss of a classifier.

    - cross_entropy: in nats, with `label_smoothing` (Szegedy et al. 2016, section 7).
    - margin: multi-class hinge loss with margin 1 (Crammer and Singer 2001), the mean over classes.
    - focal: cross entropy times (1 - p)^γ, p the probability of the true class and γ `focal_gamma`
      (Lin et al. 2017, *Focal Loss for Dense Object Detection*, equation 4); plain at γ = 0.
    """

    kind: str = "cross_entropy"
    focal_gamma: float = 2.0
    label_smoothing: float = 0.0
    class_weights: Tensor | None = None
    """Weight of the samples of each class, float32 `[classes]`."""

    @property
    def is_plain(self) -> bool:
        """Whether the loss is the mean cross entropy and nothing else."""
        unsmoothed = self.label_smoothing == 0 and self.class_weights is None
        return self.kind == "cross_entropy" and unsmoothed

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of a batch or a part of one.

        Args:
            logits: float `[batch, classes]`.
            targets: class indices `[batch]`.

        Returns:
            The mean over the samples, weighted as PyTorch does (see `weight`), a scalar.
        """
        match self.kind:
            case "margin":
                return F.multi_margin_loss(logits, targets, weight=self.class_weights)
            case "focal":
                losses = focal_losses(logits, targets, self.focal_gamma, self.class_weights)
                return losses.sum() / self.weight(targets)
        return F.cross_entropy(
            logits, targets, weight=self.class_weights, label_smoothing=self.label_smoothing
        )

    def weight(self, targets: Tensor) -> Tensor | int:
        """Return the divisor of the mean over these samples: the sum of their weights or, for the
        margin loss, which PyTorch does not normalise by weights, their number."""
        if self.class_weights is None or self.kind == "margin":
            return len(targets)
        return self.class_weights[targets].sum()


def focal_losses(
    logits: Tensor, targets: Tensor, gamma: float, class_weights: Tensor | None = None
) -> Tensor:
    """Return the loss of each sample, `[batch]` (Lin et al. 2017, equation 5, for many classes).

    Args:
        logits: float `[batch, classes]`.
        targets: class indices `[batch]`.
        gamma: exponent that lowers the weight of well classified samples, at least 0.
        class_weights: α of each class, float `[classes]`.
    """
    log_p = F.log_softmax(logits, dim=1).gather(1, targets.unsqueeze(1)).squeeze(1)
    # 1 - p by expm1: for a sample that is almost certain a difference would lose all digits, and
    # the gradient of a power below 1 at 0 is infinite.
    wrong = (-torch.expm1(log_p)).clamp(min=torch.finfo(log_p.dtype).tiny)
    losses = -log_p * wrong**gamma
    return losses if class_weights is None else losses * class_weights[targets]


def balanced_weights(labels: Tensor, classes: int) -> Tensor:
    """Return weights that give each class equal influence, n / (classes * n_c), 1 if balanced.

    King and Zeng 2001, as scikit-learn's `class_weight="balanced"`. A class without a sample has
    weight 0.

    Args:
        labels: int64 `[n]`, below `classes`.

    Returns:
        float32 `[classes]`.
    """
    counts = torch.bincount(labels, minlength=classes).to(torch.float32)
    return torch.where(counts > 0, len(labels) / (classes * counts.clamp(min=1)), 0.0)


SCORES = ("loss", "accuracy", "precision", "recall", "f1")
"""Names in the result of `scores`."""


def scores(logits: Tensor, labels: Tensor, more: Sequence[str] = ()) -> dict[str, float]:
    """Return mean cross entropy in nats, accuracy, and macro precision, recall and F1.

    Args:
        logits: `[n, classes]`.
        labels: class indices, int64 `[n]`.
        more: other scores to return: "balanced_accuracy", "auroc", "average_precision".
    """
    loss = float(F.cross_entropy(logits, labels))
    confusion = confusion_matrix(logits.argmax(dim=1), labels, logits.shape[1])
    found = {"loss": loss, **classification_scores(confusion)}
    # In float32 the probabilities of a network that is sure would be ties.
    probabilities = logits.double().softmax(dim=1) if more else logits
    for name in more:
        match name:
            case "balanced_accuracy":
                found[name] = balanced_accuracy(confusion)
            case "auroc":
                found[name] = auroc(probabilities, labels)
            case "average_precision":
                found[name] = average_precision(probabilities, labels)
    return found


def balanced_accuracy(confusion: Tensor) -> float:
    """Return the mean recall over the classes that occur, as scikit-learn's
    `balanced_accuracy_score`.

    Args:
        confusion: as returned by `confusion_matrix`.
    """
    counts = confusion.to("cpu", torch.float64)
    actual = counts.sum(dim=1)
    occurs = actual > 0
    return float((counts.diagonal()[occurs] / actual[occurs]).mean())


def confusion_matrix(predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Count the pairs of true class (row) and predicted class (column), int64
    `[classes, classes]`."""
    pairs = labels * classes + predicted
    return torch.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def classification_scores(confusion: Tensor) -> dict[str, float]:
    """Return accuracy and the mean of precision, recall and F1 over classes (macro).

    A ratio with denominator 0 counts as 0, and a class that never occurs counts in the
    average: scikit-learn's `precision_recall_fscore_support(labels=range(classes),
    average="macro", zero_division=0)`.
    """
    counts = confusion.to("cpu", torch.float64)
    hits = counts.diagonal()
    predicted, actual = counts.sum(dim=0), counts.sum(dim=1)
    # Where a denominator is 0, the numerator is 0 too: dividing by 1 gives the wanted 0.
    precision = hits / predicted.clamp(min=1)
    recall = hits / actual.clamp(min=1)
    f1 = 2 * hits / (predicted + actual).clamp(min=1)
    return {
        "accuracy": float(hits.sum() / counts.sum()),
        "precision": float(precision.mean()),
        "recall": float(recall.mean()),
        "f1": float(f1.mean()),
    }


class Classes:
    """Prediction of a class: a `Prediction` of the training loop.

    Args:
        config: hyperparameters of the objective, with a loss of classes.
        labels: class index of each training sample, int64 `[n]`, on the device of the network.
        classes: number of classes.
    """

    def __init__(self, config: PredictionConfig, labels: Tensor, classes: int) -> None:
        self.width = classes
        weights = None
        if config.class_weights == "balanced":
            weights = balanced_weights(labels, classes)
        self.objective = ClassificationLoss(
            kind=config.loss,
            focal_gamma=config.focal_gamma,
            label_smoothing=config.label_smoothing,
            class_weights=weights,
        )
        more = () if self.objective.is_plain else ("objective",)
        self._more = tuple(dict.fromkeys(config.more_scores))
        self.score_names: tuple[str, ...] = (*SCORES, *self._more, *more)

    def targets(self, labels: Tensor) -> Tensor:
        """Return class indices, int64 `[n]`, as they are."""
        return labels

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the objective of logits `[batch, classes]` and class indices `[batch]`."""
        return self.objective(outputs, targets)

    def weight(self, targets: Tensor) -> Tensor | int:
        """Return the divisor of the mean of `loss` over these samples."""
        return self.objective.weight(targets)

    def train_scores(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Return the accuracy on the training samples."""
        return {"accuracy": float((outputs.argmax(dim=1) == targets).sum()) / len(targets)}

    def scores(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Return the scores of a classifier, and `objective` if the training loss is not the plain
        cross entropy."""
        found = scores(outputs, targets, self._more)
        if not self.objective.is_plain:
            found["objective"] = float(self.objective(outputs, targets))
        return found

    def predicted(self, outputs: Tensor) -> Tensor:
        """Return the logarithm of the probability of each class, `[n, classes]`."""
        return log_probabilities(outputs)

    def outputs_of(self, predicted: Tensor) -> Tensor:
        """Return the logarithms of probabilities, which are logits too."""
        return predicted

    def mean(self, predicted: Sequence[Tensor]) -> Tensor:
        """Return the logarithm of the mean probabilities of several networks."""
        return mean_probabilities(predicted)
