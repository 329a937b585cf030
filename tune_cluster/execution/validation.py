"""What a person's script has given is checked before anything is built of it."""

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
    """What a study needs to know of its data."""

    @property
    def name(self) -> str:
        """Of the dataset."""

    @property
    def notice(self) -> str:
        """What a person must know, such as that it is not the default; may be empty."""

    @property
    def source(self) -> str:
        """Where it was found."""

    @property
    def fingerprint(self) -> str:
        """Changes with any value of the data or the split."""

    @property
    def search(self) -> Any:
        """What the trials are given: all but the test set."""


NOT_METRIC_NAMES = {"epoch", "trial", "config", "metrics", "checkpoint", "test", "instead_of"}
"""What `best.json` has beside the metric."""


def check_metric(metric: object, mode: object) -> None:
    """Refuse a metric that is no name or has a meaning of its own, and an unknown mode."""
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
    """Refuse what is neither a function of a configuration nor a subclass of tune.Trainable, or
    does not take the data, and data that is no dataset."""
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
    """Refuse a hyperparameter whose name is taken."""
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
    """Show points of the space to the trainable, before Tune makes any file; a ValueError where it
    does not take one, or asks for other resources than the options say."""
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
    """Refuse what `tune.with_resources` or `default_resource_request` asks for beside `cpus` and
    `gpus`: all trials of a study have the same, by which it is planned before the first of them."""
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
    """The options `cpus_per_trial` and `gpus_per_trial` that `tune.with_resources` asks for, where
    it asks for the same whatever the configuration."""
    asked: Any = None
    with suppress(Exception):  # Of a person's own function, which may need a configuration.
        asked = _asked(trainable, {})
    if asked is None or len(asked.bundles) > 1:
        return {}
    resources = asked.required_resources
    names = {"cpus_per_trial": "CPU", "gpus_per_trial": "GPU"}
    return {option: resources[kind] for option, kind in names.items() if resources.get(kind)}


def _asked(trainable: Any, config: dict[str, Any]) -> tune.PlacementGroupFactory | None:
    # A class has the one, `tune.with_resources` gives a function the other.
    asked: Any = getattr(trainable, "_resources", None)
    asked = getattr(trainable, "default_resource_request", asked)
    if callable(asked) and not isinstance(asked, tune.PlacementGroupFactory):
        asked = asked(config)
    factory: tune.PlacementGroupFactory | None = asked
    return factory


def refuse_unused(changed: Iterable[str], study: Study) -> None:
    """Refuse an option that would change nothing in `study`; `changed` names those that have
    another value than by default."""
    trainable, options = study.trainable, study.options
    # Whether a function reports checkpoints shows only when it runs.
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
