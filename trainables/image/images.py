"""Images as compact arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainables.data.dataset import Rows


@dataclass(frozen=True, eq=False)
class Images:
    """The `Samples` of an image dataset."""

    pixels: NDArray[np.uint8]
    """uint8 `[n, channels, height, width]`."""
    background: int = 255
    """Shade on which transparent images were laid, 0 to 255; white if none is transparent."""

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, rows: Rows) -> "Images":
        return Images(self.pixels[rows], self.background)

    def arrays(self) -> Sequence[NDArray[Any]]:
        """Return the pixels."""
        return (self.pixels,)

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(channels, height, width)` of one image."""
        _, channels, height, width = self.pixels.shape
        return channels, height, width
