"""The memory of a GPU that the process of a trial may take, and what it frees for the next trial.

To Ray `--gpus-per-trial 0.25` is a number that is counted. Here torch knows it too: its caching
allocator raises `OutOfMemoryError` at the share, in the trial that asked for more, and the
neighbours on the same GPU keep theirs. Such a trial goes on with twice the share
(`execution/ray_tune/restart.py`). What a share does not cover:

- the CUDA context, some hundred MB of every process: four trials of 0.25 have a little less than a
  quarter each, and the last one to come may run out of memory below its share;
- what cuDNN, cuBLAS, NCCL or another library takes from the driver itself, past torch's allocator;
- other frameworks than torch, and processes that a trial starts, each of which has the share again.
"""

from __future__ import annotations

import gc
import os
import sys

ALLOCATOR_SETTINGS = "PYTORCH_CUDA_ALLOC_CONF"

MESSAGES = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
"""What a RuntimeError says where memory is lacking past torch's allocator."""


def limit_gpu_memory(share: float) -> None:
    """Limit this process to its share, whether it imports torch or has done so already.

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


def doubled_share(share: float) -> float:
    """Return the share of a GPU of a trial for which `share` was not enough."""
    return min(1.0, 2 * share)


def out_of_gpu_memory(error: BaseException) -> bool:
    """Return whether `error` says that a GPU's memory, or the share of it, is used up."""
    # By name: a person's own trainable may not use torch, and then nothing here imports it.
    named = type(error).__name__ == "OutOfMemoryError"
    return named or any(message in str(error) for message in MESSAGES)


def freeze_imports() -> None:
    """Take the objects that live now out of all collections to come: a collection after an import
    of torch costs 100 ms, nearly all of it for looking at what never changes.

    Called before the first trial of a process: what is frozen of a trial, and in a cycle, would
    never be freed.
    """
    gc.freeze()


def free_memory() -> None:
    """Free what the last trial has left in cycles of references, such as a network with hooks or a
    traceback, and what torch keeps of a GPU: the collector may come by trials later."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
