"""A stored ensemble, to be used after its study."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tune_cluster.ensembles.predictions import Predictions, stacked


@dataclass(frozen=True)
class Ensemble:
    """The ensemble that `tune-cluster evaluate` has chosen."""

    folder: Path
    """Folder `ensemble` of the study."""
    way: str
    """How it combines: best, mean, fitted, greedy, uniform soup or greedy soup."""
    weights: Mapping[str, float]
    """Weight of each checkpoint, by the name of its folder; one, `soup`, for a mean of weights."""
    configs: Mapping[str, Mapping[str, Any]]
    """Configuration of each checkpoint, by the same name."""

    @classmethod
    def read(cls, folder: str | Path) -> Ensemble:
        """Read the folder `ensemble` of a study.

        Raises:
            ValueError: there is none.
        """
        path = Path(folder)
        try:
            content = json.loads((path / "ensemble.json").read_bytes())
        except OSError as error:
            raise ValueError(
                f"Ensemble.read({str(folder)!r}): no ensemble is there ({error.strerror}); "
                "tune-cluster evaluate STUDY writes STUDY/ensemble"
            ) from None
        name = content["chosen"]
        way = next(way for way in content["ways"] if way["name"] == name)
        configs = {f"{one['trial']:04d}": one["config"] for one in content["members"]}
        if way["soup"]:
            first = next(iter(configs.values()))
            return cls(path, name, {"soup": 1.0}, {"soup": first})
        used = {member: share for member, share in way["weights"].items() if share}
        return cls(path, name, used, {member: configs[member] for member in used})

    def predict(self, trainable: Any, dataset: Any, part: str = "test") -> Predictions:
        """Return what the ensemble predicts: the weighted mean of what the `predict` of the
        trainable returns for each of its checkpoints.

        Args:
            trainable: trainable of the study.
            dataset: the study's dataset, or one with other test samples.
            part: "test" or "validation".

        Raises:
            ValueError: the predictions do not belong together.
        """
        found = [
            Predictions.of(
                trainable.predict(self.configs[name], str(self.folder / name), dataset, part)
            )
            for name in self.weights
        ]
        truth, stack = stacked(found)
        mean = np.tensordot(np.array([*self.weights.values()]), stack, axes=1)
        return Predictions(truth.rows, truth.targets, mean)
