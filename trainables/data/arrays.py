"""Samples that are one array."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from trainables.data.dataset import Rows


@dataclass(frozen=True, eq=False)
class Array:
    """`Samples` of a trainable of one's own: an array, as it is."""

    values: NDArray[Any]
    """`[n, …]`, of numbers."""

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: Rows) -> "Array":
        return Array(self.values[rows])

    def arrays(self) -> Sequence[NDArray[Any]]:
        """Return the array."""
        return (self.values,)
