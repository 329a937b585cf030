"""Every named space under every strategy: what it draws is a config, and trains."""

import pytest
import torch

from search_spaces.grid_search import GridSearch
from search_spaces.optuna_search import OptunaSearch
from search_spaces.random_search import RandomSearch
from search_spaces.sobol_search import SobolSearch
from search_spaces.spaces import SPACES
from search_spaces.tpe_search import TPESearch
from trainables.config import Config
from trainables.training import trainings

STRATEGIES = {
    "grid": lambda space: GridSearch(space, grid_points=2, limit=float("inf")),
    "random": lambda space: RandomSearch(space, seed=0),
    "sobol": lambda space: SobolSearch(space, seed=0),
    "tpe": lambda space: TPESearch(space, seed=0, startup=4),
    "optuna": lambda space: OptunaSearch(space, seed=0, startup=4),
}

# Beyond it a grid of all of the recipe is never listed.
GRID_LIMIT = 10**6


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_what_a_strategy_draws_is_a_config_and_trains_two_steps(tiny, space, strategy):
    searcher = STRATEGIES[strategy](space.fix(epochs=3))
    searcher.set_search_properties("score", "max", {})
    for index in range(8):
        sampled = searcher.suggest(str(index))
        config = Config.from_dict(sampled)
        (training,) = trainings(config, tiny, torch.device("cpu"))
        steps = training.steps(torch.randperm(training.samples), 1)
        for _, (loss, logits) in zip(range(2), steps, strict=False):
            assert logits.shape[1] == 4
            assert loss.ndim == 0
        assert training.updates in (1, 2)
        searcher.on_trial_complete(str(index), {"score": index / 8, "epoch": 1})
