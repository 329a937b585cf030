"""A job without torch for golden studies: gradient descent on a parabola, in plain arithmetic."""

import json
import tempfile
from pathlib import Path
from typing import Literal

from ray import tune

from search_spaces.hyperparameter import Hyperparameter
from search_spaces.searchers.grid_search import GridSearch
from search_spaces.searchers.optuna_search import OptunaSearch
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.searchers.sobol_search import SobolSearch
from search_spaces.searchers.tpe_search import TPESearch
from search_spaces.space import Space
from tune_cluster import TuneConfig, Tuner, main

STEP = Hyperparameter(
    name="step",
    meaning="step size",
    default=0.1,
    kind="optimization",
    role="scientific",
    advice="for tests; from about 2 on the descent diverges",
    low=0.001,
    high=4.0,
    scale="log",
    grid=(0.01, 0.1, 1.5, 3.0),
)

RULE = Hyperparameter(
    name="rule",
    meaning="how a step is taken",
    default="plain",
    kind="optimization",
    role="nuisance",
    advice="for tests",
    values=("plain", "momentum"),
)

MOMENTUM = Hyperparameter(
    name="momentum",
    meaning="share of the last step that is kept",
    default=0.5,
    kind="optimization",
    role="nuisance",
    advice="for tests",
    values=(0.25, 0.5),
    ordered=True,
    condition=("rule", ("momentum",)),
)

FAULT = Hyperparameter(
    name="fault",
    meaning="what goes wrong",
    default="none",
    kind="optimization",
    role="scientific",
    advice="for tests",
    values=("none", "fails", "fails once", "diverges"),
)

START = {"epoch": 0, "x": 1.0, "velocity": 0.0}

LIMIT = 100.0
"""A point farther than this from the minimum has diverged."""


def after(state, config):
    """The state one epoch later."""
    velocity = config.get("momentum", 0.0) * state["velocity"] - config["step"] * state["x"]
    return {"epoch": state["epoch"] + 1, "x": state["x"] + velocity, "velocity": velocity}


def loss(state):
    """Return the loss: NaN once it has diverged."""
    return state["x"] ** 2 if abs(state["x"]) < LIMIT else float("nan")


def descend(config):
    """A function that resumes from its checkpoint; each trial has a process of its own."""
    state = dict(START)
    checkpoint = tune.get_checkpoint()
    if checkpoint:
        with checkpoint.as_directory() as folder:
            state = json.loads(Path(folder, "state.json").read_text())
    while True:
        state = after(state, config)
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "state.json").write_text(json.dumps(state))
            tune.report({"loss": loss(state)}, checkpoint=tune.Checkpoint.from_directory(folder))


class Faulty(tune.Trainable):
    """Saves nothing, and fails, diverges, or fails once and restarts."""

    reuse_actors = True

    def setup(self, config):
        self.state = dict(START)

    def reset_config(self, config):
        self.setup(config)
        return True

    def step(self):
        self.state = after(self.state, self.config)
        epoch, fault = self.state["epoch"], self.config.get("fault")
        if epoch == 2 and fault == "fails":
            raise ValueError(f"no data for a step of {self.config['step']}")
        if epoch == 3 and fault == "fails once":
            failed_before = Path(f"failed-{self.config['step']}")
            if not failed_before.exists():
                failed_before.touch()
                raise ConnectionError("away for a moment")
        diverged = epoch == 2 and fault == "diverges"
        return {"loss": float("nan") if diverged else loss(self.state)}


class Descent(Faulty):
    """Resumes from its checkpoint."""

    def save_checkpoint(self, checkpoint_dir):
        Path(checkpoint_dir, "state.json").write_text(json.dumps(self.state))

    def load_checkpoint(self, checkpoint_dir):
        self.state = json.loads(Path(checkpoint_dir, "state.json").read_text())


def job(
    options,
    *,
    strategy: Literal["grid", "random", "sobol", "tpe", "optuna", "faults"] = "random",
    warm_start: Path | None = None,
):
    """Which step size takes a parabola down?

    Args:
        strategy: the searcher; faults is random points over kinds of failures.
        warm_start: an earlier study, whose trials the searcher gets first.
    """
    space = Space("descent", (STEP, RULE, MOMENTUM))
    seed = options.seed
    match strategy:
        case "grid":
            searcher = GridSearch(space)
        case "sobol":
            searcher = SobolSearch(space, seed=seed)
        case "tpe":
            searcher = TPESearch(space, seed=seed, startup=5)
        case "optuna":
            searcher = OptunaSearch(space, seed=seed, startup=5)
        case "faults":
            searcher = RandomSearch(Space("faults", (STEP, FAULT)), seed=seed)
        case _:
            searcher = RandomSearch(space, seed=seed)
    trainable = {"faults": Faulty, "random": descend}.get(strategy, Descent)
    return Tuner(
        trainable,
        tune_config=TuneConfig(
            metric="loss", mode="min", search_alg=searcher, warm_start=warm_start
        ),
    )


if __name__ == "__main__":
    main(job)
