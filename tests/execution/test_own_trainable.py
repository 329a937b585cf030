"""A person's own trainable, a class or a function, under every strategy."""

import pytest
from ray import tune

from search_spaces.searchers.grid_search import GridSearch
from search_spaces.searchers.optuna_search import OptunaSearch
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.searchers.sobol_search import SobolSearch
from search_spaces.searchers.tpe_search import TPESearch
from tests.in_process import SPACE

# A new process for every trial.
pytestmark = pytest.mark.long

STRATEGIES = {
    "grid": lambda: GridSearch(SPACE, grid_points=6),
    "random": lambda: RandomSearch(SPACE, seed=0),
    "sobol": lambda: SobolSearch(SPACE, seed=0),
    "tpe": lambda: TPESearch(SPACE, seed=0, startup=2),
    "optuna": lambda: OptunaSearch(SPACE, seed=0, startup=2),
}


def plain_class():
    """No reset, no checkpoints, no epoch: the least that Tune takes."""

    class Plain(tune.Trainable):
        def setup(self, config):
            self.quality = config["quality"]

        def step(self):
            return {"score": self.quality + self.iteration / 100, "done": self.iteration == 8}

    return Plain


def function():
    """A class as in Tune's documentation."""

    def train(config):
        for epoch in range(9):
            if config["quality"] < 0.2:
                raise RuntimeError("too low")
            tune.report({"score": config["quality"] + epoch / 100})

    return train


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("trainable", [plain_class, function])
def test_a_users_trainable_runs_to_its_rungs_and_to_its_end(run_study, strategy, trainable):
    code, trials, _ = run_study(trainable(), trials=3, searcher=STRATEGIES[strategy]())
    assert code == 0
    assert len(trials) == 3
    for trial in trials.values():
        if trainable is function and trial.config["quality"] < 0.2:
            assert (trial.status, trial.reason) == ("failed", "RuntimeError: too low")
        else:
            assert trial.status in ("finished", "stopped")
            assert trial.epochs in ((9,) if trial.status == "finished" else (1, 3))
    best = max(trials.values(), key=lambda trial: trial.config["quality"])
    assert best.status == "finished"
