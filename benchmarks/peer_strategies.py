"""Other projects' strategies at their best documented settings, for `replay.py`, over any space
without conditions. Each gets what its documentation supports: ranges, log scales, whole numbers and
positions in an ordered list as such, and a list without an order as categories.

- Optuna 5: TPESampler and GPSampler, each without a pruner, with SuccessiveHalvingPruner and with
  HyperbandPruner (resource from 1 to the epochs of a trial, factor 3), by `ask` and `tell`. Running
  trials are handled by its samplers' defaults.
- HyperOpt: `tpe.suggest`; running trials are in its list as running.
- Ray Tune: AsyncHyperBandScheduler (factor 3) over our random search, on whose points ours is too.
- Syne Tune 0.16: ASHA, BOHB, and ASHA with a model of BORE and of CQR, all with rungs from epoch 1
  and factor 3; BORE, CQR, BOTorch, its TPE and regularised evolution for full trainings, with the
  last value. This version has one ASHA, which stops for good, and no PASHA.
- Ax 1: the default of `Client`, with the last value.
"""

import datetime
import logging
import math
import warnings
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
from replay import METRIC, Strategy, Work

from search_spaces.hyperparameter import Hyperparameter
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.space import Space

FACTOR = 3
"""One in this many trials continues: the default of Optuna's Hyperband and of Syne Tune's ASHA."""


def whole(parameter: Hyperparameter) -> tuple[int, int] | None:
    """Return the ends of a range of whole numbers, or of positions in an ordered list; else
    None."""
    if parameter.values:
        return (0, len(parameter.values) - 1) if parameter.ordered else None
    assert parameter.low is not None
    assert parameter.high is not None
    return (int(parameter.low), int(parameter.high)) if parameter.integer else None


def value_of(parameter: Hyperparameter, given: Any) -> Any:
    """Return the value of the space for a peer's suggestion: a position in a list, or a number."""
    if parameter.values:
        return parameter.values[int(given)]
    return parameter.nearest(float(given))


def config_of(space: Space, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration for a peer's suggestion, by name."""
    config: dict[str, Any] = dict(space.fixed)
    for parameter in space.parameters:
        config[parameter.name] = value_of(parameter, given[parameter.name])
    return config


class Optuna:
    """A sampler of Optuna, with or without a pruner."""

    def __init__(self, space: Space, *, sampler: Any, pruner: Any, epochs: int, seed: int) -> None:
        import optuna

        self._space, self._epochs, self._prunes = space, epochs, pruner is not None
        # Hyperband draws a trial's bracket by the name of the study.
        self._study = optuna.create_study(
            direction="maximize",
            sampler=sampler,
            pruner=pruner or optuna.pruners.NopPruner(),
            study_name=f"replay-{seed}",
        )
        self._trials: list[Any] = []
        self._pruned = optuna.trial.TrialState.PRUNED
        self._failed = optuna.trial.TrialState.FAIL

    def next_work(self) -> Work:
        """Return a new trial."""
        trial = self._study.ask()
        self._trials.append(trial)
        given = {p.name: self._suggested(trial, p) for p in self._space.parameters}
        return Work(len(self._trials) - 1, config_of(self._space, given))

    def tell(self, trial: int, epoch: int, value: float) -> bool:
        """Report the value, and ask the pruner."""
        asked = self._trials[trial]
        if math.isnan(value):
            self._study.tell(asked, state=self._failed)
        elif epoch == self._epochs:
            self._study.tell(asked, value)
        else:
            if not self._prunes:
                return True
            asked.report(value, epoch)
            if not asked.should_prune():
                return True
            self._study.tell(asked, state=self._pruned)
        return False

    @staticmethod
    def _suggested(trial: Any, parameter: Hyperparameter) -> Any:
        log, ends = parameter.scale == "log", whole(parameter)
        if ends:
            return trial.suggest_int(parameter.name, *ends, log=log and not parameter.values)
        if parameter.values:
            return trial.suggest_categorical(parameter.name, range(len(parameter.values)))
        return trial.suggest_float(parameter.name, parameter.low, parameter.high, log=log)


def optuna_peer(sampler: str, pruner: str | None = None) -> Callable[..., Strategy]:
    """Return a sampler and a pruner of Optuna, by the names of their classes."""

    def made(space: Space, *, seed: int, epochs: int, workers: int) -> Strategy:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        settings: dict[str, Any] = {"min_resource": 1, "reduction_factor": FACTOR}
        if pruner == "HyperbandPruner":
            settings["max_resource"] = epochs
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return Optuna(
                space,
                sampler=getattr(optuna.samplers, sampler)(seed=seed),
                pruner=getattr(optuna.pruners, pruner)(**settings) if pruner else None,
                epochs=epochs,
                seed=seed,
            )

    return made


class HyperOpt:
    """HyperOpt's `tpe.suggest`, called as its `fmin` does."""

    def __init__(self, space: Space, *, seed: int, epochs: int, workers: int) -> None:
        import hyperopt

        self._space, self._epochs = space, epochs
        self._rng = np.random.default_rng(seed)
        self._suggest, self._evaluated = hyperopt.tpe.suggest, hyperopt.space_eval
        self._ranges = {p.name: self._range(hyperopt.hp, p) for p in space.parameters}
        self._domain = hyperopt.Domain(lambda given: given, self._ranges)
        self._known = hyperopt.Trials()
        self._states = hyperopt.JOB_STATE_RUNNING, hyperopt.JOB_STATE_DONE
        self._status = hyperopt.STATUS_OK, hyperopt.STATUS_FAIL

    def next_work(self) -> Work:
        """Return a new trial."""
        (index,) = self._known.new_trial_ids(1)
        self._known.refresh()
        seed = int(self._rng.integers(2**31 - 1))
        (document,) = self._suggest([index], self._domain, self._known, seed)
        document["state"], _ = self._states
        self._known.insert_trial_docs([document])
        self._known.refresh()
        drawn = {name: found[0] for name, found in document["misc"]["vals"].items()}
        given = self._evaluated(self._ranges, drawn)
        return Work(index, config_of(self._space, self._within(given)))

    def tell(self, trial: int, epoch: int, value: float) -> bool:
        """Report the end."""
        diverged = math.isnan(value)
        if epoch < self._epochs and not diverged:
            return True
        document = self._known._dynamic_trials[trial]
        _, document["state"] = self._states
        ok, fail = self._status
        document["result"] = {"status": fail} if diverged else {"status": ok, "loss": -value}
        self._known.refresh()
        return False

    def _within(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return a position that rounding at an end has moved out of its list to the list."""
        found = dict(given)
        for parameter in self._space.parameters:
            if parameter.ordered:
                found[parameter.name] = min(int(given[parameter.name]), len(parameter.values) - 1)
        return found

    @staticmethod
    def _range(hp: Any, parameter: Hyperparameter) -> Any:
        name, ends = parameter.name, whole(parameter)
        if ends:
            # So that each whole number is equally likely.
            low, high = ends[0] - 0.5, ends[1] + 0.5
            if parameter.scale == "log" and not parameter.values:
                return hp.qloguniform(name, math.log(low), math.log(high), 1)
            return hp.quniform(name, low, high, 1)
        if parameter.values:
            return hp.choice(name, range(len(parameter.values)))
        assert parameter.low is not None
        assert parameter.high is not None
        if parameter.scale == "log":
            return hp.loguniform(name, math.log(parameter.low), math.log(parameter.high))
        return hp.uniform(name, parameter.low, parameter.high)


class RayASHA:
    """Ray's own ASHA over random search."""

    def __init__(self, space: Space, *, seed: int, epochs: int, workers: int) -> None:
        from ray.tune.schedulers import AsyncHyperBandScheduler

        self._searcher = RandomSearch(space, seed=seed)
        self._begun = 0
        # Tune's controller does not exist here, and is not used.
        self._scheduler: Any = AsyncHyperBandScheduler(
            "epoch", METRIC, "max", max_t=epochs, grace_period=1, reduction_factor=FACTOR
        )

    def next_work(self) -> Work:
        """Return a new trial."""
        index, self._begun = self._begun, self._begun + 1
        self._scheduler.on_trial_add(None, self._trial(index))
        return Work(index, self._searcher.suggest(index))

    def tell(self, trial: int, epoch: int, value: float) -> bool:
        """Ask the scheduler."""
        if math.isnan(value):
            self._scheduler.on_trial_error(None, self._trial(trial))
            return False
        result = {"epoch": epoch, METRIC: value}
        answer = self._scheduler.on_trial_result(None, self._trial(trial), result)
        return bool(answer == self._scheduler.CONTINUE)

    @staticmethod
    def _trial(index: int) -> Any:
        return SimpleNamespace(trial_id=str(index))


class SyneTune:
    """A scheduler of Syne Tune, called as its `Tuner` does."""

    def __init__(self, space: Space, scheduler: Any, *, epochs: int, stops: bool) -> None:
        from syne_tune.backend.trial_status import Trial

        self._space, self._scheduler, self._epochs, self._stops = space, scheduler, epochs, stops
        self._made = Trial
        self._trials: list[Any] = []

    def next_work(self) -> Work | None:
        """Return a new trial; None if it has no more."""
        suggestion = self._scheduler.suggest()
        if suggestion is None:
            return None
        trial = self._made(len(self._trials), suggestion.config, datetime.datetime.now())
        self._trials.append(trial)
        self._scheduler.on_trial_add(trial)
        return Work(trial.trial_id, config_of(self._space, suggestion.config))

    def tell(self, trial: int, epoch: int, value: float) -> bool:
        """Ask the scheduler; report only the end if it does not stop trials."""
        result = {METRIC: value, "epoch": epoch}
        known = self._trials[trial]
        if math.isnan(value):
            self._scheduler.on_trial_error(known)
        elif self._stops:
            if self._scheduler.on_trial_result(known, result) != "STOP":
                return True
            self._scheduler.on_trial_remove(known)
        elif epoch < self._epochs:
            return True
        else:
            self._scheduler.on_trial_complete(known, result)
        return False


def syne_tune_range(parameter: Hyperparameter) -> Any:
    """Return a hyperparameter in Syne Tune's form."""
    from syne_tune import config_space as domains

    log, ends = parameter.scale == "log" and not parameter.values, whole(parameter)
    if ends:
        return domains.lograndint(*ends) if log else domains.randint(*ends)
    if parameter.values:
        return domains.choice([*map(str, range(len(parameter.values)))])
    assert parameter.low is not None
    assert parameter.high is not None
    uniform = domains.loguniform if log else domains.uniform
    return uniform(parameter.low, parameter.high)


def syne_tune_peer(name: str, stops: bool = False) -> Callable[..., Strategy]:
    """Return a scheduler of Syne Tune's `baselines`."""

    def made(space: Space, *, seed: int, epochs: int, workers: int) -> Strategy:
        from syne_tune.optimizer import baselines

        logging.getLogger("syne_tune").setLevel(logging.ERROR)
        # BORE and CQR draw from it, whatever seed they get.
        np.random.seed(seed)
        ranges = {parameter.name: syne_tune_range(parameter) for parameter in space.parameters}
        settings: dict[str, Any] = {"random_seed": seed, "do_minimize": False}
        if stops:
            settings.update(
                time_attr="epoch", max_t=epochs, grace_period=1, reduction_factor=FACTOR
            )
        scheduler = getattr(baselines, name)(ranges, METRIC, **settings)
        return SyneTune(space, scheduler, epochs=epochs, stops=stops)

    return made


class Ax:
    """Ax's `Client` with its defaults."""

    def __init__(self, space: Space, *, seed: int, epochs: int, workers: int) -> None:
        from ax.api.client import Client
        from ax.utils.common.logger import set_stderr_log_level

        set_stderr_log_level(logging.ERROR)
        self._space, self._epochs = space, epochs
        self._client = Client(random_seed=seed)
        self._client.configure_experiment([self._range(p) for p in space.parameters])
        self._client.configure_optimization(METRIC)

    def next_work(self) -> Work | None:
        """Return a new trial; None while it waits for others."""
        for index, given in self._client.get_next_trials(max_trials=1).items():
            return Work(index, config_of(self._space, given))
        return None

    def tell(self, trial: int, epoch: int, value: float) -> bool:
        """Report the end."""
        if math.isnan(value):
            self._client.mark_trial_failed(trial)
            return False
        if epoch < self._epochs:
            return True
        self._client.complete_trial(trial, {METRIC: value})
        return False

    @staticmethod
    def _range(parameter: Hyperparameter) -> Any:
        from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig

        ends = whole(parameter)
        if parameter.values and not ends:
            places = [*map(str, range(len(parameter.values)))]
            return ChoiceParameterConfig(parameter.name, places, "str", is_ordered=False)
        low, high = ends or (parameter.low, parameter.high)
        assert low is not None
        assert high is not None
        scaling = "linear" if parameter.values else parameter.scale
        kind = "int" if ends else "float"
        return RangeParameterConfig(parameter.name, (low, high), kind, scaling=scaling)


HALVING, HYPERBAND = "SuccessiveHalvingPruner", "HyperbandPruner"

PEERS: dict[str, Callable[..., Strategy]] = {
    "optuna_tpe": optuna_peer("TPESampler"),
    "optuna_tpe_halving": optuna_peer("TPESampler", HALVING),
    "optuna_tpe_hyperband": optuna_peer("TPESampler", HYPERBAND),
    "optuna_gp": optuna_peer("GPSampler"),
    "optuna_gp_halving": optuna_peer("GPSampler", HALVING),
    "optuna_gp_hyperband": optuna_peer("GPSampler", HYPERBAND),
    "hyperopt": HyperOpt,
    "ray_asha": RayASHA,
    "syne_asha": syne_tune_peer("ASHA", stops=True),
    "syne_bohb": syne_tune_peer("BOHB", stops=True),
    "syne_asha_bore": syne_tune_peer("ASHABORE", stops=True),
    "syne_asha_cqr": syne_tune_peer("ASHACQR", stops=True),
    "syne_bore": syne_tune_peer("BORE"),
    "syne_cqr": syne_tune_peer("CQR"),
    "syne_botorch": syne_tune_peer("BOTorch"),
    "syne_tpe": syne_tune_peer("TPE"),
    "syne_rea": syne_tune_peer("REA"),
    "ax": Ax,
}
"""Peers by name, called with a space, `seed`, `epochs` of a trial and `workers`."""
