"""Datasets known to torchvision: finding or downloading, verifying and reading their files."""

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

from trainables.data.dataset import Part, RawDataset
from trainables.image.images import Images

CONNECT_SECONDS = 5.0
"""Seconds within which a host must answer, for each connection."""

APT_SECONDS = 120.0
"""Seconds for Debian's package, 31 MB, and for the package lists before it, 10 MB."""

DEBIAN_PACKAGE = "dataset-fashion-mnist"
SYSTEM_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
"""Folder in which Debian's package installs its files."""

FASHION_MNIST_CONTENT_MD5 = {
    "train-images-idx3-ubyte.gz": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "train-labels-idx1-ubyte.gz": "9018921c3c673c538a1fc5bad174d6f9",
    "t10k-images-idx3-ubyte.gz": "8181f5470baa50b63fa0f6fddb340f0a",
    "t10k-labels-idx1-ubyte.gz": "15d484375f8d13e6eb1aabb0c3f46965",
}
"""MD5 of the unpacked files: Debian compresses them again, so that its .gz files do not match the
checksums that torchvision knows."""

Source = tuple[str, Callable[[Path], Path]]
"""Name of a source, and a function that fetches the files, possibly into an empty folder, and
returns their folder."""


class UnavailableError(Exception):
    """A dataset is not available from any source; the message has a line with the reason for each.

    The readers raise it, and a `ValueError` for a damaged file.
    """


def read_mnist(data_dir: Path) -> RawDataset[Images]:
    """Read MNIST from `data_dir`, after a download if needed."""
    from torchvision import datasets

    return _read_idx(datasets.MNIST, data_dir, {}, [_download_of(datasets.MNIST, "MNIST/raw")])


def read_fashion_mnist(data_dir: Path) -> RawDataset[Images]:
    """Read Fashion-MNIST from `data_dir`, after fetching it from the system or the network."""
    from torchvision import datasets

    def system_copy(_: Path) -> Path:
        if not all((SYSTEM_FASHION_MNIST / name).is_file() for name in FASHION_MNIST_CONTENT_MD5):
            raise UnavailableError("not installed")
        return SYSTEM_FASHION_MNIST

    sources = [
        (f"system copy {SYSTEM_FASHION_MNIST}", system_copy),
        _download_of(datasets.FashionMNIST, "FashionMNIST/raw"),
        (f"Debian's package {DEBIAN_PACKAGE}", fetch_debian_fashion_mnist),
    ]
    return _read_idx(datasets.FashionMNIST, data_dir, FASHION_MNIST_CONTENT_MD5, sources)


def read_cifar10(data_dir: Path) -> RawDataset[Images]:
    """Read CIFAR-10 from `data_dir`, after a download if needed.

    Its files are pickles: each is opened only after its checksum was verified.
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

    def load(*, train: bool) -> Part[Images]:
        dataset = known(root=data_dir, train=train, download=False)
        # torchvision returns [n, height, width, channels].
        images = np.ascontiguousarray(dataset.data.transpose(0, 3, 1, 2))
        return Part(Images(images), np.asarray(dataset.targets, dtype=np.int64))

    names = tuple(known(root=data_dir, train=False, download=False).classes)
    return RawDataset(
        train=load(train=True), test=load(train=False), class_names=names, source=source
    )


def _read_idx(
    known: Any, data_dir: Path, content_md5: dict[str, str], sources: list[Source]
) -> RawDataset[Images]:
    """Read the four files under `<data_dir>/<class name>/raw`, torchvision's own layout."""
    folder: Path = data_dir / known.__name__ / "raw"
    md5: dict[str, str] = dict(known.resources)

    def check(packed: Path) -> None:
        try:
            _check(packed, md5[packed.name])
        except ValueError:
            # Distributions compress the same content again, which changes the bytes of the .gz.
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

    def load(*, train: bool) -> Part[Images]:
        try:
            dataset = known(root=data_dir, train=train, download=False)
            images, labels = dataset.data.numpy(), dataset.targets.numpy()
            if len(images) != len(labels):
                raise ValueError(f"{len(images)} images, {len(labels)} labels")
        except (AssertionError, IndexError, KeyError, RuntimeError, ValueError) as error:
            raise ValueError(
                f"{folder}/{'train' if train else 't10k'}-* cannot be read "
                f"({str(error) or 'unexpected shape'}). "
                f"Delete these files and start again: they are then fetched anew."
            ) from None
        return Part(Images(images[:, None]), labels)

    notice = (
        f"{', '.join(unverified)} in {folder} could not be verified: "
        f"the .gz files that they were unpacked from are missing"
    )
    return RawDataset(
        train=load(train=True),
        test=load(train=False),
        class_names=tuple(known.classes),
        source=source,
        notice=notice if unverified else "",
    )


def _bring(
    folder: Path, missing: list[str], sources: list[Source], check: Callable[[Path], None]
) -> str:
    """Copy the missing files to `folder` from the first source that has them, after a check; return
    the name of the source."""
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
    """Return torchvision's own download of one of its datasets as a source, without its output."""

    def fetch(folder: Path) -> Path:
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(CONNECT_SECONDS)
        # torchvision prints a progress bar for each file, to both streams.
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
    files. It needs neither root nor an installation.

    Raises:
        UnavailableError: apt-get or dpkg-deb is missing, or the package cannot be fetched.
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
        raise UnavailableError(f"apt-get did not download {DEBIAN_PACKAGE}")
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
    """Raise a ValueError if the MD5 differs; it guards against damage, not malice."""
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
    """Compare a file with CRC-32 and size at the end of its .gz file (RFC 1952, section 2.3.1)."""
    trailer, content = packed.read_bytes()[-8:], path.read_bytes()
    crc, size = (int.from_bytes(trailer[i : i + 4], "little") for i in (0, 4))
    if (zlib.crc32(content), len(content)) != (crc, size):
        raise _damaged(
            path,
            f"its CRC-32 and size (from {packed.name})",
            f"{crc:08x} and {size} bytes",
            f"{zlib.crc32(content):08x} and {len(content)} bytes",
        )


def _damaged(path: Path, kind: str, expected: str, found: str) -> ValueError:
    return ValueError(
        f"{path} is damaged: {kind} should be {expected}, found {found}. "
        f"Delete it and start again: it is then fetched anew."
    )


def _write(content: IO[bytes] | gzip.GzipFile, target: Path) -> None:
    """Write a file so that no reader ever sees it half written."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # Another driver may write the same file at the same time: each writes its own, the last rename
    # wins.
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        with partial.open("xb") as file:
            shutil.copyfileobj(content, file)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
