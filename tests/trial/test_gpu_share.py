"""A share of a GPU: held by the process of a trial, doubled when it is not enough."""

import os
import subprocess
import sys

import pytest
import torch

from tune_cluster.trial.gpu_share import out_of_memory, twice

BEFORE_TORCH = """
import os, sys
from tune_cluster.trial.gpu_share import hold
hold(0.05)
hold(0.05)
assert "torch" not in sys.modules
print(os.environ.get("PYTORCH_CUDA_ALLOC_CONF"))
import torch
"""

KNOWN = """
# That it is the name torch knows: another one is refused.
torch._C._accelerator_setAllocatorSettings("per_process_memory_fraction:0.05")
"""

WHOLE = """
import os
from tune_cluster.trial.gpu_share import hold
for share in (0, 1, 2):
    hold(share)
print(os.environ.get("PYTORCH_CUDA_ALLOC_CONF"))
"""

AFTER_TORCH = """
import torch
from tune_cluster.trial.gpu_share import hold
hold(0.05)
"""

TAKE = """
total = torch.cuda.get_device_properties(0).total_memory
held = torch.empty(total // 25, dtype=torch.uint8, device="cuda")
try:
    torch.empty(total // 25, dtype=torch.uint8, device="cuda")
except torch.cuda.OutOfMemoryError:
    print("out of memory")
"""


def run(script):
    environment = {**os.environ, "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_before_torch_is_there_its_allocator_is_told_and_what_was_set_stays():
    settings = "expandable_segments:True,per_process_memory_fraction:0.05"
    assert run(BEFORE_TORCH + KNOWN) == [settings]


def test_a_whole_gpu_has_no_limit_and_nothing_is_held_without_one():
    assert run(WHOLE) == ["expandable_segments:True"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here")
@pytest.mark.parametrize("script", [BEFORE_TORCH, AFTER_TORCH])
def test_a_process_gets_its_share_of_the_memory_and_no_more(script):
    assert run(script + TAKE)[-1] == "out of memory"


def test_a_share_is_doubled_up_to_a_whole_gpu():
    assert [twice(share) for share in (0.25, 0.3, 0.5, 0.6, 1.0)] == [0.5, 0.6, 1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (MemoryError("of the host"), False),
    ],
)
def test_what_says_that_a_gpus_memory_is_used_up(error, is_one):
    assert out_of_memory(error) is is_one
