"""Runs of the same configurations with many seeds, which `record_seeds.py` has recorded."""

import csv
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from search_spaces.searchers.sobol_search import SobolSearch
from search_spaces.spaces import LR_BATCH

FOLDER = Path(__file__).parent / "recorded_seeds"
DATASETS = ("fashion_mnist", "digits")
EPOCHS = 27

POOL = 96
"""Points of the pool; the configuration of this number is the defaults."""
STUDIES = range(2)
"""Seeds of studies."""
FRESH = range(100, 135)
"""Seeds of confirmations, and of the truth."""

Table: TypeAlias = Mapping[tuple[int, int], npt.NDArray[np.float64]]
"""Validation accuracy by epoch, [epochs], NaN from the epoch on in which the run diverged; by
configuration and seed."""


@cache
def configurations() -> tuple[Mapping[str, Any], ...]:
    """Return the pool, the defaults last."""
    points = SobolSearch(LR_BATCH, seed=0)
    return *(points.suggest(index) for index in range(POOL)), LR_BATCH.complete({})


def file_of(dataset: str) -> Path:
    """Return the file of a dataset: a line a run, with configuration, seed and the values."""
    return FOLDER / f"{dataset}.csv"


def read_table(dataset: str) -> Table:
    """Return the recorded runs of a dataset; none if it has no file."""
    if not file_of(dataset).exists():
        return {}
    with file_of(dataset).open() as file:
        return {
            (int(config), int(seed)): np.array([float(value) for value in values])
            for config, seed, *values in csv.reader(file)
        }
