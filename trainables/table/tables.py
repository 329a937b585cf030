"""Tables as compact arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from trainables.data.dataset import Rows

MISSING = -1
"""Code of a missing category; a missing number is NaN."""


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a table, in their order."""

    numbers: tuple[str, ...]
    """Columns of numbers; a date is several of them, such as `day.month`."""
    categories: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    """Names of the categories of each column of them, by code."""
    # Not in the repr, on which the fingerprints of tables depend.
    dates: tuple[str, ...] = field(default=(), repr=False)
    """For each of `numbers` the column of dates that it is a part of, or "" if it is a column
    itself; empty if there are no dates."""


@dataclass(frozen=True, eq=False)
class Table:
    """The `Samples` of a table: its rows without the target."""

    numbers: NDArray[np.float64]
    """float64 `[n, numbers]`; NaN is a missing value, and all others are finite."""
    codes: NDArray[np.int32]
    """int32 `[n, categories]`, indices into `columns.levels`; `MISSING` is a missing value."""
    columns: Columns

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, rows: Rows) -> Table:
        return replace(self, numbers=self.numbers[rows], codes=self.codes[rows])

    def arrays(self) -> Sequence[NDArray[Any]]:
        """Return the numbers, the codes, and the names of columns and categories as bytes."""
        names = np.frombuffer(repr(self.columns).encode(), np.uint8)
        return self.numbers, self.codes, names

    @property
    def missing(self) -> dict[str, int]:
        """Number of missing values of each column that has any."""
        counts = np.isnan(self.numbers).sum(axis=0), (self.codes == MISSING).sum(axis=0)
        names = self.columns.numbers + self.columns.categories
        return {n: int(c) for n, c in zip(names, np.concatenate(counts), strict=True) if c}
