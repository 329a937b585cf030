"""Search spaces, searchers and schedulers of Ray Tune's as those of a study.

What has a counterpart here is translated. Any other searcher or scheduler runs through an adapter,
and the study can then be neither resumed nor extended. Either is said in one line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ray.tune.schedulers import (
    AsyncHyperBandScheduler,
    FIFOScheduler,
    PopulationBasedTraining,
    TrialScheduler,
)
from ray.tune.search import BasicVariantGenerator, SearchAlgorithm, Searcher
from ray.tune.search.hyperopt import HyperOptSearch
from ray.tune.search.optuna import OptunaSearch as RayOptunaSearch
from ray.tune.search.sample import Categorical, Domain, Float, Integer, LogUniform, Quantized

from search_spaces.hyperparameter import Hyperparameter
from search_spaces.schedulers.adapter import AdaptedScheduler
from search_spaces.schedulers.asha import ASHA
from search_spaces.schedulers.base import StudyScheduler
from search_spaces.schedulers.pbt import PBT, PERTURBATION_FACTORS
from search_spaces.searchers.adapter import AdaptedSearcher
from search_spaces.searchers.base import StudySearcher
from search_spaces.searchers.grid_search import GridSearch
from search_spaces.searchers.optuna_search import OptunaSearch
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.searchers.tpe_search import TPESearch
from search_spaces.space import Space

STEPS = 1_000
"""Values up to which a quantized range is a list, each value of which is as likely."""


@dataclass(frozen=True)
class Translated:
    """Searcher and scheduler of a study, whoever has made them."""

    searcher: StudySearcher
    scheduler: StudyScheduler
    notes: list[str]
    """What was translated or adapted, a sentence each."""


def translate(
    param_space: Space | Mapping[str, Any] | None,
    search_alg: StudySearcher | Searcher | SearchAlgorithm | None,
    scheduler: StudyScheduler | TrialScheduler | None,
    *,
    max_epochs: int,
    trials: int,
    seed: int,
) -> Translated:
    """Searcher and scheduler of a study from those of ours or Ray's, or from none.

    Args:
        param_space: where to look; None where the searcher of ours has it.
        search_alg: without one a grid is searched whole, and any other space at random.
        scheduler: without one every trial is trained to its end.
        max_epochs: of a trial that is never stopped.
        trials: that the study shall have.
        seed: of all that is drawn.

    Raises:
        ValueError: what has no counterpart and cannot be adapted: what was given, what is allowed.
    """
    notes: list[str] = []
    if isinstance(search_alg, StudySearcher):
        if param_space not in (None, {}) and param_space is not search_alg.space:
            raise ValueError(
                "param_space: the searcher has a space of its own; leave out one of them"
            )
        searcher = search_alg
    else:
        searcher = _searcher(param_space, search_alg, seed, notes)
    return Translated(
        searcher, _scheduler(scheduler, searcher.space, max_epochs, trials, seed, notes), notes
    )


def _searcher(
    param_space: Space | Mapping[str, Any] | None, given: Any, seed: int, notes: list[str]
) -> StudySearcher:
    name = type(given).__name__
    if param_space is None or param_space == {}:
        raise ValueError(
            f"param_space is missing: {'no searcher' if given is None else name} has no space here"
        )
    space = param_space if isinstance(param_space, Space) else space_of(param_space)
    if given is None or isinstance(given, BasicVariantGenerator):
        points = getattr(given, "_points_to_evaluate", None)
        if points:
            raise ValueError(
                f"{name}(points_to_evaluate=...): give start_points to TPESearch or OptunaSearch"
            )
        return _variants(param_space, space, seed, notes)
    if isinstance(given, (HyperOptSearch, RayOptunaSearch)):
        if getattr(given, "_space", None) or getattr(given, "domain", None):
            raise ValueError(f"{name}(space=...): give the space as param_space")
        points = getattr(given, "_points_to_evaluate", None) or ()
        kind = TPESearch if isinstance(given, HyperOptSearch) else OptunaSearch
        notes.append(f"{name} is {kind.__name__} of search_spaces here")
        return kind(space, seed=seed, start_points=[_flat(point) for point in points])
    if isinstance(given, Searcher):
        if isinstance(param_space, Space):
            raise ValueError(f"{name}: give param_space as Ray's dictionary, which it reads")
        return AdaptedSearcher(given, space, param_space)
    raise ValueError(
        f"search_alg is an object of {type(given).__module__}.{name}; allowed are the searchers of "
        "search_spaces, such as RandomSearch(space, seed=0), and those of ray.tune.search"
    )


def _variants(
    param_space: Space | Mapping[str, Any], space: Space, seed: int, notes: list[str]
) -> StudySearcher:
    if isinstance(param_space, Space):
        return RandomSearch(space, seed=seed)
    grids = [_is_grid(value) for _, value in _leaves(param_space)]
    drawn = [isinstance(value, Domain) for _, value in _leaves(param_space)]
    if any(grids) and not any(drawn):
        return GridSearch(space)
    if any(grids):
        notes.append("grid_search beside ranges is drawn at random, as choice is")
    return RandomSearch(space, seed=seed)


def _scheduler(
    given: Any, space: Space, max_epochs: int, trials: int, seed: int, notes: list[str]
) -> StudyScheduler:
    if given is None or type(given) is FIFOScheduler:
        return StudyScheduler()
    if isinstance(given, StudyScheduler):
        return given
    if type(given) is AsyncHyperBandScheduler:
        translated = _asha(given, max_epochs, seed)
        if translated is not None:
            notes.append("ASHAScheduler is ASHA of search_spaces here, by its rung rule promotion")
            return translated
    if type(given) is PopulationBasedTraining:
        notes.append("PopulationBasedTraining is PBT of search_spaces here")
        return _pbt(given, space, max_epochs, trials, seed)
    if isinstance(given, TrialScheduler):
        return AdaptedScheduler(given)
    raise ValueError(
        f"scheduler is an object of {type(given).__module__}.{type(given).__name__}; allowed are "
        "ASHA and PBT of search_spaces, and the schedulers of ray.tune.schedulers"
    )


def _asha(given: AsyncHyperBandScheduler, max_epochs: int, seed: int) -> ASHA | None:
    """None where ours has no such rungs."""
    factor, brackets = given._reduction_factor, given._brackets
    if len(brackets) > 1 or factor != int(factor):
        return None
    last = min(int(given._max_t), max_epochs)
    grace_period = min(milestone for milestone, _ in brackets[0]._rungs)
    return ASHA(
        max_epochs=last,
        grace_period=min(int(grace_period), last),
        reduction_factor=int(factor),
        seed=seed,
    )


def _pbt(
    given: PopulationBasedTraining, space: Space, max_epochs: int, trials: int, seed: int
) -> PBT:
    own = {
        "quantile_fraction": given._quantile_fraction == 0.25,
        "resample_probability": given._resample_probability == 0.25,
        "perturbation_factors": tuple(given._perturbation_factors) == PERTURBATION_FACTORS,
        "custom_explore_fn": given._custom_explore_fn is None,
    }
    other = [name for name, default in own.items() if not default]
    if other:
        raise ValueError(
            f"PopulationBasedTraining({', '.join(other)}=...): PBT has Ray Tune's defaults alone"
        )
    return PBT(
        space,
        perturbed=list(given._hyperparam_mutations),
        max_epochs=max_epochs,
        interval=int(given._perturbation_interval),
        seed=seed,
        members=trials,
    )


def space_of(param_space: Mapping[str, Any], name: str = "param_space") -> Space:
    """A dictionary of Ray's as a search space.

    What lies in a dictionary of its own is called `outer/inner`; the trainable is given it as it
    was. What is no range and no list is fixed.

    Raises:
        ValueError: a value that has no counterpart: its name, and what to do.
    """
    parameters, fixed = [], {}
    for key, value in _leaves(param_space):
        if _is_grid(value):
            parameters.append(_parameter(key, values=tuple(value["grid_search"])))
        elif isinstance(value, Domain):
            parameters.append(_domain(key, value))
        else:
            fixed[key] = value
    return Space(name, tuple(parameters), tuple(fixed.items()))


def _leaves(given: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in given.items():
        if isinstance(value, Mapping) and not _is_grid(value):
            yield from _leaves(value, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", value


def _flat(given: Mapping[str, Any]) -> dict[str, Any]:
    return dict(_leaves(given))


def _is_grid(value: Any) -> bool:
    return isinstance(value, Mapping) and set(value) == {"grid_search"}


def _parameter(name: str, **rest: Any) -> Hyperparameter:
    default = rest["values"][0] if rest.get("values") else rest["low"]
    return Hyperparameter(
        name=name,
        meaning="",
        advice="",
        default=default,
        kind="optimization",
        role="scientific",
        **rest,
    )


def _domain(name: str, domain: Domain) -> Hyperparameter:
    sampler = domain.get_sampler()
    quantized = isinstance(sampler, Quantized)
    q = sampler.q if quantized else None
    sampler = sampler.get_sampler() if quantized else sampler
    scale = "log" if isinstance(sampler, LogUniform) else "linear"
    if isinstance(domain, Categorical):
        values = tuple(domain.categories)
        return _parameter(name, values=values)
    if not isinstance(domain, (Float, Integer)) or type(sampler).__name__ == "_Normal":
        raise ValueError(
            f"param_space: {name} is {domain!r}, for which there is no range here; give uniform, "
            "loguniform, randint, choice or the like, or compute it in the trainable"
        )
    integer = isinstance(domain, Integer)
    low, high = domain.lower, domain.upper
    if integer and q is None:
        # Ray leaves the upper end of `randint` and `lograndint` out.
        high -= 1
    if q in (None, 1) and integer:
        return _range(name, low, high, scale=scale, integer=True)
    if q is None:
        return _range(name, low, high, scale=scale)
    count = round((high - low) / q)
    if scale == "linear" and count <= STEPS:
        multiples = tuple(float(f"{low + i * q:.12g}") for i in range(count + 1))
        values = tuple(int(value) for value in multiples) if integer else multiples
        return _parameter(name, values=values, ordered=True)
    return _range(name, low, high, scale=scale, integer=integer, step=q)


def _range(name: str, low: float, high: float, **rest: Any) -> Hyperparameter:
    if low == high:
        return _parameter(name, values=(low,))
    return _parameter(name, low=low, high=high, **rest)
