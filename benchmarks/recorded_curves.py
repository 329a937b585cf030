"""Learning curves that `record_curves.py` has recorded, as a table that studies train on."""

import csv
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from record_curves import RECORDED, SPACE
from replay import METRIC, Curve

from search_spaces.searchers.sobol_search import SobolSearch


class Curves:
    """The recorded table.

    A configuration that is not in it takes its nearest recorded neighbour (Euclidean distance in
    the unit cube of the space) that the study has not had: two configurations of a real study never
    have the same curve. If they could, a model that has found a good point would propose it again
    and again, all these equal trials would continue from every rung together, and no other would
    pass one any more: Optuna with ASHA then takes five times ASHA's epochs instead of fewer.
    """

    def __init__(self, folder: Path = RECORDED) -> None:
        rows: dict[int, list[dict[str, str]]] = {}
        for path in sorted(folder.glob("shard_*.csv")):
            with path.open() as file:
                for row in csv.DictReader(file):
                    rows.setdefault(int(row["config"]), []).append(row)
        points = SobolSearch(SPACE, seed=0)
        indices = sorted(rows)
        self.units = np.array([SPACE.unit(points.suggest(index)) for index in indices], dtype=float)
        self.curves = [
            Curve(
                [float(row[METRIC]) for row in rows[index]],
                [float(row["epoch_seconds"]) for row in rows[index]],
            )
            for index in indices
        ]
        self.best = max(v for curve in self.curves for v in curve.values if not math.isnan(v))

    def study(self) -> Callable[[Mapping[str, Any]], Curve]:
        """Return a function that trains the configurations of one study."""
        had: set[int] = set()

        def train(config: Mapping[str, Any]) -> Curve:
            if len(had) == len(self.curves):
                # The study has had all of them, and starts over.
                had.clear()
            place = np.array(SPACE.unit(config), dtype=float)
            distances = ((self.units - place) ** 2).sum(axis=1)
            distances[list(had)] = math.inf
            found = int(distances.argmin())
            had.add(found)
            return self.curves[found]

        return train
