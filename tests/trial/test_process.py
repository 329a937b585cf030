"""The limit of a process to a share of a GPU, and the remains of a trial in its process."""

import gc
import os
import random
import subprocess
import sys
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ray import tune

from search_spaces.catalogue import LEARNING_RATE
from search_spaces.schedulers.base import StudyScheduler
from search_spaces.searchers.grid_search import GridSearch
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.space import Space
from tests.in_process import QUALITY
from trainables.image.datasets import load_dataset
from trainables.image.image_classifier import ImageClassifier
from tune_cluster.trial.failures import out_of_gpu_memory
from tune_cluster.trial.process import (
    doubled_share,
    free_memory,
    limit_gpu_memory,
    trial_seed,
)

BEFORE_TORCH = """
import os, sys
from tune_cluster.trial.process import limit_gpu_memory
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
from tune_cluster.trial.process import limit_gpu_memory
for share in (0, 1, 2):
    limit_gpu_memory(share)
print(os.environ.get("PYTORCH_CUDA_ALLOC_CONF"))
"""

AFTER_TORCH = """
import torch
from tune_cluster.trial.process import limit_gpu_memory
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


def test_before_torch_is_imported_the_limit_joins_the_settings_of_its_allocator():
    settings = "expandable_segments:True,per_process_memory_fraction:0.05"
    assert run(BEFORE_TORCH + KNOWN) == [settings]


def test_the_limit_is_added_to_the_settings_that_torch_reads(monkeypatch):
    monkeypatch.delenv("PYTORCH_CUDA_ALLOC_CONF", raising=False)
    monkeypatch.setenv("PYTORCH_ALLOC_CONF", "expandable_segments:True")
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    limit_gpu_memory(0.25)
    assert "PYTORCH_CUDA_ALLOC_CONF" not in os.environ
    assert os.environ["PYTORCH_ALLOC_CONF"] == (
        "expandable_segments:True,per_process_memory_fraction:0.25"
    )


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
def test_an_error_of_exhausted_gpu_memory_is_recognised(error, is_one):
    assert out_of_gpu_memory(error) is is_one


RATES = Space("learning rate", (LEARNING_RATE,))


def tensors():
    """Return objects alive in this process, except those from before its first trial."""
    return [found for found in gc.get_objects() if isinstance(found, torch.Tensor)]


def counting():
    """Our trainable, which reports live objects at its start, and leaves as many as it can."""

    class Counting(ImageClassifier):
        def step(self):
            alive = tensors() if self.state is None else []
            result = super().step()
            # Only a collection finds this, and it has all that was trained.
            cycle = [self.state, *tensors()]
            cycle.append(cycle)
            drawn = {"tensors": len(alive), "left": len(cycle), "process": os.getpid()}
            return {**result, **drawn, "score": result["val_accuracy"]}

    return Counting


def test_a_reference_cycle_is_freed():
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


@pytest.mark.long
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


@pytest.mark.parametrize("study_seed", [0, 1, 2])
def test_trials_have_different_seeds(study_seed):
    seeds = [trial_seed(study_seed, index) for index in range(500)]
    assert len(set(seeds)) == 500
    # With study_seed + index as the seed, the next study would be this one, shifted.
    assert not set(seeds) & {trial_seed(study_seed + 1, index) for index in range(500)}


@given(st.integers(0, 2**40), st.integers(0, 10**6))
def test_the_seed_of_a_trial_is_reproducible_and_fits_every_generator(study_seed, index):
    seed = trial_seed(study_seed, index)
    assert 0 <= seed < 2**31
    assert seed == trial_seed(study_seed, index)


def expected(study_seed, index):
    """The first number of each generator in that trial."""
    seed = trial_seed(study_seed, index)
    of_torch = torch.rand(1, generator=torch.Generator().manual_seed(seed))
    return [
        random.Random(seed).random(),
        np.random.RandomState(seed).random_sample(),
        float(of_torch),
    ]


def assert_seeded(trials, study_seed):
    for index, trial in trials.items():
        numbers = [trial.results[1][name] for name in ("python", "numpy", "torch")]
        assert numbers == expected(study_seed, index)


@pytest.mark.slow
def test_a_function_that_imports_torch_itself_draws_the_same_after_a_restart(run_study, tmp_path):
    marker = tmp_path / "failed"

    def train(config):
        imported = "torch" in sys.modules
        import torch

        drawn = {"python": random.random(), "numpy": np.random.random(), "imported": imported}
        if not marker.exists():
            marker.touch()
            raise OSError("no such luck")
        tune.report({"score": 0.0, "torch": float(torch.rand(1)), **drawn, **config})

    searched = replace(QUALITY, name="seed", low=None, high=None, default=1, values=(1, 2))
    code, trials, _ = run_study(
        train,
        searcher=GridSearch(Space("seeds", (searched,))),
        max_concurrent=1,
        seed=3,
        scheduler=StudyScheduler(),
    )
    assert code == 0
    assert_seeded(trials, 3)
    assert not trials[1].results[1]["imported"]
    # A hyperparameter of that name is the person's own.
    assert [trial.results[1]["seed"] for trial in trials.values()] == [1, 2]


@pytest.mark.slow
def test_each_trial_of_a_reused_process_is_seeded_and_a_seed_is_passed_only_where_it_is_taken(
    run_study,
):
    class Drawing(tune.Trainable):
        reuse_actors = True

        def setup(self, config):
            self.drawn = {"python": random.random(), "numpy": np.random.random()}
            self.drawn.update(torch=float(torch.rand(1)), names=len(config), process=os.getpid())

        def reset_config(self, new_config):
            self.setup(new_config)
            return True

        def step(self):
            return {"score": 0.0, **self.drawn, "done": True}

    code, trials, _ = run_study(Drawing, trials=2, max_concurrent=1, scheduler=StudyScheduler())
    assert code == 0
    assert_seeded(trials, 0)
    assert len({trial.results[1]["process"] for trial in trials.values()}) == 1
    assert all(trial.results[1]["names"] == 1 for trial in trials.values())
