"""Classes or numbers: what a dataset's targets ask for."""

import numpy as np
import torch

from trainables.data.dataset import S, SearchData, as_tensor
from trainables.prediction.classification import SCORES as CLASS_SCORES
from trainables.prediction.classification import Classes
from trainables.prediction.config import CLASS_LOSSES, NUMBER_LOSSES, PredictionConfig
from trainables.prediction.regression import SCORES as NUMBER_SCORES
from trainables.prediction.regression import Numbers
from trainables.training.early_stopping import watched_score
from trainables.training.task import Prediction


def prediction_of(config: PredictionConfig, data: SearchData[S], rows: torch.Tensor) -> Prediction:
    """Return the prediction of the dataset's targets.

    Args:
        config: hyperparameters of the objective.
        data: the dataset.
        rows: indices of the training samples, int64 `[n]`, on the device of the network.

    Raises:
        ValueError: as `check_loss`.
    """
    check_loss(config, data)
    targets = as_tensor(data.targets).to(rows.device)[rows]
    return Classes(config, targets, data.classes) if data.classes else Numbers(config, targets)


def check_loss(config: PredictionConfig, data: SearchData[S]) -> None:
    """Raise a ValueError unless the loss, the scores and the one that patience watches suit the
    dataset's targets."""
    scores = (*CLASS_SCORES, *config.more_scores) if data.classes else NUMBER_SCORES
    watched_score(config, scores)
    allowed = CLASS_LOSSES if data.classes else NUMBER_LOSSES
    if config.loss not in allowed:
        kind = f"{data.classes} classes" if data.classes else "numbers"
        raise ValueError(
            f"loss {config.loss!r} does not suit the targets of {data.name}, which are {kind}: "
            f"give one of {', '.join(allowed)}"
        )
    if config.more_scores and not data.classes:
        raise ValueError(
            f"more_scores {', '.join(config.more_scores)}: the targets of {data.name} are numbers, "
            "which have no such score"
        )
    if config.loss == "log_loss":
        outside = np.flatnonzero((data.targets < 0) | (data.targets > 1))
        if len(outside):
            raise ValueError(
                f"loss 'log_loss' needs targets from 0 to 1: {data.name} has "
                f"{data.targets[outside[0]]:g}; give squared_error, absolute_error or huber"
            )
