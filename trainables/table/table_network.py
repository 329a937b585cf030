"""The table task as a trainable of Tune."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from typing_extensions import override

from trainables.data.dataset import Dataset
from trainables.data.look import OwnLook
from trainables.table.boosting import boosted_scores
from trainables.table.config import TableConfig
from trainables.table.tables import Table
from trainables.table.task import TableData
from trainables.trainable import TaskTrainable, named

FEATURES_FILE = "features.json"


class TableNetwork(TaskTrainable):
    """Trains a network on a table, to predict classes or numbers, one epoch a step."""

    task = "table"
    config_type = TableConfig
    data_type = TableData

    settings: TableConfig

    @classmethod
    @override
    def own_look(cls) -> OwnLook[Table]:
        from trainables.table.look import LOOK

        return LOOK

    @classmethod
    @override
    def reader(cls) -> Callable[..., Dataset[Table]]:
        from trainables.table.options import read

        return read

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write the state and, with a feature selection, `features.json`: for each network how far
        each feature is open, 0 (left out) to 1, by name."""
        super().save_checkpoint(checkpoint_dir)
        if self.settings.feature_selection == "none" or self.state is None:
            return
        found = []
        tasks = TableData(self.data).tasks(self.settings)
        for task, network in zip(tasks, self.state.networks, strict=True):
            task.model.load_state_dict({**network.model, **network.average})
            gates = task.features.gates().tolist()
            found.append(dict(zip(task.preparation.features, gates, strict=True)))
        path = Path(checkpoint_dir) / FEATURES_FILE
        path.write_text(json.dumps(found, indent=2) + "\n")

    @classmethod
    def baselines(
        cls, dataset: Dataset[Any], *, on_test: bool = False
    ) -> dict[str, dict[str, float] | str]:
        """Return the scores of simple predictors: a constant, and LightGBM with its defaults."""
        found = super().baselines(dataset, on_test=on_test)
        part = dataset.test if on_test else dataset.search.validation
        name, scores = boosted_scores(dataset.search, part)
        return {**found, name: scores if isinstance(scores, str) else named(scores, on_test)}
