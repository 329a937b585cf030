"""`search`: a study by one call, as in a notebook."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar, cast

from ray import cloudpickle, tune

from search_spaces.hyperparameter import Hyperparameter
from search_spaces.objective import Mode
from search_spaces.schedulers.asha import ASHA
from search_spaces.search_flag import ascending
from search_spaces.searchers.auto_search import auto
from search_spaces.space import Space, checked_space, flattened
from tune_cluster.callbacks.base import Callback
from tune_cluster.execution.launcher import run_in_process
from tune_cluster.execution.options import Options
from tune_cluster.execution.ray_tune.translation import has_grid, space_of
from tune_cluster.execution.result import StudyResult
from tune_cluster.execution.tuner import RunConfig, TuneConfig, Tuner

F = TypeVar("F", bound=Callable[..., Any])


class _Search:
    """A function with the name of a package of Ray Tune, whose content it also provides."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self._function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module("ray.tune.search"), name)


def _and_package(function: F) -> F:
    return cast(F, _Search(function))


@_and_package
def search(
    trainable: Any,
    space: Space | Mapping[str, Any],
    *,
    metric: str,
    mode: Mode = "min",
    callbacks: Sequence[Callback] = (),
    **options: Any,
) -> StudyResult:
    """Search for the best configuration, and return the result.

    The searcher suits the space (a Gaussian process up to 100 columns), and trials are stopped
    early by ASHA with a grace period chosen by the study. Use `Tuner` for other strategies.

        found = tc.search(train, {"lr": tc.log(1e-4, 1e-1)}, metric="val_loss")
        found.config, found.value, found.checkpoint

    It never ends the process and asks nothing. Ctrl-C, the stop button of a notebook, ends the
    study in order and returns the result so far.

    Args:
        trainable: a function of a configuration that reports each epoch by `tune_cluster.report`,
            or a subclass of `ray.tune.Trainable`.
        space: a dictionary by name. A list is a choice, in order if its numbers ascend; `log`,
            `uniform`, `int`, `logint` and Ray Tune's other domains are ranges; a dictionary in it
            is nested; anything else is a constant. Or a `Space`.
        metric: name of the reported metric.
        mode: whether its lowest ("min") or its highest ("max") value is the best.
        callbacks: get every event of the study, and its result.
        options: fields of `Options`, such as `trials=32, max_epochs=20, gpus_per_trial=0.5`.

    Raises:
        ValueError: bad input, before anything was scheduled.
        StorageLostError: the storage failed permanently.
    """

    def job(shared: Options) -> Tuner:
        by_value = _is_sent_by_value(trainable)
        config = TuneConfig(
            metric=metric,
            mode=mode,
            scheduler=ASHA(max_epochs=shared.epochs, seed=shared.seed),
            reuse_actors=by_value,
        )
        param_space = None
        if has_grid(space):
            # As in Ray Tune, each of its points is tried.
            param_space = _with_choices(space)
        else:
            searched = stated_space(space)
            searcher = auto(searched, seed=shared.seed, start_points=shared.start_points)
            config = replace(config, search_alg=searcher)
        return Tuner(
            _unpickled_for_each_trial(trainable) if by_value else trainable,
            param_space=param_space,
            tune_config=config,
            run_config=RunConfig(callbacks=callbacks),
        )

    return run_in_process(job, options, brief=True)


def stated_space(given: Space | Mapping[str, Any]) -> Space:
    """Return the search space from the argument of `search`.

    Raises:
        ValueError: a value has no counterpart; names it, and what to do.

    >>> [one.ordered for one in stated_space({"width": [8, 16], "act": ["relu"]}).parameters]
    [True, False]
    """
    if not isinstance(given, Mapping):
        return checked_space(given, "search")
    lists = {name for name, value in flattened(given).items() if isinstance(value, list)}
    space = space_of(_with_choices(given), "searched")
    if not space.parameters:
        raise ValueError(
            "search: the space has nothing to be searched; give a list to choose from, or a range "
            "such as tune_cluster.log(1e-4, 1e-1)"
        )
    parameters = (_stated(one, listed=one.name in lists) for one in space.parameters)
    return replace(space, parameters=tuple(parameters))


def _with_choices(given: Any) -> Any:
    """Return the dictionary with a domain of Ray's for each list."""
    if isinstance(given, list):
        return tune.choice(given)
    if not isinstance(given, Mapping) or has_grid({"": given}):
        return given
    return {name: _with_choices(value) for name, value in given.items()}


def _stated(parameter: Hyperparameter, *, listed: bool) -> Hyperparameter:
    """Return the hyperparameter as for `--search`: its default is the middle of the range or the
    first of the values, and a list may be ordered."""
    stated = {one.name: getattr(parameter, one.name) for one in fields(parameter)}
    del stated["default"]
    return Hyperparameter(
        **{**stated, "ordered": parameter.ordered or (listed and ascending(parameter.values))}
    )


def _is_sent_by_value(trainable: Any) -> bool:
    """Return whether a function is pickled with its code and variables instead of by name: one of a
    notebook, of a script, or inside another function."""
    return inspect.isfunction(trainable) and (
        trainable.__module__ == "__main__" or "<locals>" in trainable.__qualname__
    )


def _unpickled_for_each_trial(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function for a process that runs many trials: each gets its own copy of a model
    that is a variable of the notebook."""

    @functools.wraps(function)
    def train(config: dict[str, Any]) -> Any:
        return cloudpickle.loads(cloudpickle.dumps(function))(config)

    return train
