"""Checks of the user's arguments, before anything is built from them."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, get_args

from ray import tune

from search_spaces.objective import Mode
from search_spaces.space import Space
from tune_cluster.execution.options import Options, flag
from tune_cluster.execution.ray_tune.capabilities import overrides
from tune_cluster.reports.tables import COLUMNS
from tune_cluster.trial.results import NOT_METRICS

if TYPE_CHECKING:
    from tune_cluster.execution.ray_tune.study import Study


class Dataset(Protocol):
    """The interface of a dataset to a study."""

    @property
    def name(self) -> str:
        """Name of the dataset."""

    @property
    def notice(self) -> str:
        """Notice for the user, such as that it is not the default; may be empty."""

    @property
    def source(self) -> str:
        """Place where it was found."""

    @property
    def fingerprint(self) -> str:
        """Fingerprint that changes with any value of the data or the split."""

    @property
    def search(self) -> Any:
        """Data that the trials get: all but the test set."""


NOT_METRIC_NAMES = {
    *("epoch", "trial", "config", "metrics", "checkpoint", "test", "instead_of"),
    "held_out",
}
"""Keys of `best.json` beside the metric."""


def check_metric(metric: object, mode: object) -> None:
    """Raise a ValueError for an invalid or reserved name of a metric, and for an unknown mode."""
    if not isinstance(metric, str) or not metric:
        raise ValueError(f"TuneConfig(metric={metric!r}): the name of one metric is needed")
    if metric in NOT_METRIC_NAMES | NOT_METRICS:
        raise ValueError(
            f"TuneConfig(metric={metric!r}): the study itself counts or writes what is called so; "
            "report the metric under another name"
        )
    if mode not in get_args(Mode):
        raise ValueError(f"TuneConfig(mode={mode!r}): it must be {' or '.join(get_args(Mode))}")


def check_trainable(trainable: Any, dataset: Dataset | None) -> None:
    """Raise a ValueError unless the trainable is a function of a configuration or a subclass of
    tune.Trainable that takes the data, and the dataset, if any, is one."""
    call = "Tuner(trainable=...)"
    if dataset is not None:
        needs = [name for name in vars(Dataset) if not name.startswith("_")]
        lacks = [name for name in needs if not hasattr(dataset, name)]
        if lacks:
            raise ValueError(
                f"{call}: {kind_of(dataset)} is no dataset, it has no {', no '.join(lacks)} (see "
                "tune_cluster/execution/validation.py); any object can be given by "
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


def check_names(space: Space, metric: str) -> None:
    """Raise a ValueError for a hyperparameter with a reserved name."""
    for name in dict.fromkeys([*dict(space.fixed), *(p.name for p in space.parameters)]):
        taken = {
            "is the study's metric": name == metric,
            "is a column of trials.csv": name in COLUMNS,
            "begins with two underscores, as what Tune adds": name.startswith("__"),
        }
        for why, applies in taken.items():
            if applies:
                raise ValueError(f"space {space.name}: the hyperparameter {name} {why}; rename it")


def check_points(trainable: Any, space: Space, dataset: Dataset | None, options: Options) -> None:
    """Pass points of the space to the trainable, before Tune creates any file; raise a ValueError
    if it refuses one, or asks for other resources than the options give."""
    cpus, gpus = options.cpus_per_trial, options.gpus_per_trial
    check_resources(trainable, space.samples(), cpus=cpus, gpus=gpus)
    check = getattr(trainable, "check_config", None)
    data = {} if dataset is None else {"data": dataset.search}
    if check is not None:
        for config in space.samples():
            check(config, **data)


def check_resources(
    trainable: Any, configs: Iterable[Mapping[str, Any]], *, cpus: float, gpus: float
) -> None:
    """Raise a ValueError if `tune.with_resources` or `default_resource_request` asks for other
    resources than `cpus` and `gpus`: all trials of a study have the same, which its plan needs."""
    for config in configs:
        asked = _asked(trainable, dict(config))
        if asked is None:
            continue
        filled = [bundle for bundle in asked.bundles if any(bundle.values())]
        if len(filled) > 1:
            raise ValueError(
                f"the trainable asks for {len(filled)} bundles of resources, and a trial here is "
                "one process: ask for one bundle, of CPU and GPU"
            )
        flags = {"CPU": ("--cpus-per-trial", cpus), "GPU": ("--gpus-per-trial", gpus)}
        for name, amount in asked.required_resources.items():
            if name not in flags:
                raise ValueError(
                    f"the trainable asks for {amount:g} of {name}: trials here have CPUs and GPUs"
                )
            flag, has = flags[name]
            if amount != has:
                raise ValueError(
                    f"the trainable asks for {amount:g} {name} a trial, and {flag} is {has:g}: "
                    f"give {flag} {amount:g}, or change what it asks for"
                )


def asked_resources(trainable: Any) -> dict[str, float]:
    """Return the options `cpus_per_trial` and `gpus_per_trial` that `tune.with_resources` asks for,
    if they do not depend on the configuration."""
    asked: Any = None
    with suppress(Exception):  # Raised by the user's function, which may need a configuration.
        asked = _asked(trainable, {})
    if asked is None or len(asked.bundles) > 1:
        return {}
    resources = asked.required_resources
    names = {"cpus_per_trial": "CPU", "gpus_per_trial": "GPU"}
    return {option: resources[kind] for option, kind in names.items() if resources.get(kind)}


def _asked(trainable: Any, config: dict[str, Any]) -> tune.PlacementGroupFactory | None:
    # A class has the first, `tune.with_resources` gives a function the second.
    asked: Any = getattr(trainable, "_resources", None)
    asked = getattr(trainable, "default_resource_request", asked)
    if callable(asked) and not isinstance(asked, tune.PlacementGroupFactory):
        asked = asked(config)
    factory: tune.PlacementGroupFactory | None = asked
    return factory


def refuse_unused(changed: Iterable[str], study: Study) -> None:
    """Raise a ValueError for an option without effect in `study`; `changed` names those whose value
    is not the default."""
    trainable, options = study.trainable, study.options
    # Whether a function reports checkpoints is known only when it runs.
    saves = not inspect.isclass(trainable) or overrides(trainable, "save_checkpoint")
    unused = {}
    if not saves:
        why = f"{trainable.__name__} has no save_checkpoint, so that there are none"
        unused.update(dict.fromkeys(("keep_best", "checkpoint_budget"), why))
    if options.gpus_per_trial == 0:
        unused["price_per_gpu_hour"] = "a trial has no GPU; give --gpus-per-trial too"
    if study.scheduler.all_first:
        unused["max_concurrent"] = (
            "by this scheduler all trials are known first, and begin as soon as there is room"
        )
    if options.max_epochs != study.max_epochs:
        unused["max_epochs"] = f"this job trains for {study.max_epochs}, whatever the flag says"
    for name, why in unused.items():
        if name in changed:
            raise ValueError(f"{flag(name)} {getattr(options, name)}: {why}")


def kind_of(given: object) -> str:
    """Return a description of an argument in words."""
    if given is None:
        return "None"
    if inspect.isclass(given):
        return f"the class {given.__module__}.{given.__name__}"
    if inspect.isroutine(given):
        return f"the function {given.__name__}"
    kind = type(given)
    own = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    return f"an object of {own}"
