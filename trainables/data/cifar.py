"""CIFAR-10: six batch files, found, verified and read."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from trainables.data.splits import Images, Labels
from trainables.data.dataset_files import RawDataset, check_md5, copy_file
from trainables.data.download import UnavailableError, fetch_by_torchvision


def read_cifar10(data_dir: Path) -> RawDataset:
    """Read CIFAR-10 from `data_dir`, or download it there.

    Its files are pickles: none is opened before its checksum was found right.

    Raises:
        UnavailableError: it is nowhere to be had; a line for each place.
        ValueError: a damaged file.
    """
    from torchvision import datasets

    dataset_class = datasets.CIFAR10
    folder = data_dir / dataset_class.base_folder
    meta = dataset_class.meta
    md5 = {
        **dict(dataset_class.train_list),
        **dict(dataset_class.test_list),
        meta["filename"]: meta["md5"],
    }
    source = _bring(dataset_class, folder, list(md5))
    for name, expected in md5.items():
        check_md5(folder / name, expected)
    train_images, train_labels = _load(dataset_class, data_dir, train=True)
    test_images, test_labels = _load(dataset_class, data_dir, train=False)
    return RawDataset(
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        source=source,
    )


def _bring(dataset_class: Any, folder: Path, names: list[str]) -> str:
    missing = [name for name in names if not (folder / name).is_file()]
    if not missing:
        return f"data directory {folder}"
    with tempfile.TemporaryDirectory() as download:
        try:
            fetch_by_torchvision(dataset_class, Path(download))
        except UnavailableError as error:
            raise UnavailableError(
                f"data directory {folder}: no {', '.join(missing)}\ntorchvision's download: {error}"
            ) from None
        for name in missing:
            copy_file(Path(download) / dataset_class.base_folder / name, folder / name)
    return "torchvision's download"


def _load(dataset_class: Any, data_dir: Path, *, train: bool) -> tuple[Images, Labels]:
    dataset = dataset_class(root=data_dir, train=train, download=False)
    # torchvision gives [n, height, width, channels].
    images = np.ascontiguousarray(dataset.data.transpose(0, 3, 1, 2))
    return images, np.asarray(dataset.targets, dtype=np.int64)
