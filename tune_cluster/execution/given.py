"""What a person's script has given is checked before anything is built of it."""

from __future__ import annotations

import inspect
from typing import Any, get_args

from ray import tune

from search_spaces.mode import Mode
from search_spaces.schedulers.in_order import InOrder
from search_spaces.schedulers.pbt import PBT
from search_spaces.searchers.strategy import Strategy
from search_spaces.space import Space
from tune_cluster.execution.parts import Dataset, Parts
from tune_cluster.execution.ray_tune.capabilities import overrides
from tune_cluster.reports.tables import COLUMNS
from tune_cluster.trial.metrics import NOT_METRICS

NOT_METRIC_NAMES = {"epoch", "trial", "config", "metrics", "checkpoint", "test", "instead_of"}
"""What `best.json` has beside the metric."""


def check_metric(metric: object, mode: object) -> None:
    """Refuse what no study can look for.

    Raises:
        ValueError: the metric is no name or has a meaning of its own, or the mode is none.
    """
    if not isinstance(metric, str) or not metric:
        raise ValueError(f"launch(metric={metric!r}): the name of one metric is needed")
    if metric in NOT_METRIC_NAMES | NOT_METRICS:
        raise ValueError(
            f"launch(metric={metric!r}): the study itself counts or writes what is called so; "
            "report the metric under another name"
        )
    if mode not in get_args(Mode):
        raise ValueError(f"launch(mode={mode!r}): it must be {' or '.join(get_args(Mode))}")


def check_trainable(trainable: Any, dataset: Dataset | None) -> None:
    """Refuse what no trial can be made of.

    Raises:
        ValueError: neither a function of a configuration nor a subclass of tune.Trainable, one that
            does not take the data, or data that is no dataset.
    """
    call = "study.trainable(...)"
    if dataset is not None:
        lacks = [name for name in vars(Dataset) if not name.startswith("_")]
        lacks = [name for name in lacks if not hasattr(dataset, name)]
        if lacks:
            raise ValueError(
                f"{call}: {kind_of(dataset)} is no dataset, it has no {', no '.join(lacks)} (see "
                "tune_cluster/execution/parts.py); any object can be given by "
                "tune.with_parameters(trainable, name=object)"
            )
    called: Any = trainable
    given: tuple[Any, ...] = ({},)
    if inspect.isclass(trainable):
        if not issubclass(trainable, tune.Trainable):
            raise ValueError(
                f"{call}: the class {trainable.__name__} is no subclass of tune.Trainable; give "
                "one, or a function of the configuration"
            )
        if not overrides(trainable, "step"):
            raise ValueError(f"{call}: {trainable.__name__} has no step(), which trains an epoch")
        called, given = called.setup, (None, {})
    elif not callable(trainable) or inspect.iscoroutinefunction(trainable):
        raise ValueError(
            f"{call}: a function of the configuration or a subclass of tune.Trainable is needed, "
            f"itself and not what it returns; got {kind_of(trainable)}"
        )
    data = {} if dataset is None else {"data": dataset}
    try:
        inspect.signature(called).bind(*given, **data)
    except (TypeError, ValueError) as error:
        takes = "config, data" if data else "config"
        name = getattr(called, "__qualname__", kind_of(called))
        raise ValueError(f"{call}: {name} must take ({takes}): {error}") from None


def check_strategy(strategy: object, scheduler: object) -> None:
    """Refuse searchers and schedulers that are not of this project.

    Raises:
        ValueError: what was given, and what is allowed.
    """
    if not isinstance(strategy, Strategy):
        raise ValueError(
            f"study.tune_config(...): the searcher is {kind_of(strategy)}; allowed are "
            "RandomSearch, SobolSearch, GridSearch, TPESearch and OptunaSearch of search_spaces, "
            "such as RandomSearch(space, seed=study.flags.seed)"
        )
    if not (scheduler is None or isinstance(scheduler, (InOrder, PBT))):
        raise ValueError(
            f"study.tune_config(...): the scheduler is {kind_of(scheduler)}; allowed are ASHA and "
            "PBT of search_spaces, such as ASHA(max_epochs=study.max_epochs), or none"
        )


def check_names(space: Space, metric: str) -> None:
    """Refuse hyperparameters whose names are taken.

    Raises:
        ValueError: the name, and what has it.
    """
    for name in dict.fromkeys([*dict(space.fixed), *(p.name for p in space.parameters)]):
        taken = {
            "is the study's metric": name == metric,
            "is a column of trials.csv": name in COLUMNS,
            "begins with two underscores, as what Tune adds": name.startswith("__"),
        }
        for why, applies in taken.items():
            if applies:
                raise ValueError(f"space {space.name}: the hyperparameter {name} {why}; rename it")


def check_built(tuner: object, parts: Parts) -> None:
    """Refuse a Tuner that is not the study's.

    Raises:
        ValueError: what the job has not called, or what would be ignored.
    """
    example = (
        "tune.Tuner(study.trainable(...), tune_config=study.tune_config(...), "
        "run_config=study.run_config())"
    )
    if not isinstance(tuner, tune.Tuner):
        raise ValueError(f"the job must return a tune.Tuner, got {kind_of(tuner)}: {example}")
    called = {
        "trainable": parts.trainable is not None,
        "tune_config": parts.strategy is not None,
        "run_config": parts.run_config is not None,
    }
    missing = [f"study.{name}()" for name, was in called.items() if not was]
    if missing:
        raise ValueError(f"the job has not called {' nor '.join(missing)}: {example}")
    # Tune would mix it into what a searcher suggests, and the journal would not know.
    space = getattr(tuner._local_tuner, "param_space", None)
    if space:
        raise ValueError(
            f"tune.Tuner(param_space=...) with {', '.join(map(str, space))}: hyperparameters come "
            "from the Space of the searcher, constants from its `fixed`"
        )


def kind_of(given: object) -> str:
    """What somebody has given, in words."""
    if given is None:
        return "None"
    if inspect.isclass(given):
        return f"the class {given.__module__}.{given.__name__}"
    if inspect.isroutine(given):
        return f"the function {given.__name__}"
    kind = type(given)
    own = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    return f"an object of {own}"
