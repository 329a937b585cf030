"""Scores of a prediction without any input, the baseline of every network."""

import numpy as np
import torch

from trainables.data.dataset import S, SearchData, Targets, as_tensor
from trainables.prediction.classification import Classes
from trainables.prediction.config import PredictionConfig
from trainables.prediction.regression import Numbers

EVERY_SCORE = PredictionConfig(more_scores=("balanced_accuracy", "auroc", "average_precision"))
"""Config under which classes have every score that the metric of a study may be."""

CONSTANT_CLASSES = "always the frequencies of the training classes"
CONSTANT_NUMBERS = "always the mean of the training targets"


def constant_scores(data: SearchData[S], targets: Targets) -> tuple[str, dict[str, float]]:
    """Return the name and the scores of the same prediction for every sample.

    - classes: the share of each class in the training part, so that the predicted class is the
      most frequent one and the loss is that of its frequencies.
    - numbers: the mean of the training part, the best constant by squared error.

    Args:
        data: the data, of whose training part the prediction is made.
        targets: targets of the samples that are scored, `[n]`.
    """
    train = as_tensor(data.train.targets)
    if data.classes:
        labels = data.train.targets.astype(np.int64, copy=False)
        shares = torch.from_numpy(np.bincount(labels, minlength=data.classes)) / len(labels)
        # A class without a training sample, which no split of ours has, is never predicted.
        outputs = shares.clamp(min=torch.finfo(torch.float32).tiny).log().expand(len(targets), -1)
        classes = Classes(EVERY_SCORE, train, data.classes)
        return CONSTANT_CLASSES, classes.scores(outputs, as_tensor(targets))
    numbers = Numbers(PredictionConfig(loss="squared_error"), train)
    learned = numbers.targets(as_tensor(targets))
    scores = numbers.scores(torch.zeros(len(targets), 1), learned)
    # It depends on the loss that a trial minimises.
    del scores["loss"]
    return CONSTANT_NUMBERS, scores
