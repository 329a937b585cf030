"""Texts as compact arrays."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainables.data.dataset import Rows


@dataclass(frozen=True, eq=False)
class Texts:
    """The `Samples` of a text dataset: all texts in one array, in UTF-8."""

    content: NDArray[np.uint8]
    """Bytes of all texts, one text after another, uint8 `[bytes]`."""
    ends: NDArray[np.int64]
    """End of each text in `content`, int64 `[n]`."""

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Texts":
        """Encode texts."""
        encoded = [text.encode() for text in texts]
        ends = np.cumsum([len(text) for text in encoded], dtype=np.int64)
        return cls(np.frombuffer(b"".join(encoded), np.uint8), ends)

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, rows: Rows) -> "Texts":
        if isinstance(rows, slice) and rows.step in (None, 1):
            first, last, _ = rows.indices(len(self))
            begin = int(self.ends[first - 1]) if first else 0
            end = int(self.ends[last - 1]) if last > first else begin
            return Texts(self.content[begin:end], self.ends[first:last] - begin)
        chosen = np.arange(len(self))[rows]
        begins, ends = self._begins()[chosen], self.ends[chosen]
        pieces = [self.content[b:e] for b, e in zip(begins.tolist(), ends.tolist(), strict=True)]
        content = np.concatenate(pieces) if pieces else self.content[:0]
        return Texts(content, np.cumsum(ends - begins, dtype=np.int64))

    def arrays(self) -> Sequence[NDArray[Any]]:
        """Return the bytes and the ends."""
        return self.content, self.ends

    def strings(self) -> list[str]:
        """Return the texts, decoded."""
        content = self.content.tobytes()
        return [content[b:e].decode() for b, e in pairwise((0, *self.ends.tolist()))]

    def _begins(self) -> NDArray[np.int64]:
        return np.concatenate((np.zeros(1, np.int64), self.ends[:-1]))
