"""Predictions of a trained network for rows of a table.

    python predict.py new.csv         a line of JSON for each row; also .tsv and .parquet

    from predict import predict
    predict("new.csv")                or a data frame of pandas

Needs torch, numpy and pandas, and pyarrow for .parquet.
"""

from __future__ import annotations

import argparse
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trainables.prediction.exported import Exported, print_lines
from trainables.table.files import read_file
from trainables.table.models import build_model
from trainables.table.preparation import Preparation
from trainables.table.tables import Columns
from trainables.table.values import File, table_of

if TYPE_CHECKING:
    import pandas as pd

FOLDER = Path(__file__).parent


def predict(rows: str | Path | pd.DataFrame, folder: Path | str = FOLDER) -> NDArray[np.float64]:
    """Return the probability of each class, `[n, classes]`, or numbers, `[n]`.

    Args:
        rows: a CSV or Parquet file, or a data frame, with the columns of the training file; other
            columns are left out, and a category that is new counts as unknown.
        folder: folder of the export.

    Raises:
        ValueError: a column is missing, or a value of it is of another kind.
    """
    network = network_of(Path(folder))
    if isinstance(rows, (str, Path)):
        return network.predict(read_file(Path(rows), network.columns.categories))
    named = rows.rename(columns=lambda name: str(name).strip())
    return network.predict(File("given", named.reset_index(drop=True)))


class _Network:
    def __init__(self, folder: Path) -> None:
        self.exported = Exported(folder)
        config, inputs = self.exported.config, self.exported.inputs
        self.columns = Columns(
            numbers=tuple(inputs["numbers"]),
            categories=tuple(inputs["categories"]),
            levels=tuple(map(tuple, inputs["levels"])),
            dates=tuple(inputs["dates"]),
        )
        levels = [len(names) for names in self.columns.levels]
        self._each = []
        for weights, of_one in zip(self.exported.weights, inputs["networks"], strict=True):
            model = build_model(config, levels, weights["0.mask"], self.exported.width)
            preparation = Preparation.from_stored(self.columns, of_one)
            self._each.append((preparation, self.exported.with_weights(model, weights)))

    def predict(self, file: File) -> NDArray[np.float64]:
        if not len(file.frame):
            raise ValueError(f"table {file.path}: has no row")
        table = table_of(file, self.columns)
        return self.exported.predicted(
            [
                self.exported.outputs(model, preparation.prepared(table))
                for preparation, model in self._each
            ]
        )


@functools.lru_cache(maxsize=1)
def network_of(folder: Path) -> _Network:
    """Return the networks of an export, which a process keeps."""
    return _Network(folder)


def main() -> None:
    """Print what is predicted for the rows of the files of the command line."""
    parser = argparse.ArgumentParser(
        prog="predict.py", description="Print a line of JSON for each row."
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help=".csv, .tsv or .parquet")
    files = parser.parse_args().files

    def read() -> tuple[list[dict[str, Any]], NDArray[np.float64]]:
        found = {file: predict(file) for file in files}
        names = [
            {"file": file, "row": row}
            for file, one in found.items()
            for row in range(1, len(one) + 1)
        ]
        return names, np.concatenate([*found.values()])

    print_lines(read, lambda: network_of(FOLDER).exported.class_names)


if __name__ == "__main__":
    main()
