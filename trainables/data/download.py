"""Fetching datasets from the network, into a folder that the caller provides."""

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# A host that does not answer in this time counts as out of reach: seconds for each connection.
CONNECT_SECONDS = 5.0
# Debian's package is 31 MB and the lists before it 10 MB: seconds for each of the two.
APT_SECONDS = 120.0

DEBIAN_PACKAGE = "dataset-fashion-mnist"
DEBIAN_FOLDER = Path("usr/share/datasets/fashion-mnist")


class UnavailableError(Exception):
    """A source that a dataset cannot be had from, here and now; the message says why."""


def fetch_by_torchvision(dataset_class: Any, folder: Path) -> None:
    """Let one of torchvision's dataset classes download itself into `folder`, in silence.

    Raises:
        UnavailableError: the download failed; with the last line of what was said.
    """
    # It prints a progress bar for each file, to both streams.
    with (
        _connect_timeout(),
        Path(os.devnull).open("w") as silence,
        contextlib.redirect_stdout(silence),
        contextlib.redirect_stderr(silence),
    ):
        try:
            dataset_class(root=folder, download=True)
        except (OSError, RuntimeError, EOFError) as error:
            raise UnavailableError(_last_line(str(error)) or type(error).__name__) from None


def fetch_debian_fashion_mnist(folder: Path) -> Path:
    """Download and unpack Debian's package into `folder`; needs neither root nor an installation.

    Returns:
        The folder with the four .gz files.

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
    return folder / "unpacked" / DEBIAN_FOLDER


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


@contextlib.contextmanager
def _connect_timeout() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(CONNECT_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else ""
