"""Options of table jobs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import tyro

from trainables.data.dataset import Dataset
from trainables.table.datasets import DEFAULT_TABLES, load_table
from trainables.table.known_tables import TABLES
from trainables.table.tables import Table
from trainables.table.targets import Kind

EPOCHS = 100
"""Epochs of a trial in table jobs unless the user gives them: tables are small, and an epoch of one
has few updates."""

PATIENCE = 16
"""Epochs without a lower validation loss after which a trial of these jobs ends (Gorishniy et al.
2021, section 4.3)."""


@dataclass(frozen=True, kw_only=True)
class TableFlags:
    """Command-line flags for the table of a study."""

    resumable: ClassVar[tuple[str, ...]] = ("dataset",)
    """Flag that may change in a resume: the content must be equal, which is checked."""
    taken_for: ClassVar[Mapping[str, str]] = {"target": "predict"}
    """For a flag of all studies, the flag that a person may mean by it."""
    dataset: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="TABLE",
            help="A CSV or Parquet file, a folder with train.csv and test.csv, or one of "
            f"{', '.join(TABLES)}. Default: {DEFAULT_TABLES['classes']} for classes, "
            f"{DEFAULT_TABLES['numbers']} for numbers.",
        ),
    ] = None
    predict: Annotated[str | None, tyro.conf.arg(metavar="COLUMN")] = None
    """Column to predict. Default: the one that is called target, label, class or y."""
    categories: tuple[str, ...] = ()
    """Columns that are categories although their values are numbers, or as many as rows."""
    drop: tuple[str, ...] = ()
    """Columns to leave out, such as a number of the row."""

    def load(self, kind: Kind, *, seed: int, train_ratio: float = 0.8) -> Dataset[Table]:
        """Read and split the table.

        Raises:
            ValueError: as `load_table`.
        """
        return load_table(
            self.dataset,
            kind,
            target=self.predict,
            categories=self.categories,
            drop=self.drop,
            seed=seed,
            train_ratio=train_ratio,
        )


def read(table: TableFlags, *, kind: Kind = "classes", seed: int = 0) -> Dataset[Table]:
    """Read and split a table.

    Args:
        table: flags of the data.
        kind: whether the target is classes or numbers.
        seed: seed of the split.
    """
    return table.load(kind, seed=seed)
