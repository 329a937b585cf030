"""Whether the GPUs that a cluster counts are there: what torch sees of them, node by node.

Ray counts what `ray start --num-gpus` declares, as tests do, and what it finds by itself; whether
torch can use it nobody has asked. Without a device trials run on the CPU, which a study must say;
where a node has one and its torch doesn't see it, that is a mistake of the installation.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DEVICE_FILES = ("nvidia[0-9]*", "kfd", "dxg")
"""Of NVIDIA's driver, AMD's and Windows' (WSL)."""

MASKS = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
"""Ray hides all devices from a process that asked for none, as that of a check does."""

COUNT = "import torch; print(torch.cuda.device_count() if torch.cuda.is_available() else 0)"

LONGEST = 60
"""Seconds for the import of torch, on a node that is busy."""


@dataclass(frozen=True)
class SeenGpus:
    """What the processes of one node see."""

    device_files: tuple[str, ...]
    """Their names, such as `nvidia0`."""
    by_torch: int
    """GPUs that torch counts."""
    reason: str = ""
    """What torch said where it counts none."""

    @property
    def harm(self) -> str:
        """What is wrong where there is a device that torch does not see; else empty."""
        if not self.device_files or self.by_torch:
            return ""
        return (
            f"has {', '.join(self.device_files)}, but its torch sees no GPU ({self.reason}): "
            "install there a torch that fits its driver, or give --gpus-per-trial 0"
        )


def seen_gpus(devices: Path = Path("/dev")) -> SeenGpus:
    """What this node has. Asks torch in a process of its own, and only where there is a device
    file: 2 s there, nothing elsewhere.

    Args:
        devices: the folder of the device files.
    """
    files = tuple(sorted(file.name for glob in DEVICE_FILES for file in devices.glob(glob)))
    if not files:
        return SeenGpus(files, 0)
    environment = {name: value for name, value in os.environ.items() if name not in MASKS}
    try:
        asked = subprocess.run(
            [sys.executable, "-W", "always", "-c", COUNT],
            env=environment,
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return SeenGpus(files, 0, f"torch has not answered within {LONGEST} s")
    if asked.returncode == 0 and int(asked.stdout) > 0:
        return SeenGpus(files, int(asked.stdout))
    said = [line.strip() for line in asked.stderr.splitlines() if not line.startswith("  ")]
    return SeenGpus(files, 0, said[-1] if said else "torch counts none")


def notice_of(seen: Mapping[str, SeenGpus]) -> str:
    """What a person must know before trials with GPUs begin; empty if all is well.

    Args:
        seen: by the name of each node that trials may run on.

    Raises:
        ValueError: a node has the devices, but its torch sees none.
    """
    for node, gpus in seen.items():
        if gpus.harm:
            raise ValueError(f"node {node} {gpus.harm}")
    declared = [node for node, gpus in seen.items() if not gpus.by_torch]
    if not declared:
        return ""
    where = "no node has one" if len(declared) == len(seen) else f"{', '.join(declared)} has none"
    return f"GPUs are declared, but {where} that torch sees: trials run on the CPU there"
