"""Precision of the arithmetic of a network."""

import contextlib

import torch


def arithmetic(precision: str, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Return the context for the precision of forward pass and loss: "float32", "tf32" or
    "bfloat16"."""
    if precision == "bfloat16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    if device.type == "cuda":
        # A setting of the process, and so of the backward pass too; an earlier trial may have
        # chosen another. Uses the older interface: after the newer one, reading the older fails.
        torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
        torch.backends.cudnn.allow_tf32 = precision == "tf32"
    return contextlib.nullcontext()
