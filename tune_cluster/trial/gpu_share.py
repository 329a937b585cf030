"""A trial's share of a GPU's memory: its process may take so much and no more.

To Ray `--gpus-per-trial 0.25` is a number that is counted. Here torch is told it too: its caching
allocator raises `OutOfMemoryError` at the share, in the trial that asked for more, and the
neighbours on the same GPU keep theirs. Such a trial goes on with twice the share (`restart`).

What a share does not cover:

- the CUDA context, some hundred MB of every process: four trials of 0.25 have a little less than a
  quarter each, and the last one to come may run out of memory below its share;
- what cuDNN, cuBLAS, NCCL or another library takes from the driver itself, past torch's allocator;
- other frameworks than torch, and processes that a trial starts, each of which has the share again.
"""

from __future__ import annotations

import os
import sys

import ray

ALLOCATOR_SETTINGS = "PYTORCH_CUDA_ALLOC_CONF"

MESSAGES = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
"""What a RuntimeError says where memory is lacking past torch's allocator."""


def gpus_of_process() -> float:
    """The GPUs, or the fraction of one, that Ray has given to this process."""
    return float(ray.get_runtime_context().get_assigned_resources().get("GPU", 0.0))


def hold(share: float) -> None:
    """Makes this process keep to its share, whether it imports torch or has done so already.

    A process without torch pays nothing for it, and one that has a whole GPU has no limit.

    Args:
        share: of the memory of its GPU, from 0 to 1.
    """
    if not 0 < share < 1:
        return
    torch = sys.modules.get("torch")
    if torch is None:
        # Read by torch's allocator, should the trainable import it later.
        limit = f"per_process_memory_fraction:{share:g}"
        settings = [s for s in os.environ.get(ALLOCATOR_SETTINGS, "").split(",") if s]
        if limit not in settings:
            os.environ[ALLOCATOR_SETTINGS] = ",".join([*settings, limit])
    elif torch.cuda.is_available():
        # Ray shows a process no GPUs but its own.
        for device in range(torch.cuda.device_count()):
            torch.cuda.set_per_process_memory_fraction(share, device)


def twice(share: float) -> float:
    """The share of a trial for which `share` was not enough."""
    return min(1.0, 2 * share)


def out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that a GPU's memory, or the share of it, is used up."""
    # By name: a person's own trainable may not use torch, and then nothing here imports it.
    named = type(error).__name__ == "OutOfMemoryError"
    return named or any(message in str(error) for message in MESSAGES)
