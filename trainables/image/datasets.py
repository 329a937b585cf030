"""Image datasets by name, split for a search, with advice if one is not available."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trainables.data.dataset import Dataset, Part, RawDataset
from trainables.data.splits import prepared, with_test_set
from trainables.image.images import Images
from trainables.image.own_images import Kind, is_own, read_own
from trainables.image.torchvision_datasets import (
    UnavailableError,
    read_cifar10,
    read_fashion_mnist,
    read_mnist,
)

DEFAULT_DATASET = "fashion_mnist"
FALLBACK_DATASET = "digits"


def read_digits(_: Path) -> RawDataset[Images]:
    """Read scikit-learn's handwritten digits: 1,797 images of 8 x 8, included in its wheel."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    # The values are 0 to 16: sixteen shades and white.
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)[:, None]
    labels = digits.target.astype(np.int64)
    names = tuple(map(str, digits.target_names))
    return with_test_set(Part(Images(images), labels), class_names=names, source="scikit-learn")


class Known(NamedTuple):
    """A dataset that has a name."""

    read: Callable[[Path], RawDataset[Images]]
    """Reader, called with the folder of all datasets."""
    files: str = ""
    """Files that the user may add by hand if no source provides them."""


DATASETS = {
    "fashion_mnist": Known(
        read_fashion_mnist, "its four .gz files under {data_dir}/FashionMNIST/raw"
    ),
    "mnist": Known(read_mnist, "its four .gz files under {data_dir}/MNIST/raw"),
    "cifar10": Known(read_cifar10, "the unpacked folder cifar-10-batches-py under {data_dir}"),
    "digits": Known(read_digits),
}


def load_dataset(
    name: str | None,
    data_dir: Path,
    *,
    seed: int,
    train_ratio: float = 0.8,
    targets: Kind | None = None,
) -> Dataset[Images]:
    """Find a dataset, verify it, and split it for a search.

    It is looked for in `data_dir`, in the system's copy, in torchvision's download and, for
    Fashion-MNIST, in Debian's package; files found elsewhere are copied to `data_dir`.

    Args:
        name: one of `DATASETS`, or the path of the user's own data (see `own_images.py`); None is
            Fashion-MNIST, or digits if that is not available, as `Dataset.notice` then states.
        data_dir: folder of all datasets, in torchvision's layout.
        seed: seed of the split into training and validation part, at least 0.
        train_ratio: share of the training images that trials may train on; the rest is the
            validation set.
        targets: what the user's own data has, as for `read_own`.

    Raises:
        ValueError: the name is unknown, a file is damaged, a dataset given by name is not
            available, or the split is impossible.
    """
    wanted = DEFAULT_DATASET if name is None else name
    own = wanted not in DATASETS
    if own and not is_own(wanted):
        raise ValueError(
            f"unknown dataset {wanted!r}; give one of {', '.join(DATASETS)}, or the path of your "
            f"own: an .npz file or a folder of images by class"
        )
    if targets == "numbers" and not own:
        raise ValueError(
            f"--targets numbers: {wanted} has classes; give an .npz file with numbers y"
        )
    # Absolute, since a resume may be started from another folder.
    used, notice = str(Path(wanted).absolute()) if own else wanted, ""
    try:
        raw = read_own(Path(wanted), targets) if own else DATASETS[wanted].read(data_dir)
    except UnavailableError as error:
        if name is not None:
            raise ValueError(
                f"dataset {wanted} is not available:\n{_indented(error)}\n"
                f"Ways out: {_ways_out(wanted, data_dir)}; "
                f"or give --dataset digits, which needs no download."
            ) from None
        used = FALLBACK_DATASET
        raw = DATASETS[used].read(data_dir)
        notice = (
            f"THIS STUDY RUNS ON {used.upper()}, NOT ON {wanted.upper()}, which is not "
            f"available:\n{_indented(error)}\nTo search on {wanted}: {_ways_out(wanted, data_dir)}."
        )
    noted = replace(raw, notice=notice or raw.notice)
    return prepared(used, noted, seed=seed, train_ratio=train_ratio, own=own)


def _ways_out(name: str, data_dir: Path) -> str:
    files = DATASETS[name].files.format(data_dir=data_dir)
    ways = [f"put {files}", "connect this machine to the network"]
    if name == "fashion_mnist":
        ways.append("install Debian's package dataset-fashion-mnist")
    return "; ".join(ways)


def _indented(error: UnavailableError) -> str:
    return "\n".join(f"  {line}" for line in str(error).splitlines())
