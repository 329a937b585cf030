"""Every named space under every strategy: what it draws is a config, and trains."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from search_spaces.grid_search import GridSearch
from search_spaces.optuna_search import OptunaSearch
from search_spaces.random_search import RandomSearch
from search_spaces.sobol_search import SobolSearch
from search_spaces.spaces import SPACES
from search_spaces.tpe_search import TPESearch
from trainables.config import Config
from trainables.loop import fit
from trainables.state import save_state
from trainables.training import trainings

TRIALS = 6


@pytest.fixture(scope="session")
def weights(tiny, tmp_path_factory):
    """A checkpoint of the default network."""
    path = tmp_path_factory.mktemp("weights") / "state.pt"
    _, state = next(fit(Config(epochs=1), tiny))
    save_state(state, path)
    return str(path)


def grid_over_two(space, seed):
    """A grid over two hyperparameters of a space, the others where a drawn point has them: all of a
    large space no one would list."""
    rng = np.random.default_rng(seed)
    drawn = space.point(rng.random(len(space.parameters)).tolist())
    parents = {p.condition[0] for p in space.parameters if p.condition}
    names = sorted({p.name for p in space.parameters} & set(drawn) - parents)
    free = rng.permutation(names)[:2]
    known = {name: value for name, value in drawn.items() if name not in free}
    return GridSearch(space.fix(**known), grid_points=3)


STRATEGIES = {
    "grid": grid_over_two,
    "random": lambda space, seed: RandomSearch(space, seed=seed),
    "sobol": lambda space, seed: SobolSearch(space, seed=seed),
    # The last two points are those of the model.
    "tpe": lambda space, seed: TPESearch(space, seed=seed, startup=4),
    "optuna": lambda space, seed: OptunaSearch(space, seed=seed, startup=4),
}


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**31 - 1))
def test_what_a_strategy_draws_is_a_config_and_trains_two_steps(
    tiny, weights, space, strategy, seed
):
    known = {"epochs": 27}
    if space.name == "fine_tuning":
        known["pretrained"] = weights
    searcher = STRATEGIES[strategy](space.fix(**known), seed)
    searcher.set_search_properties("score", "max", {})
    for index in range(min(TRIALS, searcher.size or TRIALS)):
        config = Config.from_dict(searcher.suggest(str(index)))
        (training,) = trainings(config, tiny, torch.device("cpu"))
        before = [p.detach().clone() for p in training.network.model.parameters()]
        steps = training.steps(torch.randperm(training.samples), 1)
        losses = [loss for _, (loss, _) in zip(range(2), steps, strict=False)]
        after = list(training.network.model.parameters())
        assert torch.stack(losses).isfinite().all(), config
        assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True)), config
        searcher.on_trial_complete(str(index), {"score": index / 8, "epoch": 1})
