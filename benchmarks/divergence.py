"""Searches in a space that diverges in part: our searchers beside Ray Tune's own.

A toy of four hyperparameters with the shape of the real thing: SGD diverges where learning rate /
(1 - momentum) is above a limit, which 20% or 40% of the space are, and is best a factor of 4 below
it. 100 trials of 3 epochs, one at a time, 10 seeds. The searchers are driven directly, ours and Ray
Tune's `HyperOptSearch` and `OptunaSearch` with their defaults. A trial of ours that diverges is
reported as by the launcher, after one epoch; theirs get the reported NaN, and all of its epochs are
counted, since nothing in Ray Tune's documentation ends it earlier.

- `diverging_share`: of the proposals after the start-up, in %.
- `best_value`: the lowest loss that was found, mean over the seeds.
- `epochs_on_diverged`: epochs of a trial that diverged.
"""

import logging
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import optuna
from driven import Driven
from ray import tune
from ray.tune.search.hyperopt import HyperOptSearch
from ray.tune.search.optuna import OptunaSearch as RayOptunaSearch
from table import Row, run_benchmark

from search_spaces.catalogue import DROPOUT, LEARNING_RATE, MOMENTUM
from search_spaces.hyperparameter import Hyperparameter
from search_spaces.searchers.base import StudySearcher
from search_spaces.searchers.gp_search import GPSearch
from search_spaces.searchers.optuna_search import OptunaSearch
from search_spaces.searchers.sobol_search import SobolSearch
from search_spaces.searchers.tpe_search import TPESearch
from search_spaces.space import Space

TRIALS, EPOCHS = 100, 3
STARTUP = 20
"""Number of first proposals that are not counted: HyperOpt's start-up, the longest."""

WEIGHT_DECAY = Hyperparameter(
    name="weight_decay",
    meaning="share of the weights that an update takes away",
    default=1e-4,
    kind="regularization",
    role="nuisance",
    advice="of this toy",
    low=1e-6,
    high=1e-1,
    scale="log",
)
RANGE = replace(MOMENTUM, values=(), ordered=False, low=0.5, high=0.99)
"""The full range of momentum: the border of the diverging region is then a line, not a
staircase."""

SPACE = Space(
    "toy",
    (LEARNING_RATE, RANGE, WEIGHT_DECAY, DROPOUT),
    fixed=(("optimizer", "sgd"), ("model", "mlp")),
)


class Toy:
    """A loss over `SPACE`; a share of its volume diverges."""

    def __init__(self, share: float) -> None:
        points = SobolSearch(SPACE, seed=0)
        steps = [effective_step(points.suggest(index)) for index in range(2**13)]
        self.limit = float(np.quantile(steps, 1 - share))

    def loss(self, config: Mapping[str, Any]) -> float:
        """Return the loss, in decades, squared, from the best; NaN if it diverges."""
        step = effective_step(config)
        if step > self.limit:
            return math.nan
        return (
            (step - (self.limit - math.log10(4))) ** 2
            + (math.log10(config["weight_decay"]) + 4) ** 2 / 10
            + (config["dropout"] - 0.2) ** 2
        )


def effective_step(config: Mapping[str, Any]) -> float:
    """Return the learning rate over 1 - momentum, in decades."""
    return math.log10(config["learning_rate"] / (1 - config["momentum"]))


Losses = list[float]
Search = Callable[[Toy, int], tuple[Losses, int]]
"""Losses of all proposals and the epochs of diverged trials, of a toy and a seed."""


def ours(searcher: Callable[..., StudySearcher], toy: Toy, seed: int) -> tuple[Losses, int]:
    """Run a searcher with our reports: a NaN ends its trial, and counts as bad."""
    study = Driven(searcher(SPACE, seed=seed))
    losses, epochs = [], 0
    for index in range(TRIALS):
        losses.append(toy.loss(study.suggest(index)))
        diverged = math.isnan(losses[-1])
        study.end(index, EPOCHS, None if diverged else losses[-1])
        epochs += diverged
    return losses, epochs


def plain(searcher_class: Callable[..., Any], toy: Toy, seed: int) -> tuple[Losses, int]:
    """Run a searcher with Ray Tune's reports: every result, NaN or not, and the last as the end."""
    searcher = searcher_class(seed)
    space = {
        "learning_rate": tune.loguniform(LEARNING_RATE.low, LEARNING_RATE.high),
        "momentum": tune.uniform(RANGE.low, RANGE.high),
        "weight_decay": tune.loguniform(WEIGHT_DECAY.low, WEIGHT_DECAY.high),
        "dropout": tune.uniform(DROPOUT.low, DROPOUT.high),
    }
    searcher.set_search_properties("loss", "min", space)
    losses, epochs = [], 0
    for index in range(TRIALS):
        losses.append(toy.loss(searcher.suggest(str(index))))
        result = {"loss": losses[-1]}
        for epoch in range(1, EPOCHS):
            searcher.on_trial_result(str(index), {**result, "training_iteration": epoch})
        searcher.on_trial_complete(str(index), {**result, "training_iteration": EPOCHS})
        epochs += EPOCHS * math.isnan(losses[-1])
    return losses, epochs


CASES: dict[str, Search] = {
    "tpe": partial(ours, TPESearch),
    "optuna": partial(ours, OptunaSearch),
    "gp": partial(ours, GPSearch),
    "plain-hyperopt": partial(plain, lambda seed: HyperOptSearch(random_state_seed=seed)),
    "plain-optuna": partial(plain, lambda seed: RayOptunaSearch(seed=seed)),
}


def measure(quick: bool) -> list[Row]:
    """Every searcher at both shares."""
    # The searcher gets the NaN: that is measured here.
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rows = []
    for percent in (20, 40):
        toy = Toy(percent / 100)
        for case, search in CASES.items():
            found = [search(toy, seed) for seed in range(2 if quick else 10)]
            late = np.isnan([losses[STARTUP:] for losses, _ in found])
            diverged = int(np.isnan([losses for losses, _ in found]).sum())
            figures = {
                "diverging_share": (100 * float(late.mean()), "%"),
                "best_value": (float(np.mean([np.nanmin(losses) for losses, _ in found])), "loss"),
                "epochs_on_diverged": (sum(epochs for _, epochs in found) / diverged, "epochs"),
            }
            rows += [
                Row(
                    benchmark="divergence",
                    case=f"{case}-{percent}",
                    metric=metric,
                    value=value,
                    unit=unit,
                )
                for metric, (value, unit) in figures.items()
            ]
    return rows


if __name__ == "__main__":
    run_benchmark(measure, __doc__ or "")
