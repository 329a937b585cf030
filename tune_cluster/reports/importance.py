"""Importance of the hyperparameters, with its uncertainty (Hutter et al. 2014, *An Efficient
Approach for Assessing Hyperparameter Importance*: the share of the variance of the metric that a
hyperparameter explains alone, in a random forest)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces.trial_events import Epoch
from tune_cluster.reports.optuna_export import distributions_of, params_of, quiet
from tune_cluster.study.stored import StoredStudy

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

FEWEST = 20
"""Smallest number of trials with a value for which importance is computed."""

MOST = 128
"""Largest number of trials in a forest: more cost time and change little."""

TREES, BOOTSTRAPS = 16, 8
"""Trees of a forest, and forests over trials drawn with replacement."""


@dataclass(frozen=True, kw_only=True)
class Importance:
    """Importance of one hyperparameter."""

    name: str
    mean: float
    """Share of the variance, 0 to 1: the mean over the bootstraps."""
    low: float
    """Fifth percentile."""
    high: float
    """Ninety-fifth percentile."""
    trials: int
    """Number of trials with a value, among those that have the hyperparameter."""


@dataclass(frozen=True, kw_only=True)
class Importances:
    """Importance of the searched hyperparameters, the largest first."""

    epoch: Epoch | None
    """Epoch whose values are compared; None if fewer than `FEWEST` trials share one."""
    each: list[Importance]


def importances(study: StoredStudy, seed: int = 0) -> Importances:
    """Return the importance of each searched hyperparameter.

    Values are compared at one epoch, the last that at least `FEWEST` trials have reached: a rung
    or the end. A hyperparameter that exists under a condition alone is judged among the trials that
    have it, if there are as many.
    """
    epoch = comparable_epoch(study)
    if epoch is None:
        return Importances(epoch=None, each=[])
    metric = study.state.objective.metric
    trials = [
        (trial.config_at(epoch), float(value))
        for trial in study.state.trials.values()
        if (value := trial.results.get(epoch, {}).get(metric)) is not None
        and np.isfinite(float(value))
    ]
    names = list(distributions_of(study))
    groups: dict[frozenset[int], list[str]] = defaultdict(list)
    for name in names:
        groups[frozenset(at for at, (config, _) in enumerate(trials) if name in config)].append(
            name
        )
    everywhere = [name for at, group in groups.items() if len(at) == len(trials) for name in group]
    found: list[Importance] = []
    for members, group in groups.items():
        chosen = [trials[at] for at in sorted(members)]
        if len(chosen) < FEWEST:
            continue
        # Those that all trials have explain part of the variance of each group.
        judged = list(dict.fromkeys([*everywhere, *group]))
        shares = _bootstrapped(study, chosen, judged, seed)
        for name in group:
            low, high = np.quantile(shares[name], (0.05, 0.95))
            found.append(
                Importance(
                    name=name,
                    mean=float(np.mean(shares[name])),
                    low=float(low),
                    high=float(high),
                    trials=len(chosen),
                )
            )
    return Importances(epoch=epoch, each=sorted(found, key=lambda one: -one.mean))


def comparable_epoch(study: StoredStudy) -> Epoch | None:
    """Return the last epoch with a value of at least `FEWEST` trials, a rung or the last of some
    trial; None without one."""
    metric = study.state.objective.metric
    trials = list(study.state.trials.values())
    rungs = study.about["strategy"].get("rungs", [])
    ends: set[Epoch] = {*rungs, *(trial.epochs for trial in trials if trial.epochs)}
    for epoch in sorted(ends, reverse=True):
        reached = sum(trial.results.get(epoch, {}).get(metric) is not None for trial in trials)
        if reached >= FEWEST:
            return epoch
    return None


def _bootstrapped(
    study: StoredStudy, trials: list[tuple[dict[str, Any], float]], names: list[str], seed: int
) -> dict[str, list[float]]:
    """Return the importance of each name in each bootstrap."""
    import optuna
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    distributions = {name: at for name, at in distributions_of(study).items() if name in names}
    generator = np.random.default_rng(seed)
    found: dict[str, list[float]] = {name: [] for name in names}
    with quiet():
        frozen = [_complete(config, value, distributions) for config, value in trials]
        for number in range(BOOTSTRAPS):
            drawn = generator.integers(len(trials), size=min(len(trials), MOST))
            shares: dict[str, float] = {}
            # Constant values have no variance to explain.
            if len({trials[at][1] for at in drawn}) > 1:
                made = optuna.create_study()
                made.add_trials([frozen[at] for at in drawn])
                evaluator = FanovaImportanceEvaluator(n_trees=TREES, seed=number)
                shares = get_param_importances(made, evaluator=evaluator, normalize=False)
            for name in names:
                found[name].append(float(shares.get(name, 0.0)))
    return found


def _complete(
    config: dict[str, Any], value: float, distributions: dict[str, BaseDistribution]
) -> FrozenTrial:
    from optuna.trial import create_trial

    params = params_of(config, distributions)
    return create_trial(value=value, params=params, distributions=distributions)
