"""Strategies by name, over any space: `searcher[:defaults][+scheduler]` for ours, and those of
others, whose names are in `peer_strategies.py`.

Searchers: random, prior (random around the defaults), sobol, tpe, optuna, gp, auto; with
`:defaults` the first trial has the defaults of the space. `prior:defaults+asha` is what a job that
searches at random with early stopping does. Schedulers: asha (its default), asha_1, asha_3, asha_9
(a grace period of so many epochs), ray_rule and ray_rule_3 (Ray's own rule, with a grace period of
1 and 3), asha_by_2 and asha_by_4 (another reduction factor), hyperband, pasha and power_laws
(`other_rungs.py`), cut_2_by_3, agreement_by_3, … (`other_cuts.py`), and factor_75, …
(`chosen_factor.py`); without one nobody is stopped.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from chosen_factor import CHOSEN, ChosenFactor
from other_cuts import CUTS, OtherCuts
from other_rungs import PASHA, Hyperband, PowerLaws
from peer_strategies import PEERS
from replay import OurStudy, Strategy

from search_spaces.schedulers.asha import ASHA
from search_spaces.schedulers.base import StudyScheduler
from search_spaces.searchers.base import StudySearcher
from search_spaces.space import Space

SEARCHERS = {
    "random": "random_search.RandomSearch",
    "prior": "random_search.RandomSearch",
    "sobol": "sobol_search.SobolSearch",
    "tpe": "tpe_search.TPESearch",
    "optuna": "optuna_search.OptunaSearch",
    "gp": "gp_search.GPSearch",
    "auto": "auto_search.auto",
}
"""Class of each searcher in `search_spaces.searchers`, by name: as text, so that a study imports no
library that only another one needs."""

ASHAS: Mapping[str, Mapping[str, Any]] = {
    "asha": {},
    "asha_1": {"grace_period": 1},
    "asha_3": {"grace_period": 3},
    "asha_9": {"grace_period": 9},
    "asha_by_2": {"reduction_factor": 2},
    "asha_by_4": {"reduction_factor": 4},
    "ray_rule": {"grace_period": 1, "rung_rule": "ray"},
    "ray_rule_3": {"grace_period": 3, "rung_rule": "ray"},
}
"""Arguments of ASHA beside the epochs of a trial, by name."""

SCHEDULERS = (*ASHAS, *CUTS, *CHOSEN, "hyperband", "pasha", "power_laws")
"""Names of all schedulers."""


def named(
    name: str, space: Space, *, seed: int, epochs: int, trials: int, workers: int
) -> Strategy:
    """Return the strategy of that name.

    Args:
        name: as above.
        space: space to search.
        seed: seed of all random draws.
        epochs: epochs of a trial that is not stopped.
        trials: largest number of trials of the study.
        workers: trials at once.

    Raises:
        ValueError: the name is unknown.
    """
    check(name)
    if name in PEERS:
        return PEERS[name](space, seed=seed, epochs=epochs, workers=workers)
    start, _, stopped = name.partition("+")
    searcher, _, first = start.partition(":")
    points = [space.complete({})] if first else []
    return OurStudy(
        searcher_named(searcher, space, seed, points),
        scheduler_named(stopped, epochs, seed),
        epochs=epochs,
        trials=trials,
    )


def check(name: str) -> None:
    """Check the name of a strategy.

    Raises:
        ValueError: the name is unknown.
    """
    start, _, stopped = name.partition("+")
    searcher, _, first = start.partition(":")
    known = searcher in SEARCHERS and first in ("", "defaults") and stopped in ("", *SCHEDULERS)
    if not known and name not in PEERS:
        raise ValueError(
            f"strategy {name}: give searcher[:defaults][+scheduler], with a searcher of "
            f"{', '.join(SEARCHERS)} and a scheduler of {', '.join(SCHEDULERS)}; or one of "
            f"{', '.join(PEERS)}"
        )


def scheduler_named(name: str, epochs: int, seed: int) -> StudyScheduler:
    """Return the scheduler of that name in `SCHEDULERS`."""
    if name == "hyperband":
        return Hyperband(max_epochs=epochs, seed=seed)
    if name == "pasha":
        return PASHA(max_epochs=epochs)
    if name == "power_laws":
        return PowerLaws(max_epochs=epochs)
    if name in CUTS:
        return OtherCuts(max_epochs=epochs, rule=CUTS[name])
    if name in CHOSEN:
        return ChosenFactor(max_epochs=epochs, sure=CHOSEN[name])
    return ASHA(max_epochs=epochs, **ASHAS[name]) if name else StudyScheduler()


def searcher_named(
    name: str, space: Space, seed: int, start_points: Sequence[Mapping[str, object]]
) -> StudySearcher:
    """Return the searcher of that name in `SEARCHERS`."""
    module, _, kind = SEARCHERS[name].partition(".")
    searcher = getattr(import_module(f"search_spaces.searchers.{module}"), kind)
    rest = {"around_defaults": True} if name == "prior" else {}
    found: StudySearcher = searcher(space, seed=seed, start_points=start_points, **rest)
    return found
