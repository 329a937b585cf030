"""The datasets that torchvision knows: their files are found or brought, verified and read."""

import contextlib
import gzip
import hashlib
import os
import shutil
import socket
import subprocess
import tempfile
import uuid
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from trainables.data.splits import Images, Labels, RawDataset

CONNECT_SECONDS = 5.0
"""Within which a host has to answer, for each connection."""

APT_SECONDS = 120.0
"""For Debian's package, 31 MB, and for the lists before it, 10 MB."""

DEBIAN_PACKAGE = "dataset-fashion-mnist"
SYSTEM_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package puts its files."""

FASHION_MNIST_CONTENT_MD5 = {
    "train-images-idx3-ubyte.gz": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "train-labels-idx1-ubyte.gz": "9018921c3c673c538a1fc5bad174d6f9",
    "t10k-images-idx3-ubyte.gz": "8181f5470baa50b63fa0f6fddb340f0a",
    "t10k-labels-idx1-ubyte.gz": "15d484375f8d13e6eb1aabb0c3f46965",
}
"""Of the unpacked files: Debian packs them anew, so that its .gz files are not those whose
checksums torchvision knows."""

Source = tuple[str, Callable[[Path], Path]]
"""Its name, and what brings the files, perhaps into an empty folder, and returns theirs."""


class UnavailableError(Exception):
    """A dataset cannot be had from a source, or from any, here and now; a line for each says why.

    The readers raise it, and a `ValueError` of a damaged file.
    """


def read_mnist(data_dir: Path) -> RawDataset:
    """Read MNIST from `data_dir`, or download it there."""
    from torchvision import datasets

    return _read_idx(datasets.MNIST, data_dir, {}, [_download_of(datasets.MNIST, "MNIST/raw")])


def read_fashion_mnist(data_dir: Path) -> RawDataset:
    """Read Fashion-MNIST from `data_dir`, or bring it there from the system or the network."""
    from torchvision import datasets

    def system_copy(_: Path) -> Path:
        if not all((SYSTEM_FASHION_MNIST / name).is_file() for name in FASHION_MNIST_CONTENT_MD5):
            raise UnavailableError("not there")
        return SYSTEM_FASHION_MNIST

    sources = [
        (f"system copy {SYSTEM_FASHION_MNIST}", system_copy),
        _download_of(datasets.FashionMNIST, "FashionMNIST/raw"),
        (f"Debian's package {DEBIAN_PACKAGE}", fetch_debian_fashion_mnist),
    ]
    return _read_idx(datasets.FashionMNIST, data_dir, FASHION_MNIST_CONTENT_MD5, sources)


def read_cifar10(data_dir: Path) -> RawDataset:
    """Read CIFAR-10 from `data_dir`, or download it there.

    Its files are pickles: none is opened before its checksum was found right.
    """
    from torchvision import datasets

    known = datasets.CIFAR10
    folder = data_dir / known.base_folder
    md5 = dict([*known.train_list, *known.test_list, (known.meta["filename"], known.meta["md5"])])
    missing = [name for name in md5 if not (folder / name).is_file()]
    download = _download_of(known, known.base_folder)
    source = _bring(folder, missing, [download], lambda path: _check(path, md5[path.name]))
    for name, expected in md5.items():
        _check(folder / name, expected)

    def load(*, train: bool) -> tuple[Images, Labels]:
        dataset = known(root=data_dir, train=train, download=False)
        # torchvision gives [n, height, width, channels].
        images = np.ascontiguousarray(dataset.data.transpose(0, 3, 1, 2))
        return images, np.asarray(dataset.targets, dtype=np.int64)

    return RawDataset(*load(train=True), *load(train=False), source)


def _read_idx(
    known: Any, data_dir: Path, content_md5: dict[str, str], sources: list[Source]
) -> RawDataset:
    """Read the four files under `<data_dir>/<class name>/raw`, torchvision's own layout."""
    folder: Path = data_dir / known.__name__ / "raw"
    md5: dict[str, str] = dict(known.resources)

    def check(packed: Path) -> None:
        try:
            _check(packed, md5[packed.name])
        except ValueError:
            # Distributions pack the same content again, which changes the bytes of the .gz.
            expected = content_md5.get(packed.name)
            if expected is None or _content_md5(packed) != expected:
                raise

    files = [(folder / name, folder / name.removesuffix(".gz")) for name in md5]
    missing = [gz.name for gz, plain in files if not gz.is_file() and not plain.is_file()]
    source = _bring(folder, missing, sources, check)
    unverified = [plain.name for gz, plain in files if not gz.is_file()]
    for gz, plain in files:
        if not gz.is_file():
            continue
        check(gz)
        if not plain.is_file():
            with gzip.open(gz) as content:
                _write(content, plain)
        _check_unpacked(plain, gz)

    def load(*, train: bool) -> tuple[Images, Labels]:
        try:
            dataset = known(root=data_dir, train=train, download=False)
            images, labels = dataset.data.numpy(), dataset.targets.numpy()
            if len(images) != len(labels):
                raise ValueError(f"{len(images)} images, {len(labels)} labels")
        except (AssertionError, IndexError, KeyError, RuntimeError, ValueError) as error:
            raise ValueError(
                f"{folder}/{'train' if train else 't10k'}-* cannot be read "
                f"({str(error) or 'unexpected shape'}). "
                f"Delete these files and start again: they are then brought anew."
            ) from None
        return images[:, None], labels

    notice = (
        f"{', '.join(unverified)} in {folder} could not be verified: "
        f"the .gz files that they were unpacked from are not beside them"
    )
    parts = (*load(train=True), *load(train=False))
    return RawDataset(*parts, source, notice if unverified else "")


def _bring(
    folder: Path, missing: list[str], sources: list[Source], check: Callable[[Path], None]
) -> str:
    """Copy what is missing in `folder` from the first source that has it, once it was checked;
    return where that was."""
    if not missing:
        return f"data directory {folder}"
    tried = [f"data directory {folder}: no {', '.join(missing)}"]
    for name, fetch in sources:
        with tempfile.TemporaryDirectory() as temporary:
            try:
                origin = fetch(Path(temporary))
            except UnavailableError as error:
                tried.append(f"{name}: {error}")
                continue
            for file in missing:
                check(origin / file)
                with (origin / file).open("rb") as content:
                    _write(content, folder / file)
            return name
    raise UnavailableError("\n".join(tried))


def _download_of(known: Any, inside: str) -> Source:
    """torchvision's own download of one of its datasets, in silence."""

    def fetch(folder: Path) -> Path:
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(CONNECT_SECONDS)
        # It prints a progress bar for each file, to both streams.
        with (
            Path(os.devnull).open("w") as silence,
            contextlib.redirect_stdout(silence),
            contextlib.redirect_stderr(silence),
        ):
            try:
                known(root=folder, download=True)
            except (OSError, RuntimeError, EOFError) as error:
                raise UnavailableError(_last_line(str(error)) or type(error).__name__) from None
            finally:
                socket.setdefaulttimeout(before)
        return folder / inside

    return "torchvision's download", fetch


def fetch_debian_fashion_mnist(folder: Path) -> Path:
    """Download and unpack Debian's package into `folder`; return the folder with the four .gz
    files. Needs neither root nor an installation.

    Raises:
        UnavailableError: no apt-get or dpkg-deb here, or no such package within reach.
    """
    missing = [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]
    if missing:
        raise UnavailableError(f"no {' and no '.join(missing)} on this machine")
    lists, cache = folder / "lists", folder / "cache"
    for place in (lists, cache / "archives"):
        (place / "partial").mkdir(parents=True)
    apt = [
        "apt-get",
        f"-oDir::State::Lists={lists}",
        f"-oDir::Cache={cache}",
        f"-oAcquire::http::Timeout={CONNECT_SECONDS:.0f}",
        "-oAcquire::Retries=0",
    ]
    _call([*apt, "update"], folder)
    _call([*apt, "download", DEBIAN_PACKAGE], folder)
    packages = list(folder.glob(f"{DEBIAN_PACKAGE}_*.deb"))
    if not packages:
        raise UnavailableError(f"apt-get brought no {DEBIAN_PACKAGE}")
    _call(["dpkg-deb", "-x", str(packages[0]), str(folder / "unpacked")], folder)
    return folder / "unpacked" / "usr/share/datasets/fashion-mnist"


def _call(command: list[str], folder: Path) -> None:
    try:
        subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "LC_ALL": "C"},
            check=True,
            capture_output=True,
            text=True,
            timeout=APT_SECONDS,
        )
    except subprocess.CalledProcessError as error:
        raise UnavailableError(_last_line(error.stderr) or str(error)) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(str(error)) from None


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else ""


def _check(path: Path, expected: str) -> None:
    """Refuse a file of another MD5, which guards against damage, not malice."""
    from torchvision.datasets.utils import calculate_md5

    found = calculate_md5(path)
    if found != expected:
        raise _damaged(path, "its MD5", expected, found)


def _content_md5(packed: Path) -> str | None:
    try:
        content = gzip.decompress(packed.read_bytes())
    except (OSError, EOFError, zlib.error):
        return None
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _check_unpacked(path: Path, packed: Path) -> None:
    """By CRC-32 and size at the end of its .gz file (RFC 1952, section 2.3.1)."""
    trailer, content = packed.read_bytes()[-8:], path.read_bytes()
    crc, size = (int.from_bytes(trailer[i : i + 4], "little") for i in (0, 4))
    if (zlib.crc32(content), len(content)) != (crc, size):
        raise _damaged(
            path,
            f"its CRC-32 and size (as {packed.name} says)",
            f"{crc:08x} and {size} bytes",
            f"{zlib.crc32(content):08x} and {len(content)} bytes",
        )


def _damaged(path: Path, kind: str, expected: str, found: str) -> ValueError:
    return ValueError(
        f"{path} is damaged: {kind} should be {expected}, found {found}. "
        f"Delete it and start again: it is then brought anew."
    )


def _write(content: IO[bytes] | gzip.GzipFile, target: Path) -> None:
    """Write a file so that it is never seen half written."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # Another driver may write the same file now: each its own, and the last rename wins.
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        with partial.open("xb") as file:
            shutil.copyfileobj(content, file)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
