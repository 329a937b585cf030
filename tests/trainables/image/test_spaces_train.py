"""Every named space under every strategy: its points are valid configs, and train."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from search_spaces.objective import Objective, StudySpec
from search_spaces.schedulers.asha import ASHA
from search_spaces.schedulers.pbt import PBT
from search_spaces.searchers.grid_search import GridSearch
from search_spaces.searchers.optuna_search import OptunaSearch
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.searchers.sobol_search import SobolSearch
from search_spaces.searchers.tpe_search import TPESearch
from search_spaces.spaces import within
from tests.search_spaces.conftest import SPACES
from tests.trainables.made_up import split_images
from trainables.image.config import ImageConfig
from trainables.image.task import ImageData
from trainables.training.loop import fit, trainers
from trainables.training.state import save_state

TRIALS = 6


@pytest.fixture(scope="session")
def data():
    """Enough images for two of the largest batches: 1,120 to train on, 8 x 8 in 4 classes."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 4, 1400).astype(np.int64)
    images = generator.integers(0, 256, (1400, 1, 8, 8)).astype(np.uint8)
    return split_images(images, labels, 4)


@pytest.fixture(scope="session")
def weights(data, tmp_path_factory):
    """A checkpoint of the default network."""
    path = tmp_path_factory.mktemp("weights") / "state.pt"
    _, state = next(fit(ImageConfig(epochs=1), ImageData(data)))
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


class Population(RandomSearch):
    """Return random points after a population has perturbed all that it can."""

    def suggest(self, index):
        config = super().suggest(index)
        names = [name for name in config if self._can(name)]
        pbt = PBT(self.space, perturbed=names, max_epochs=9, interval=2, seed=index)
        return pbt._explored(config)

    def _can(self, name):
        try:
            PBT(self.space, perturbed=[name], max_epochs=9, interval=2, seed=0)
        except ValueError:
            return False
        return True


class Stopped(RandomSearch):
    """Random points of a space that early stopping has agreed to."""

    def suggest(self, index):
        grace = max(1, math.ceil(self.space.settling_epochs()))
        asha = ASHA(max_epochs=grace + 1, grace_period=grace)
        objective = Objective("val_accuracy", "max")
        StudySpec(
            objective=objective, trials=8, searcher=self, scheduler=asha, continues=True
        ).check()
        return super().suggest(index)


STRATEGIES = {
    "grid": grid_over_two,
    "random": lambda space, seed: RandomSearch(space, seed=seed),
    "sobol": lambda space, seed: SobolSearch(space, seed=seed),
    # The last two points are those of the model.
    "tpe": lambda space, seed: TPESearch(space, seed=seed, startup=4),
    "optuna": lambda space, seed: OptunaSearch(space, seed=seed, startup=4),
    "asha": lambda space, seed: Stopped(space, seed=seed),
    "pbt": lambda space, seed: Population(space, seed=seed),
}


CASES = [
    pytest.param(
        space,
        strategy,
        id=f"{space.name}-{strategy}",
        # The full recipe has all hyperparameters.
        marks=() if space.name == "full_recipe" or strategy == "random" else pytest.mark.long,
    )
    for space in SPACES
    for strategy in STRATEGIES
]


@pytest.mark.slow
@pytest.mark.parametrize(("space", "strategy"), CASES)
@settings(max_examples=2, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**31 - 1), epochs=st.sampled_from([1, 2, 3, 27]))
def test_what_a_strategy_draws_is_a_config_and_trains_two_steps(
    data, weights, space, strategy, seed, epochs
):
    known = {"epochs": epochs}
    if space.name == "fine_tuning":
        known["pretrained"] = weights
    searcher = STRATEGIES[strategy](within(space, epochs).fix(**known), seed)
    for index in range(min(TRIALS, searcher.size or TRIALS)):
        config = ImageConfig.from_dict(searcher.point(index))
        (trainer,) = trainers(config, ImageData(data))
        trainer.start_from_pretrained()
        before = [p.detach().clone() for p in trainer.task.model.parameters()]
        for epoch in (1, epochs):
            losses = [loss for loss, *_ in itertools.islice(trainer.steps(epoch), 2)]
            assert len(losses) == 2
            assert torch.stack(losses).isfinite().all(), config
        after = list(trainer.task.model.parameters())
        assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True)), config
