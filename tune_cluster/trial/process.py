"""The process that consecutive trials may use: its log, working directory, share of a GPU's memory,
and random generators.

Ray only counts `--gpus-per-trial 0.25`. Here torch knows the share too: its caching
allocator raises `OutOfMemoryError` at the share, in the trial that asked for more, and the
neighbours on the same GPU keep theirs. Such a trial continues with twice the share
(`execution/ray_tune/restart.py`). A share does not cover:

- the CUDA context, some hundred MB of every process: four trials of 0.25 have a little less than a
  quarter each, and the last one to come may run out of memory below its share;
- what cuDNN, cuBLAS, NCCL or another library takes from the driver itself, past torch's allocator;
- other frameworks than torch, and processes that a trial starts, each of which has the share again.

Each trial has a seed, which depends on the study's seed and its index alone. The generators are
seeded with it whenever the trial begins: in a new process, in one that another trial has used,
after a restart and in a resumed study. So a split or an initialization that is drawn first is the
same after a resume. A trainable that must continue its random streams saves the state of the
generators in its checkpoint, or seeds them itself.
"""

from __future__ import annotations

import gc
import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import wrapt

from tune_cluster.trial.failures import ProcessExits, Retries
from tune_cluster.trial.trial_log import TrialLog


def enter_directory(directory: str | None) -> None:
    """Change to that working directory, if this node has it."""
    if directory is not None and Path(directory).is_dir():
        os.chdir(directory)


TRIAL_DIR_VARIABLE = "TUNE_CLUSTER_TRIAL_DIR"
"""Environment variable that names a folder for a trial's files, which are kept with the study."""


def offer_trial_directory(folder: Path) -> None:
    """Name a trial the folder for its files, which it makes where it needs one."""
    os.environ[TRIAL_DIR_VARIABLE] = str(folder)


SEED_VARIABLE = "TUNE_CLUSTER_SEED"
"""Environment variable that has the seed of a trial that is given one of its own."""


def offer_seed(seed: int | None) -> None:
    """Name a trial the seed that it is given; None leaves it to the trial."""
    if seed is None:
        os.environ.pop(SEED_VARIABLE, None)
    else:
        os.environ[SEED_VARIABLE] = str(seed)


def offered_seed() -> int | None:
    """Return the seed that the trial of this process is given; None without one."""
    seed = os.environ.get(SEED_VARIABLE)
    return None if seed is None else int(seed)


def searched_directory(error: BaseException) -> str:
    """Return where a missing file with a relative path was searched; else an empty text."""
    name = error.filename if isinstance(error, FileNotFoundError) else None
    relative = isinstance(name, str) and not Path(name).is_absolute()
    return f" (in {Path.cwd()})" if relative else ""


ALLOCATOR_SETTINGS = ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF")
"""Environment variables of torch's allocator, which reads the first one that is set."""


def limit_gpu_memory(share: float) -> None:
    """Limit this process to its share of the memory of its GPU, whether it imports torch later or
    has done so. Without torch this costs nothing, and with a whole GPU there is no limit."""
    if not 0 < share < 1:
        return
    torch = sys.modules.get("torch")
    if torch is None:
        # Torch's allocator reads it if the trainable imports torch later.
        variable = next((v for v in ALLOCATOR_SETTINGS if v in os.environ), ALLOCATOR_SETTINGS[0])
        limit = f"per_process_memory_fraction:{share:g}"
        settings = [s for s in os.environ.get(variable, "").split(",") if s]
        if limit not in settings:
            os.environ[variable] = ",".join([*settings, limit])
    elif torch.cuda.is_available():
        # Ray shows a process only its own GPUs.
        for device in range(torch.cuda.device_count()):
            torch.cuda.set_per_process_memory_fraction(share, device)


def doubled_share(share: float) -> float:
    """Return the next larger share of a GPU for a trial for which `share` was not enough."""
    return min(1.0, 2 * share)


def free_memory() -> None:
    """Free memory that the last trial has left in reference cycles, such as a network with hooks or
    a traceback, and torch's GPU cache: the collector might run many trials later."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def trial_seed(study_seed: int, index: int) -> int:
    """Return the seed of a trial's random streams, below 2^31."""
    return int(np.random.SeedSequence([study_seed, index]).generate_state(1)[0] >> 1)


class Generators:
    """Seeds the generators of this process, and torch's once it is imported.

    A trainable without torch is spared its import, 1.4 s and 660 MB.
    """

    def __init__(self) -> None:
        self._seed = 0
        if "torch" not in sys.modules:
            wrapt.register_post_import_hook(self._seed_torch, "torch")

    def seed(self, seed: int) -> None:
        """Seed all generators, including those of GPUs."""
        self._seed = seed
        random.seed(seed)
        np.random.seed(seed)
        if "torch" in sys.modules:
            self._seed_torch(sys.modules["torch"])

    def _seed_torch(self, torch: Any) -> None:
        torch.manual_seed(self._seed)


@dataclass(frozen=True)
class TrialProcess:
    """Properties of the process that outlive a trial."""

    node: str
    """Ray's id of its node."""
    gpus: float
    """Number of its GPUs, or the fraction of one."""
    notify: Callable[[str, str], None]
    """Shows the user a line about a trial, given its directory."""
    log: TrialLog = field(default_factory=TrialLog)
    exits: ProcessExits = field(default_factory=ProcessExits)
    clock: Callable[[], float] = time.monotonic
    retries: Retries = field(default_factory=Retries)
    generators: Generators = field(default_factory=Generators)
