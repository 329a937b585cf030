"""The memory of a process that one trial after the other runs in: nothing of a trial outlives it.

What a trial leaves in cycles of references, such as a network with hooks or a traceback, Python
frees when its collector comes by, which may be trials later; and torch keeps what was freed on a
GPU. A collection at each start costs 100 ms where torch was imported, nearly all of it for looking
at what never changes: frozen once, that is not looked at again.
"""

from __future__ import annotations

import gc
import sys


def freeze_imports() -> None:
    """Takes what is there out of all collections to come. Before the first trial of a process: what
    is frozen of a trial, and in a cycle, would never be freed."""
    gc.freeze()


def free_memory() -> None:
    """Frees what the last trial has left, on a GPU too."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
