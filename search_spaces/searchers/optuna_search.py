"""TPE by Optuna, with a joint model of hyperparameters (Falkner et al. 2018, section 4.1; Watanabe
2023, *Tree-Structured Parzen Estimator: Understanding Its Algorithm Components*).

HyperOpt's TPE chooses each hyperparameter separately; Optuna's multivariate one learns that a high
learning rate goes with a small momentum. Tune's own `OptunaSearch` leaves failed trials out and
reports the last value of a stopped one; here Optuna gets the rank of a trial.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from search_spaces import needs_extra
from search_spaces.hyperparameter import Hyperparameter
from search_spaces.objective import StudySpec
from search_spaces.searchers.learning import Epochs, LearningSearch, Name, Rank
from search_spaces.space import Space
from search_spaces.values import Value

if TYPE_CHECKING:
    from optuna.trial import Trial

STARTUP = 10
"""Trials before the first proposal, Optuna's default."""

CANDIDATES = 12
"""Number of draws from the density of good trials, of which the best is used. Optuna's default of
24 leaves too little to chance: on `benchmarks/tabular.py` 12 have a quarter of the regret."""


class OptunaSearch(LearningSearch):
    """Optuna's multivariate tree of Parzen estimators over trials that are compared at one rung.

    Args:
        space: space to search.
        seed: seed of all points.
        startup: number of trials before the first proposal of the model.
        start_points: configurations to try first, complete or partial; missing values are the
            defaults.
        reason: reason for the choice of this searcher; empty if the user has named it.

    Raises:
        ValueError: Optuna is not installed, or a start point is not in the space.
    """

    ranks_alone = True

    def __init__(
        self,
        space: Space,
        *,
        seed: int,
        startup: int = STARTUP,
        start_points: Sequence[Mapping[str, object]] = (),
        reason: str = "",
    ) -> None:
        with needs_extra("optuna"):
            import optuna
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        super().__init__(
            space, seed=seed, startup=startup, start_points=start_points, reason=reason
        )
        self._parameters = dict(zip(space.labels, space.parameters, strict=True))

    def check(self, spec: StudySpec) -> None:
        """Prepare for a study as every searcher that learns."""
        super().check(spec)
        self._begin(None)

    def proposal(self, rng: np.random.Generator) -> Sequence[float]:
        """Return Optuna's suggestion, given the ranks of all trials."""
        import optuna

        rung, ranks = self.standing()
        if rung != self._rung:
            # Optuna keeps the reported values; at another rung all ranks change.
            self._begin(rung)
        for name, rank in ranks.items():
            if name not in self._asked:
                self._asked[name] = self._ask(self.trials[name].unit)
            if rank is not None and name not in self._ended:
                self._tell(self._asked[name], rank)
                self._ended.add(name)
        with warnings.catch_warnings():
            # `group` has been called experimental since 2021; conditions need it.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study.sampler = optuna.samplers.TPESampler(
                seed=int(rng.integers(2**31)),
                n_startup_trials=0,
                n_ei_candidates=CANDIDATES,
                multivariate=True,
                group=any(p.condition for p in self.space.parameters),
            )
        trial = self._study.ask()
        config: dict[str, Value] = dict(self.space.fixed)
        numbers = []
        for label, parameter in self._parameters.items():
            there = parameter.exists_under(config)
            numbers.append(suggested(trial, label, parameter) if there else 0.0)
            if there:
                config[parameter.name] = parameter.at(numbers[-1])
        # The point may be refused; if it is suggested, its trial is asked for again.
        self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        return numbers

    def _begin(self, rung: Epochs | None) -> None:
        import optuna

        self._rung = rung
        self._study = optuna.create_study(direction="minimize")
        self._asked: dict[Name, Trial] = {}
        self._ended: set[Name] = set()

    def _ask(self, unit: Sequence[float | None]) -> Trial:
        """Return a running trial of Optuna with this configuration."""
        there = {
            label: (parameter, number)
            for (label, parameter), number in zip(self._parameters.items(), unit, strict=True)
            if number is not None
        }
        self._study.enqueue_trial(
            {label: as_optuna(parameter, number) for label, (parameter, number) in there.items()}
        )
        trial = self._study.ask()
        for label, (parameter, _) in there.items():
            suggested(trial, label, parameter)
        return trial

    def _tell(self, trial: Trial, rank: Rank) -> None:
        from optuna.trial import TrialState

        # Optuna has the same order: complete trials by value, then pruned ones from the highest
        # step to the lowest and by value, then those that have reported nothing.
        if rank.below == 0:
            self._study.tell(trial, rank.loss)
            return
        if np.isfinite(rank.below):
            trial.report(rank.loss, step=len(self.rungs) + 1 - int(rank.below))
        self._study.tell(trial, state=TrialState.PRUNED)


def suggested(trial: Trial, label: str, parameter: Hyperparameter) -> float:
    """Return Optuna's suggestion for a hyperparameter as a number in [0, 1]."""
    if not parameter.values:
        return trial.suggest_float(label, 0.0, 1.0)
    count = len(parameter.values)
    if parameter.categorical:
        return (trial.suggest_categorical(label, list(range(count))) + 0.5) / count
    return (trial.suggest_int(label, 0, count - 1) + 0.5) / count


def as_optuna(parameter: Hyperparameter, number: float) -> float | int:
    """Return a number in [0, 1] in the form that Optuna uses."""
    return int(number * len(parameter.values)) if parameter.values else number
