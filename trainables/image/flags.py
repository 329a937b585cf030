"""The flags of a job that trains an image classifier."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import tyro

from trainables.data.datasets import FALLBACK_DATASET, load_dataset
from trainables.data.splits import Dataset

DEFAULT_MODEL = "mlp"
"""Where nobody says which: an epoch in a second."""


@dataclass(frozen=True, kw_only=True)
class DataFlags:
    """Which images a study is of."""

    resumable: ClassVar[tuple[str, ...]] = ("dataset", "data_dir")
    """What `--resume` lets change: the content must be the same, and is compared."""

    dataset: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """fashion_mnist, mnist, cifar10 or digits, or the path of your own: an .npz file with x and y,
    or a folder of images by class. Without it fashion_mnist, and digits where that cannot be
    had."""

    data_dir: Path = Path("data")
    """Where datasets are kept."""

    def load(self, *, seed: int, smoke_test: bool = False, train_ratio: float = 0.8) -> Dataset:
        """Load and split the dataset; a smoke test takes digits unless another is given.

        Raises:
            ValueError: as `load_dataset`.
        """
        name = self.dataset or (FALLBACK_DATASET if smoke_test else None)
        return load_dataset(name, self.data_dir, seed=seed, train_ratio=train_ratio)


@dataclass(frozen=True, kw_only=True)
class ImageFlags(DataFlags):
    """Which images, and which network."""

    model: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """mlp, cnn, resnet or linear. Without it mlp, or what the job searches."""
