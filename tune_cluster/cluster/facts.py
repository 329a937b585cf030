"""Facts about a node, and the problems that would harm a trial there.

Runs on the node, in a process that the first trial may use later: it imports nothing heavy, and
reads versions from the installed metadata.

Ray counts the GPUs that `ray start --num-gpus` declares, as in tests, and those that it finds by
itself, without a check that torch can use them. Without a device trials run on the CPU, which a
study must report; if a node has a device that its torch does not see, the installation is broken.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tune_cluster.storage.inside import new_file, opened
from tune_cluster.storage.s3 import S3Store
from tune_cluster.storage.store import SCHEME

PACKAGES = ("tune_cluster", "tune_jobs", "search_spaces", "trainables")
"""Our packages, which must be the same on the driver and for every trial."""

DEVICE_FILES = ("nvidia[0-9]*", "kfd", "dxg")
"""Device files of the drivers of NVIDIA, AMD and Windows (WSL)."""

MASKS = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
"""Variables by which Ray hides all devices from a process that asked for none, such as a check."""

COUNT_GPUS = "import torch; print(torch.cuda.device_count() if torch.cuda.is_available() else 0)"

TORCH_SECONDS = 60
"""Seconds for the import of torch, on a busy node."""


@dataclass(frozen=True)
class SeenGpus:
    """GPUs that the processes of one node see."""

    device_files: tuple[str, ...]
    """Names of the device files, such as `nvidia0`."""
    by_torch: int
    """Number of GPUs that torch counts."""
    reason: str = ""
    """Message of torch if it counts none."""

    @property
    def problem(self) -> str:
        """Problem of a device that torch does not see; empty without one."""
        if not self.device_files or self.by_torch:
            return ""
        return (
            f"has {', '.join(self.device_files)}, but its torch sees no GPU ({self.reason}): "
            "install there a torch that fits its driver, or give --gpus-per-trial 0"
        )


@dataclass(frozen=True)
class Facts:
    """Facts that a node reports about itself."""

    versions: dict[str, str]
    """Versions of Python, Ray and torch; "none" if not installed."""
    code: dict[str, str]
    """Fingerprint of each of our packages as a process on the node imports it."""
    shared: bool
    """Whether the node sees files that the driver has written to the storage."""
    unwritable: str
    """Reason why the node cannot use the storage; empty if it can, or sees nothing."""
    free_bytes: int | None
    """Free bytes of the storage; None if the node does not see it, and for a bucket."""
    clock: float
    """Seconds since 1970."""
    gpus: SeenGpus | None = None
    """GPUs found, if the node declares any; None if not checked."""

    @property
    def cut_off(self) -> bool:
        """Whether the node currently cannot use the storage."""
        return not self.shared or bool(self.unwritable)


def facts_here(meeting_point: str, name: str, *, gpus: bool = False) -> Facts:
    """Return the facts about the node that this runs on.

    Args:
        meeting_point: a folder that the driver has created in the storage, under a name that was
            never looked up: NFS caches for a minute that a file is missing. Or a bucket, which all
            nodes see, but may lack credentials to write to.
        name: name of the file that the node writes to it, for the driver to see.
        gpus: whether to look for GPUs too: 2 s if there is one.
    """
    folder = Path(meeting_point)
    in_bucket = meeting_point.startswith(SCHEME)
    shared, unwritable, free_bytes = True, "", None
    try:
        if in_bucket:
            S3Store(meeting_point).probe()
        elif shared := folder.is_dir():
            free_bytes = shutil.disk_usage(folder).free
            # It may exist from an earlier check of this node.
            with suppress(FileExistsError), opened(folder, folder) as number:
                new_file(number, name).close()
    except OSError as error:
        unwritable = error.strerror or type(error).__name__
    return Facts(
        versions={
            "Python": platform.python_version(),
            "Ray": installed("ray"),
            # Builds for CPU and GPU are the same version of torch.
            "torch": installed("torch").partition("+")[0],
        },
        code={package: fingerprint(package) for package in PACKAGES},
        shared=shared,
        unwritable=unwritable,
        free_bytes=free_bytes,
        clock=time.time(),
        gpus=seen_gpus() if gpus else None,
    )


def problems_of(there: Facts, driver: Facts, storage: str) -> list[str]:
    """Return the problems that prevent trials on a node, each with what to do."""
    found = [
        f"has {what} {version}, the driver {driver.versions[what]}: install the driver's there"
        for what, version in there.versions.items()
        if version != driver.versions[what]
    ]
    found += [
        f"imports another {package} than the driver ({code}, here {driver.code[package]}): remove "
        "from its PYTHONPATH and site-packages what hides the one that travels with the job"
        for package, code in there.code.items()
        if code != driver.code[package]
    ]
    if not there.shared:
        found.append(
            f"does not see what the driver writes to {storage}: give a --storage-path on storage "
            "that all nodes share, or mount it there at the same path"
        )
    elif there.unwritable and storage.startswith(SCHEME):
        found.append(f"cannot use {storage}: {there.unwritable}")
    elif there.unwritable:
        found.append(
            f"cannot write to {storage} ({there.unwritable}): give write access to the user that "
            "Ray runs as there"
        )
    if there.gpus is not None and there.gpus.problem:
        found.append(there.gpus.problem)
    return found


def installed(distribution: str) -> str:
    """Return the version of a distribution without importing it; "none" if not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def fingerprint(package: str) -> str:
    """Return 12 hex digits that change with any line of a package; "none" if it is not found."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return "none"
    root = Path(spec.submodule_search_locations[0])
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def seen_gpus(devices: Path = Path("/dev")) -> SeenGpus:
    """Return the GPUs of this node. It asks torch in a process of its own, and only if there is a
    device file: this takes 2 s.

    Args:
        devices: the folder of the device files.
    """
    files = tuple(sorted(file.name for glob in DEVICE_FILES for file in devices.glob(glob)))
    if not files:
        return SeenGpus(files, 0)
    environment = {name: value for name, value in os.environ.items() if name not in MASKS}
    try:
        asked = subprocess.run(
            [sys.executable, "-W", "always", "-c", COUNT_GPUS],
            env=environment,
            capture_output=True,
            text=True,
            timeout=TORCH_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return SeenGpus(files, 0, f"torch has not answered within {TORCH_SECONDS} s")
    # A sitecustomize may print lines before it.
    counted = asked.stdout.split()[-1:] if asked.returncode == 0 else []
    if counted and int(counted[0]) > 0:
        return SeenGpus(files, int(counted[0]))
    said = [line.strip() for line in asked.stderr.splitlines() if not line.startswith("  ")]
    return SeenGpus(files, 0, said[-1] if said else "torch counts none")


def gpu_notice(seen: Mapping[str, SeenGpus]) -> str:
    """Return a notice about the GPUs of the nodes that trials may run on; empty if all is well.

    Args:
        seen: GPUs by the name of the node.

    Raises:
        ValueError: a node has devices, but its torch sees none.
    """
    for node, gpus in seen.items():
        if gpus.problem:
            raise ValueError(f"node {node} {gpus.problem}")
    declared = [node for node, gpus in seen.items() if not gpus.by_torch]
    if not declared:
        return ""
    where = "no node has one" if len(declared) == len(seen) else f"{', '.join(declared)} has none"
    return f"GPUs are declared, but {where} that torch sees: trials run on the CPU there"
