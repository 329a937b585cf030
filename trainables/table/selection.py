"""Selection of features by a score on the training rows."""

import functools
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.data.dataset import SearchData
from trainables.table.preparation import Preparation, prepared_by
from trainables.table.tables import Table

SCORED_ROWS = 10_000
"""Number of training rows, the first, which are stratified, on which the mutual information is
estimated: its cost grows faster than the rows."""


def chosen(scores: NDArray[np.float64], share: float) -> Tensor:
    """Return 1 for the features with the highest scores, else 0, float32 `[features]`.

    Args:
        scores: score of each feature.
        share: share of the features to keep, above 0 to 1; at least one is kept.
    """
    count = max(1, round(share * len(scores)))
    # Of equal scores the first is kept.
    best = np.argsort(-scores, kind="stable")[:count]
    mask = torch.zeros(len(scores))
    mask[torch.from_numpy(best)] = 1
    return mask


@functools.lru_cache(maxsize=32)
def scores_of(
    kind: str, data: SearchData[Table], train: Sequence[range], imputation: str, min_std: float
) -> NDArray[np.float64]:
    """Return the score of each prepared feature on the rows of `train`, `[features]`.

    - variance: of numbers scaled to [0, 1] by their smallest and largest value, so that it does not
      depend on their unit; of categories the probability that two rows differ, which is the
      variance of their indicators.
    - mutual_information: with the target, in nats, by scikit-learn: of numbers by nearest
      neighbours (Kraskov et al. 2004; Ross 2014), of categories by counts.

    Args:
        kind: "variance" or "mutual_information".
        data: the table.
        train: rows to train on.
        imputation: as for `fitted`.
        min_std: as for `fitted`.
    """
    preparation, inputs = prepared_by(data, train, imputation, min_std)
    rows = np.concatenate([np.arange(block.start, block.stop) for block in train])
    features = inputs.numpy()[rows].astype(np.float64)
    if kind == "variance":
        return _variances(preparation, features)
    return _mutual_information(preparation, features, data, rows)


def _variances(preparation: Preparation, features: NDArray[np.float64]) -> NDArray[np.float64]:
    categories = len(preparation.columns.categories)
    numbers = features[:, : features.shape[1] - categories]
    width = np.ptp(numbers, axis=0)
    scaled = numbers.var(axis=0) / np.where(width > 0, width, 1) ** 2
    differ = [
        1 - float(np.square(np.unique(codes, return_counts=True)[1] / len(codes)).sum())
        for codes in features[:, features.shape[1] - categories :].T
    ]
    return np.append(scaled, differ)


def _mutual_information(
    preparation: Preparation,
    features: NDArray[np.float64],
    data: SearchData[Table],
    rows: NDArray[np.int64],
) -> NDArray[np.float64]:
    # Imported here: it takes seconds, and no other trial needs it.
    from sklearn.feature_selection import mutual_info_classif, mutual_info_regression

    discrete = np.arange(features.shape[1]) >= len(preparation.columns.numbers)
    estimate = mutual_info_classif if data.classes else mutual_info_regression
    few = rows[:SCORED_ROWS]
    # The seed is of the noise that separates equal numbers, the same for all trials.
    found: NDArray[np.float64] = estimate(
        features[: len(few)], data.targets[few], discrete_features=discrete, random_state=0
    )
    return found
