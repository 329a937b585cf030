"""A gradient-boosted tree with its defaults, the baseline of every table (Grinsztajn et al. 2022,
*Why Do Tree-Based Models Still Outperform Deep Learning on Tabular Data?*)."""

import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trainables.data.dataset import Part, SearchData, as_tensor
from trainables.prediction.baselines import EVERY_SCORE
from trainables.prediction.classification import Classes
from trainables.prediction.config import PredictionConfig
from trainables.prediction.regression import Numbers
from trainables.table.known_tables import EXTRA
from trainables.table.tables import MISSING, Table

NAME = "LightGBM with its defaults"

TREES = 100
"""Number of trees, which is LightGBM's default."""

SECONDS = 10.0
"""Time after which no further tree is grown: a study does not wait longer for its baseline."""


def boosted_scores(
    data: SearchData[Table], part: Part[Table], *, seconds: float = SECONDS
) -> tuple[str, dict[str, float] | str]:
    """Train LightGBM with its defaults (100 trees) on the training part, and score it.

    It gets the numbers and categories as they are; a missing value is missing to it too.

    Args:
        data: the table.
        part: rows that are scored.
        seconds: time after which no further tree is grown.

    Returns:
        Its name, with the number of trees if the time was over before all were grown; and the
        scores of the task, or how to install it.
    """
    try:
        import lightgbm
    except ImportError:
        return NAME, f"is not installed: pip install '{EXTRA}'"
    objective = {0: "regression", 2: "binary"}.get(data.classes, "multiclass")
    parameters: dict[str, Any] = {
        "objective": objective,
        "seed": 0,
        "deterministic": True,
        "verbosity": -1,
        "metric": "None",
        "num_iterations": TREES,
    }
    if objective == "multiclass":
        parameters["num_class"] = data.classes
    numbers = len(data.inputs.columns.numbers)
    categorical = list(range(numbers, numbers + len(data.inputs.columns.categories)))
    train = lightgbm.Dataset(
        _features(data.train.inputs), data.train.targets, categorical_feature=categorical
    )
    begun, grown = time.monotonic(), 0

    def in_time(env: Any) -> None:
        nonlocal grown
        grown = env.iteration + 1
        if time.monotonic() - begun > seconds:
            raise lightgbm.callback.EarlyStopException(env.iteration, [])

    booster = lightgbm.train(parameters, train, callbacks=[in_time])
    predicted = torch.from_numpy(np.asarray(booster.predict(_features(part.inputs))))
    name = NAME if grown == TREES else f"{NAME}, stopped after {grown} trees"
    return name, _scores(data, part, predicted)


def _features(table: Table) -> NDArray[np.float64]:
    codes = np.where(table.codes == MISSING, np.nan, table.codes)
    return np.concatenate([table.numbers, codes], axis=1)


def _scores(
    data: SearchData[Table], part: Part[Table], predicted: torch.Tensor
) -> dict[str, float]:
    train, targets = as_tensor(data.train.targets), as_tensor(part.targets)
    if not data.classes:
        numbers = Numbers(PredictionConfig(loss="squared_error"), train)
        scores = numbers.scores(numbers.outputs_of(predicted), numbers.targets(targets))
        # It depends on the loss of a trial.
        del scores["loss"]
        return scores
    if data.classes == 2:
        predicted = torch.stack([1 - predicted, predicted], dim=1)
    tiny = torch.finfo(torch.float64).tiny
    return Classes(EVERY_SCORE, train, data.classes).scores(
        predicted.clamp(min=tiny).log(), targets
    )
