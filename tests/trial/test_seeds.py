"""The generators of a trial's process are seeded before the trainable begins, on a real Ray."""

import os
import random
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ray import tune

from search_spaces.schedulers.base import StudyScheduler
from search_spaces.searchers.grid_search import GridSearch
from search_spaces.space import Space
from tests.in_process import QUALITY
from tune_cluster.trial.seeds import trial_seed


@pytest.mark.parametrize("study_seed", [0, 1, 2])
def test_trials_have_seeds_of_their_own(study_seed):
    seeds = [trial_seed(study_seed, index) for index in range(500)]
    assert len(set(seeds)) == 500
    # With study_seed + index as the seed, the next study would be this one, shifted.
    assert not set(seeds) & {trial_seed(study_seed + 1, index) for index in range(500)}


@given(st.integers(0, 2**40), st.integers(0, 10**6))
def test_a_trials_seed_is_the_same_again_and_fits_every_generator(study_seed, index):
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

        told = {"python": random.random(), "numpy": np.random.random(), "imported": imported}
        if not marker.exists():
            marker.touch()
            raise OSError("no such luck")
        tune.report({"score": 0.0, "torch": float(torch.rand(1)), **told, **config})

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
def test_each_trial_of_a_used_process_has_a_seed_and_only_who_takes_it_is_told(run_study):
    class Drawing(tune.Trainable):
        reuse_actors = True

        def setup(self, config):
            self.told = {"python": random.random(), "numpy": np.random.random()}
            self.told.update(torch=float(torch.rand(1)), names=len(config), process=os.getpid())

        def reset_config(self, new_config):
            self.setup(new_config)
            return True

        def step(self):
            return {"score": 0.0, **self.told, "done": True}

    code, trials, _ = run_study(Drawing, trials=2, max_concurrent=1, scheduler=StudyScheduler())
    assert code == 0
    assert_seeded(trials, 0)
    assert len({trial.results[1]["process"] for trial in trials.values()}) == 1
    assert all(trial.results[1]["names"] == 1 for trial in trials.values())
