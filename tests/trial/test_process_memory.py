"""What is left of a trial in the process of the next one."""

import gc
import os
import weakref

import pytest
import torch

from search_spaces.catalogue import LEARNING_RATE
from search_spaces.schedulers.in_order import InOrder
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.space import Space
from trainables.data.datasets import load_dataset
from trainables.image.image_classifier import ImageClassifier
from tune_cluster.trial.process_memory import free_memory

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
        scheduler=InOrder(),
        max_concurrent=1,
    )
    first = [trial.results[1] for trial in trials.values()]
    assert len({metrics["process"] for metrics in first}) == 1
    assert min(metrics["left"] for metrics in first) > 8, "there was something to free"
    assert [metrics["tensors"] for metrics in first] == [0, 0, 0, 0]
