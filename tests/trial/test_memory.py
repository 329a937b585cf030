"""A share of a GPU that a process is limited to, and what is left of a trial in its process."""

import gc
import os
import subprocess
import sys
import weakref

import pytest
import torch

from search_spaces.catalogue import LEARNING_RATE
from search_spaces.schedulers.base import StudyScheduler
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.space import Space
from trainables.data.datasets import load_dataset
from trainables.image.image_classifier import ImageClassifier
from tune_cluster.trial.memory import doubled_share, free_memory, out_of_gpu_memory

BEFORE_TORCH = """
import os, sys
from tune_cluster.trial.memory import limit_gpu_memory
limit_gpu_memory(0.05)
limit_gpu_memory(0.05)
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
from tune_cluster.trial.memory import limit_gpu_memory
for share in (0, 1, 2):
    limit_gpu_memory(share)
print(os.environ.get("PYTORCH_CUDA_ALLOC_CONF"))
"""

AFTER_TORCH = """
import torch
from tune_cluster.trial.memory import limit_gpu_memory
limit_gpu_memory(0.05)
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
    assert [doubled_share(share) for share in (0.25, 0.3, 0.5, 0.6, 1.0)] == [
        0.5,
        0.6,
        1.0,
        1.0,
        1.0,
    ]


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
    assert out_of_gpu_memory(error) is is_one


RATES = Space("learning rate", (LEARNING_RATE,))


def tensors():
    """Those that live in this process, but for what was there before its first trial."""
    return [found for found in gc.get_objects() if isinstance(found, torch.Tensor)]


def counting():
    """Our trainable, which tells at its start what lives, and leaves as much as it can."""

    class Counting(ImageClassifier):
        def step(self):
            alive = tensors() if self.state is None else []
            result = super().step()
            # Only a collection finds this, and it has all that was trained.
            cycle = [self.state, *tensors()]
            cycle.append(cycle)
            told = {"tensors": len(alive), "left": len(cycle), "process": os.getpid()}
            return {**result, **told, "score": result["val_accuracy"]}

    return Counting


def test_a_cycle_is_freed():
    tensor = torch.zeros(9)
    alive = weakref.ref(tensor)
    cycle = [tensor]
    cycle.append(cycle)
    gc.disable()
    try:
        del tensor, cycle
        assert alive() is not None, "it is freed without a collection"
        free_memory()
    finally:
        gc.enable()
    assert alive() is None


@pytest.mark.slow
def test_every_trial_of_a_process_starts_with_the_memory_of_its_predecessor_freed(
    run_study, tmp_path
):
    dataset = load_dataset("digits", tmp_path, seed=0)
    _, trials, _ = run_study(
        counting(),
        dataset=dataset,
        trials=4,
        max_epochs=2,
        searcher=RandomSearch(RATES, seed=0),
        scheduler=StudyScheduler(),
        max_concurrent=1,
    )
    first = [trial.results[1] for trial in trials.values()]
    assert len({metrics["process"] for metrics in first}) == 1
    assert min(metrics["left"] for metrics in first) > 8, "there was something to free"
    assert [metrics["tensors"] for metrics in first] == [0, 0, 0, 0]
