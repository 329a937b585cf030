"""Translation of Ray Tune's search spaces, searchers and schedulers to those of a study.

Those with a counterpart here are translated. Any other searcher or scheduler runs through an
adapter, and the study can then be neither resumed nor extended. A line reports either.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ray import tune
from ray.tune.schedulers import (
    AsyncHyperBandScheduler,
    FIFOScheduler,
    HyperBandForBOHB,
    PopulationBasedTraining,
    PopulationBasedTrainingReplay,
    ResourceChangingScheduler,
    TrialScheduler,
)
from ray.tune.search import BasicVariantGenerator, ConcurrencyLimiter, SearchAlgorithm, Searcher
from ray.tune.search.sample import (
    Categorical,
    Domain,
    Float,
    Function,
    Integer,
    LogUniform,
    Quantized,
)

from search_spaces.hyperparameter import Hyperparameter
from search_spaces.schedulers.adapter import AdaptedPopulation, AdaptedScheduler
from search_spaces.schedulers.asha import ASHA
from search_spaces.schedulers.base import StudyScheduler
from search_spaces.searchers.adapter import AdaptedSearcher, VariantSearch
from search_spaces.searchers.base import StudySearcher
from search_spaces.searchers.grid_search import GridSearch
from search_spaces.searchers.optuna_search import OptunaSearch
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.searchers.tpe_search import STARTUP, TPESearch
from search_spaces.space import Space, flattened, nested
from tune_cluster.execution.ray_tune.compat import (
    HalvingRules,
    Mutations,
    objective_of,
    searcher_arguments,
)
from tune_cluster.execution.ray_tune.sampled import DRAWS, drawn
from tune_cluster.execution.validation import kind_of

STEPS = 1_000
"""Largest number of values of a quantized range that becomes a list with equal probabilities."""

TINY = 1e-9
"""Tolerance, as a share of a step, for rounding errors of a quotient."""

HYPEROPT = "ray.tune.search.hyperopt.hyperopt_search.HyperOptSearch"
OPTUNA = "ray.tune.search.optuna.optuna_search.OptunaSearch"
"""Name of the class, since importing it imports a library that few studies need."""

HYPEROPT_DEFAULTS = {"gamma": 0.25, "n_startup_jobs": STARTUP}

REFUSED = (HyperBandForBOHB, PopulationBasedTrainingReplay, ResourceChangingScheduler)
"""Schedulers that depend on internals of Tune which a study replaces."""

TIME = "training_iteration"
"""Time attribute by which a study compares its trials."""


@dataclass(frozen=True)
class Translated:
    """Searcher and scheduler of a study, ours or adapted ones."""

    searcher: StudySearcher
    scheduler: StudyScheduler
    notes: list[str]
    """Sentences on what was translated or adapted."""


def translate(
    param_space: Space | Mapping[str, Any] | None,
    search_alg: StudySearcher | Searcher | SearchAlgorithm | None,
    scheduler: StudyScheduler | TrialScheduler | None,
    *,
    max_epochs: int,
    epochs_given: bool = True,
    samples: int | None = None,
    seed: int,
) -> Translated:
    """Return searcher and scheduler of a study from those of ours or Ray's, or from none.

    Args:
        param_space: space to search; None if a searcher of ours has it.
        search_alg: searcher; by default a grid is searched completely, other spaces at random.
        scheduler: scheduler; by default every trial is trained to its end.
        max_epochs: epochs of a trial that is never stopped.
        epochs_given: whether the user has given them; else a scheduler may.
        samples: how often a grid is tried; once if None.
        seed: seed of all random draws.

    Raises:
        ValueError: it has no counterpart and cannot be adapted; names what was given and allowed.
    """
    notes: list[str] = []
    if isinstance(param_space, Mapping):
        param_space = _with_mutations(param_space, scheduler)
        sampled = [name for name, at in _leaves(param_space) if isinstance(at, Function)]
        if sampled:
            notes.append(
                f"{', '.join(sampled)}: {DRAWS} values that its function has given are what there "
                "is to choose from"
            )
    if isinstance(search_alg, ConcurrencyLimiter) and not search_alg.batch:
        search_alg = search_alg.searcher
    if isinstance(search_alg, StudySearcher):
        if param_space not in (None, {}) and param_space is not search_alg.space:
            raise ValueError(
                "param_space: the searcher has a space of its own; leave out one of them"
            )
        searcher = search_alg
    else:
        searcher = _searcher(param_space, search_alg, samples, seed, notes)
    found = _scheduler(scheduler, max_epochs, epochs_given, seed, notes)
    unlimited = found.max_epochs is None or isinstance(scheduler, PopulationBasedTraining)
    if isinstance(param_space, Mapping) and not epochs_given and unlimited:
        notes.append(
            f"the epochs of a trial were not given: it ends after {max_epochs} at the "
            f"latest; give RunConfig(stop={{'{TIME}': N}}), or --max-epochs"
        )
    return Translated(searcher, found, notes)


def concurrency_of(search_alg: object) -> int | None:
    """Return the number of trials at once of a searcher of Ray, if it has one."""
    if isinstance(search_alg, (ConcurrencyLimiter, BasicVariantGenerator)):
        return search_alg.max_concurrent or None
    return None


def has_grid(param_space: object) -> bool:
    """Return whether a dictionary of Ray's has values that are all to be tried."""
    return isinstance(param_space, Mapping) and any(_is_grid(at) for _, at in _leaves(param_space))


def _with_mutations(param_space: Mapping[str, Any], scheduler: Any) -> Mapping[str, Any]:
    """Return the space, completed by the mutations of a population, as Tune completes it."""
    if not isinstance(scheduler, PopulationBasedTraining):
        return param_space
    flat, mutations = dict(_leaves(param_space)), Mutations(scheduler)
    for name, given in mutations.mutations.items():
        if name not in flat and isinstance(given, (list, tuple)):
            flat[name] = tune.uniform(*given) if mutations.bounds else tune.choice(list(given))
        elif name not in flat and isinstance(given, Domain):
            flat[name] = given
        elif name not in flat:
            flat[name] = tune.sample_from(given)
    return nested(flat)


def _searcher(
    param_space: Space | Mapping[str, Any] | None,
    given: Any,
    samples: int | None,
    seed: int,
    notes: list[str],
) -> StudySearcher:
    name = type(given).__name__
    if given is not None and not isinstance(given, (Searcher, BasicVariantGenerator)):
        raise ValueError(
            f"TuneConfig(search_alg=...): the searcher is {kind_of(given)}; allowed are "
            "RandomSearch, SobolSearch, GridSearch, TPESearch and OptunaSearch of search_spaces, "
            "such as RandomSearch(space, seed=options.seed), and the searchers of ray.tune.search"
        )
    if not isinstance(param_space, (Space, Mapping)) or param_space == {}:
        beside = "" if given is None else f" beside {name}, which has no space of its own here"
        raise ValueError(
            f"Tuner(param_space=...) is {kind_of(param_space)}{beside}; give a Space of "
            "search_spaces, a dictionary as tune.Tuner takes it, or a searcher that has a space: "
            "TuneConfig(search_alg=...)"
        )
    space = param_space if isinstance(param_space, Space) else space_of(param_space)
    if given is None or isinstance(given, BasicVariantGenerator):
        if given is not None and searcher_arguments(given):
            raise ValueError(
                f"{name}(points_to_evaluate=...): give start_points to a searcher of "
                "search_spaces, such as RandomSearch"
            )
        return _variants(param_space, space, samples, seed)
    ours = _counterpart(given, space, seed)
    if ours is not None:
        seeded = "" if searcher_arguments(given).get("seed") is not None else ", seeded by --seed"
        notes.append(f"{name} is {type(ours).__name__} of search_spaces here{seeded}")
        return ours
    if isinstance(param_space, Space):
        raise ValueError(f"{name}: give param_space as Ray's dictionary, which it reads")
    notes.append(f"{name}: {AdaptedSearcher.not_resumable}")
    return AdaptedSearcher(given, space, param_space)


def _counterpart(given: Any, space: Space, seed: int) -> StudySearcher | None:
    """Return our counterpart of a searcher of Ray, if it has all that it asks for; else None."""
    name = f"{type(given).__module__}.{type(given).__qualname__}"
    if name not in (HYPEROPT, OPTUNA):
        return None
    arguments = searcher_arguments(given)
    if "space" in arguments:
        raise ValueError(f"{type(given).__name__}(space=...): give the space as param_space")
    points = arguments.pop("points_to_evaluate", ())
    seed = arguments.pop("seed", seed)
    rest: dict[str, Any] = {"seed": seed, "start_points": [flattened(point) for point in points]}
    if name == HYPEROPT:
        asked = getattr(given.algo, "keywords", {})
        same = asked.get("gamma") == HYPEROPT_DEFAULTS["gamma"]
        return TPESearch(space, startup=asked["n_startup_jobs"], **rest) if same else None
    return None if arguments else OptunaSearch(space, **rest)


def _variants(
    param_space: Space | Mapping[str, Any], space: Space, samples: int | None, seed: int
) -> StudySearcher:
    if isinstance(param_space, Space) or not has_grid(param_space):
        return RandomSearch(space, seed=seed)
    leaves = dict(_leaves(param_space))
    grid = [name for name, value in leaves.items() if _is_grid(value)]
    if samples in (None, 1) and not any(isinstance(value, Domain) for value in leaves.values()):
        return GridSearch(space)
    return VariantSearch(space, grid, samples=samples or 1, seed=seed)


def _scheduler(
    given: Any, max_epochs: int, epochs_given: bool, seed: int, notes: list[str]
) -> StudyScheduler:
    if given is None or type(given) is FIFOScheduler:
        return StudyScheduler()
    if isinstance(given, StudyScheduler):
        return given
    name = type(given).__name__
    if not isinstance(given, TrialScheduler) or isinstance(given, REFUSED):
        raise ValueError(
            f"TuneConfig(scheduler=...): the scheduler is {kind_of(given)}; allowed are ASHA and "
            "PBT of search_spaces, such as ASHA(max_epochs=options.epochs), or of ray.tune's "
            "ASHAScheduler, PopulationBasedTraining, PB2, MedianStoppingRule, HyperBandScheduler "
            "and those like them, or none"
        )
    if isinstance(given, PopulationBasedTraining):
        mutations = Mutations(given)
        if mutations.time_attr != TIME:
            raise ValueError(
                f"{name}(time_attr={mutations.time_attr!r}): members are compared after equal "
                f"epochs here; give time_attr={TIME!r}, and perturbation_interval in epochs"
            )
        notes.append(
            f"{name} is PBT of search_spaces here, with its own way to change a configuration: "
            "members wait for each other at every perturbation"
        )
        return AdaptedPopulation(mutations, max_epochs=max_epochs, seed=seed)
    if type(given) is AsyncHyperBandScheduler:
        translated = _asha(HalvingRules.of(given), max_epochs if epochs_given else None, seed)
        if translated is not None:
            rungs = ", ".join(map(str, translated.rungs)) or "none"
            notes.append(
                f"ASHAScheduler is ASHA of search_spaces here, with rungs after epochs {rungs}"
            )
            return translated
    adapted = AdaptedScheduler(given, objective_of(given))
    notes.append(f"{name}: {adapted.not_resumable}")
    return adapted


def _asha(rules: HalvingRules, max_epochs: int | None, seed: int) -> ASHA | None:
    """Return our counterpart; None if it has other rungs."""
    factor = rules.reduction_factor
    if rules.brackets > 1 or factor != int(factor) or not rules.stop_last_trials:
        return None
    if rules.time_attr != TIME:
        return None
    last = int(rules.max_t) if max_epochs is None else min(int(rules.max_t), max_epochs)
    return ASHA(
        max_epochs=last,
        grace_period=min(int(rules.grace_period), last),
        reduction_factor=int(factor),
        seed=seed,
    )


def space_of(param_space: Mapping[str, Any], name: str = "param_space") -> Space:
    """Return a dictionary of Ray's as a search space.

    Hyperparameters of nested dictionaries are called `outer/inner`; the trainable gets them nested.
    Values that are neither a range nor a list are fixed.

    Raises:
        ValueError: a value has no counterpart; names it, and what to do.
    """
    parameters, fixed = [], {}
    for key, value in _leaves(param_space):
        if _is_grid(value):
            parameters.append(_list(key, value["grid_search"]))
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


def _is_grid(value: Any) -> bool:
    return isinstance(value, Mapping) and set(value) == {"grid_search"}


def _list(name: str, values: Any) -> Hyperparameter:
    if not isinstance(values, Iterable) or not (listed := tuple(values)):
        raise ValueError(f"param_space: {name} has {values!r:.60} to choose from; give a list")
    return _parameter(name, values=listed)


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
        return _list(name, domain.categories)
    if isinstance(domain, Function):
        return _list(name, drawn(name, domain))
    if not isinstance(domain, (Float, Integer)) or not math.isfinite(domain.upper - domain.lower):
        raise ValueError(
            f"param_space: {name} is {domain!r}, for which there is no range here; give uniform, "
            "loguniform, randint, choice or the like, or compute it in the trainable"
        )
    integer = isinstance(domain, Integer)
    low, high = domain.lower, domain.upper
    if integer and q is None:
        # Ray excludes the upper end of `randint` and `lograndint`.
        high -= 1
    if q is None or (q == 1 and integer):
        return _range(name, low, high, scale=scale, integer=integer)
    # The multiples of `q` inside the range: Ray accepts ends that are no multiples for integers.
    first, last = math.ceil(low / q - TINY), math.floor(high / q + TINY)
    kind = int if integer else float
    if first > last:
        raise ValueError(f"param_space: {name}: no multiple of {q} is in {low} to {high}")
    if scale == "linear" and last - first <= STEPS:
        values = tuple(kind(float(f"{i * q:.12g}")) for i in range(first, last + 1))
        return _parameter(name, values=values, ordered=True)
    low, high = (kind(float(f"{end * q:.12g}")) for end in (first, last))
    return _range(name, low, high, scale=scale, integer=integer, step=q)


def _range(name: str, low: float, high: float, **rest: Any) -> Hyperparameter:
    if low == high:
        return _parameter(name, values=(low,))
    return _parameter(name, low=low, high=high, **rest)
