"""`baselines.json` of a study: scores of simple predictors, beside which its trials are read."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from pydantic import ConfigDict
from typing_extensions import NotRequired, TypedDict

from search_spaces.objective import Objective
from tune_cluster.storage.inside import read_regular
from tune_cluster.storage.integrity import check, parse

BASELINES_FILE = "baselines.json"

Baselines: TypeAlias = dict[str, "dict[str, float] | str"]
"""By the name of a predictor its scores by metric, or a text on why it has none."""


class BaselinesFile(TypedDict):
    """Fields of `baselines.json`."""

    __pydantic_config__ = ConfigDict(strict=True, allow_inf_nan=False)  # type: ignore[misc]

    validation: NotRequired[dict[str, dict[str, float] | str]]
    test: NotRequired[dict[str, dict[str, float] | str]]


def read_baselines(directory: Path) -> dict[str, Baselines]:
    """Return the scores in the directory of a study, by part of the data: `validation` and `test`;
    empty if there are none, or they cannot be read."""
    with suppress(OSError, ValueError):
        content = parse(read_regular(directory / BASELINES_FILE))
        check(BaselinesFile, content)
        return dict(content)
    return {}


def not_beaten(baselines: Baselines, objective: Objective, best: float) -> dict[str, float]:
    """Return the predictors that are at least as good as the best trial, with their values.

    Args:
        baselines: scores on the validation set.
        objective: metric of the study and its mode.
        best: value of the best trial.
    """
    values = {
        name: scores[objective.metric]
        for name, scores in baselines.items()
        if not isinstance(scores, str) and objective.metric in scores
    }
    return {name: value for name, value in values.items() if not objective.better(best, value)}
