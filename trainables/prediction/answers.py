"""What a checkpoint says of itself, so that its networks predict without their data:
`answers.json`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from trainables.data.dataset import SearchData, as_tensor
from trainables.data.splits import Partition
from trainables.prediction.outputs import spread_of
from trainables.training.config import TrainingConfig

ANSWERS_FILE = "answers.json"
"""File of a checkpoint with the content of `answers`."""


class PreparedData(Protocol):
    """Source of the networks of a task, as far as answers need it."""

    @property
    def search(self) -> SearchData[Any]:
        """The samples."""

    def partitions(self, config: Any) -> Sequence[Partition]:
        """Return the samples of each network."""

    def prepared(self, config: Any) -> dict[str, Any]:
        """Return how the samples become inputs of each network, as plain JSON, for `predict.py` in
        the folder of the task."""


def answers(task: str, config: TrainingConfig, data: PreparedData) -> dict[str, Any]:
    """Return what the inputs and the outputs of trained networks mean, as plain JSON.

    Returns:
        `task`, the name of its folder; `config`, every hyperparameter; `class_names`, empty where
        numbers are predicted; `numbers`, for each network mean and standard deviation of the
        numbers that it was trained on; `inputs`, of `PreparedData.prepared`.
    """
    numbers = []
    for part in () if data.search.classes else data.partitions(config):
        rows = np.concatenate([np.arange(block.start, block.stop) for block in part.train])
        numbers.append(spread_of(as_tensor(data.search.targets)[rows]))
    return {
        "task": task,
        "config": asdict(config),
        "class_names": data.search.class_names,
        "numbers": numbers,
        "inputs": data.prepared(config),
    }


def write_answers(folder: Path, content: Mapping[str, Any]) -> None:
    """Write answers into the folder of a checkpoint."""
    (folder / ANSWERS_FILE).write_text(json.dumps(content, ensure_ascii=False) + "\n", "utf-8")
