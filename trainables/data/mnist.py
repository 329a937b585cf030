"""MNIST and Fashion-MNIST: four files in the IDX format, found, verified and read."""

import tempfile
from pathlib import Path
from typing import Any

from trainables.data.splits import Images, Labels
from trainables.data.dataset_files import (
    RawDataset,
    check_gzip,
    check_unpacked,
    copy_file,
    unpack_gzip,
)
from trainables.data.download import UnavailableError, fetch_by_torchvision, fetch_debian_fashion_mnist

# Where Debian's package dataset-fashion-mnist puts its files.
SYSTEM_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")

# MD5 of the unpacked files. Debian packs them anew, so that its .gz files are not those whose
# checksums torchvision knows.
FASHION_MNIST_CONTENT_MD5 = {
    "train-images-idx3-ubyte.gz": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "train-labels-idx1-ubyte.gz": "9018921c3c673c538a1fc5bad174d6f9",
    "t10k-images-idx3-ubyte.gz": "8181f5470baa50b63fa0f6fddb340f0a",
    "t10k-labels-idx1-ubyte.gz": "15d484375f8d13e6eb1aabb0c3f46965",
}


def read_mnist(data_dir: Path) -> RawDataset:
    """Read MNIST from `data_dir`, or download it there.

    Raises:
        UnavailableError: it is nowhere to be had; a line for each place.
        ValueError: a damaged file.
    """
    from torchvision import datasets

    return _Files(datasets.MNIST, data_dir, content_md5={}).read()


def read_fashion_mnist(data_dir: Path) -> RawDataset:
    """Read Fashion-MNIST from `data_dir`, or bring it there from the system or the network.

    Raises:
        UnavailableError: it is nowhere to be had; a line for each place.
        ValueError: a damaged file.
    """
    from torchvision import datasets

    files = _Files(datasets.FashionMNIST, data_dir, content_md5=FASHION_MNIST_CONTENT_MD5)
    return files.read(system=SYSTEM_FASHION_MNIST, debian=True)


class _Files:
    """The files of one dataset under `<data_dir>/<class name>/raw`, torchvision's own layout."""

    def __init__(self, dataset_class: Any, data_dir: Path, content_md5: dict[str, str]) -> None:
        self.dataset_class = dataset_class
        self.data_dir = data_dir
        self.folder: Path = data_dir / dataset_class.__name__ / "raw"
        self.md5: dict[str, str] = dict(dataset_class.resources)
        self.content_md5 = content_md5

    def read(self, *, system: Path | None = None, debian: bool = False) -> RawDataset:
        source = self._bring(system, debian)
        unverified = self._verify()
        train_images, train_labels = self._load(train=True)
        test_images, test_labels = self._load(train=False)
        notice = ""
        if unverified:
            notice = (
                f"{', '.join(unverified)} in {self.folder} could not be verified: "
                f"the .gz files that they were unpacked from are not beside them"
            )
        return RawDataset(
            train_images=train_images,
            train_labels=train_labels,
            test_images=test_images,
            test_labels=test_labels,
            source=source,
            notice=notice,
        )

    def _bring(self, system: Path | None, debian: bool) -> str:
        if not self._missing():
            return f"data directory {self.folder}"
        tried = [f"data directory {self.folder}: no {', '.join(self._missing())}"]
        if system is not None:
            if all((system / packed).is_file() for packed in self.md5):
                self._install(system)
                return f"system copy {system}"
            tried.append(f"system copy {system}: not there")
        with tempfile.TemporaryDirectory() as folder:
            try:
                fetch_by_torchvision(self.dataset_class, Path(folder))
                self._install(Path(folder) / self.dataset_class.__name__ / "raw")
                return "torchvision's download"
            except UnavailableError as error:
                tried.append(f"torchvision's download: {error}")
        if debian:
            with tempfile.TemporaryDirectory() as folder:
                try:
                    self._install(fetch_debian_fashion_mnist(Path(folder)))
                    return "Debian's package dataset-fashion-mnist"
                except UnavailableError as error:
                    tried.append(f"Debian's package dataset-fashion-mnist: {error}")
        raise UnavailableError("\n".join(tried))

    def _missing(self) -> list[str]:
        return [
            p for p in self.md5 if not self._packed(p).is_file() and not self._plain(p).is_file()
        ]

    def _install(self, origin: Path) -> None:
        for packed in self._missing():
            check_gzip(origin / packed, self.md5[packed], self.content_md5.get(packed))
            copy_file(origin / packed, self._packed(packed))

    def _verify(self) -> list[str]:
        """Check all files, unpack what is not yet, and name those that nothing vouches for."""
        unverified = []
        for packed, md5 in self.md5.items():
            if not self._packed(packed).is_file():
                unverified.append(self._plain(packed).name)
                continue
            check_gzip(self._packed(packed), md5, self.content_md5.get(packed))
            if not self._plain(packed).is_file():
                unpack_gzip(self._packed(packed), self._plain(packed))
            check_unpacked(self._plain(packed), self._packed(packed))
        return unverified

    def _load(self, *, train: bool) -> tuple[Images, Labels]:
        part = "train" if train else "t10k"
        try:
            dataset = self.dataset_class(root=self.data_dir, train=train, download=False)
            images, labels = dataset.data.numpy(), dataset.targets.numpy()
        except (AssertionError, IndexError, KeyError, RuntimeError, ValueError) as error:
            raise self._unreadable(part, str(error) or "unexpected shape") from None
        if len(images) != len(labels):
            raise self._unreadable(part, f"{len(images)} images, {len(labels)} labels")
        return images[:, None], labels

    def _unreadable(self, part: str, reason: str) -> ValueError:
        return ValueError(
            f"{self.folder}/{part}-* cannot be read ({reason}). "
            f"Delete these files and start again: they are then brought anew."
        )

    def _packed(self, packed: str) -> Path:
        return self.folder / packed

    def _plain(self, packed: str) -> Path:
        return self.folder / packed.removesuffix(".gz")
