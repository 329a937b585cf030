"""`Tuner`: what a study is made of, as data, with the signature of `ray.tune.Tuner`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ray import tune

from search_spaces.objective import Objective
from tune_cluster.callbacks.base import Callback
from tune_cluster.execution.options import SMOKE_TEST_TRIALS, Options, options_of
from tune_cluster.execution.ray_tune.compat import objective_of
from tune_cluster.execution.ray_tune.translation import (
    Translated,
    concurrency_of,
    has_grid,
    translate,
)
from tune_cluster.execution.validation import (
    Dataset,
    asked_resources,
    check_metric,
    check_names,
    check_trainable,
    kind_of,
)

if TYPE_CHECKING:
    from tune_cluster.execution.result import StudyResult

T = TypeVar("T")

EPOCH_NAMES = ("training_iteration", "epoch")
"""By which `run_config.stop` may say how many epochs a trial has."""


@dataclass(frozen=True, kw_only=True)
class TuneConfig:
    """How a study searches: the fields of `ray.tune.TuneConfig`, whose object will do too."""

    metric: str | None = None
    """What is searched for, as the trainable reports it; None where the scheduler or the searcher
    is one of Ray's that says it."""
    mode: str | None = None
    """"max" or "min"; None as `metric`."""
    search_alg: Any = None
    """A searcher of `search_spaces` or Ray Tune; without one a grid in `param_space` is searched
    whole, and points of any other are drawn at random."""
    scheduler: Any = None
    """A scheduler of `search_spaces` or Ray Tune; without one every trial is trained to its
    end."""
    num_samples: int | None = None
    """Trials, where `Options.trials` does not say it; of a grid how often it is tried."""
    max_concurrent_trials: int | None = None
    """Trials at once, where `Options.max_concurrent` does not say it."""
    time_budget_s: float | timedelta | None = None
    """Seconds of the study, where `Options.time_budget` does not say it."""
    reuse_actors: bool = False
    """Whether a process is used by one trial after the other, for which a class needs a
    `reset_config` that leaves nothing of one trial to the next; it may say so itself."""
    warm_start: str | Path | None = None
    """An earlier study, whose trials a searcher that learns is told first."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Where a study lives and when its trials end: of the fields of `ray.tune.RunConfig`, whose
    object will do too, those that a study here has no mechanism of its own for."""

    name: str | None = None
    """Of the study, where `Options.name` does not say it."""
    storage_path: str | Path | None = None
    """Where it is kept, where `Options.storage_path` does not say it."""
    stop: Mapping[str, int] | None = None
    """`{"training_iteration": N}`: epochs of a trial, where `Options.max_epochs` does not."""
    callbacks: Sequence[Callback] = ()
    """Told every event of the study, and its result."""
    checkpoint_config: Any = None
    """Taken and not used: a study keeps the best and the latest checkpoint of a trial."""
    failure_config: Any = None
    """Taken and not used: a study retries what the infrastructure has failed."""
    progress_reporter: Any = None
    """Taken and not used: a study shows its own lines."""
    verbose: Any = None
    """Taken and not used, as `progress_reporter`."""


@dataclass(frozen=True)
class Tuner:
    """A study that can be run: stores and checks what it is given, and does nothing until `fit`.

    Args:
        trainable: a function of a configuration that calls `tune.report(metrics)` once an epoch, or
            a subclass of `tune.Trainable`. A function that is to go on after a kill reports
            `checkpoint=` too and begins with `tune.get_checkpoint()`.
        param_space: a `Space`, or a dictionary as `ray.tune.Tuner` takes it; None where
            `tune_config.search_alg` has a space.
        tune_config: how it searches.
        run_config: where it lives.
        dataset: of which `dataset.search` is given to each trial, as `setup(config, data=…)` or
            `function(config, data=…)`; it is put into the object store once.
        inputs: fingerprints, by name, of what else the trials depend on, which a resume must find
            again.

    Raises:
        ValueError: what no study can be made of: what was given, and what is allowed.
    """

    trainable: Any
    param_space: Any = field(default=None, kw_only=True)
    tune_config: Any = field(default=None, kw_only=True)
    run_config: Any = field(default=None, kw_only=True)
    dataset: Dataset | None = field(default=None, kw_only=True)
    inputs: Mapping[str, str] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        if self.tune_config is None:
            raise ValueError(
                "Tuner(tune_config=...) is missing: give TuneConfig(metric=..., mode=...)"
            )
        tune_config = _as_ours(TuneConfig, self.tune_config)
        run_config = _as_ours(
            RunConfig, RunConfig() if self.run_config is None else self.run_config
        )
        if tune_config.metric is None and tune_config.mode is None:
            tune_config = _with_objective(tune_config)
        object.__setattr__(self, "tune_config", tune_config)
        object.__setattr__(self, "run_config", run_config)
        check_metric(tune_config.metric, tune_config.mode)
        check_trainable(self.trainable, self.dataset)
        samples = tune_config.num_samples
        if samples is not None and (not isinstance(samples, int) or samples < 1):
            raise ValueError(
                f"TuneConfig(num_samples={samples!r}): it must be a whole number above 0; for "
                "an end by time there is time_budget_s"
            )
        _check_stop(run_config.stop)
        found = self.strategies(self.settled(Options()))
        check_names(found.searcher.space, self.objective.metric)
        callbacks = run_config.callbacks or ()
        for callback in callbacks if isinstance(callbacks, (list, tuple)) else [callbacks]:
            if callback is callbacks or not isinstance(callback, Callback):
                raise ValueError(
                    f"RunConfig(callbacks=...) has {kind_of(callback)}; give a list of objects of "
                    "subclasses of tune_cluster.Callback: Tune's own know no study"
                )

    @property
    def objective(self) -> Objective:
        """What is searched for."""
        return Objective(self.tune_config.metric, self.tune_config.mode)

    def strategies(self, options: Options) -> Translated:
        """Searcher and scheduler, those of Ray's as ours, for options that are settled; a
        ValueError for one that no study can have."""
        return translate(
            self.param_space,
            self.tune_config.search_alg,
            self.tune_config.scheduler,
            max_epochs=options.epochs,
            epochs_given=options.max_epochs is not None,
            samples=self.tune_config.num_samples,
            seed=options.seed,
        )

    def settled(self, options: Options) -> Options:
        """The options, with what the Tuner says where they say nothing."""
        config, run = self.tune_config, self.run_config
        trials, small = config.num_samples, SMOKE_TEST_TRIALS if options.smoke_test else None
        if has_grid(self.param_space):
            trials = None  # The searcher knows how many points there are.
        budget, stop = config.time_budget_s, run.stop or {}
        if isinstance(budget, timedelta):
            budget = budget.total_seconds()
        said = {
            "trials": small if trials is None else trials,
            "max_concurrent": config.max_concurrent_trials or concurrency_of(config.search_alg),
            "time_budget": budget,
            "max_epochs": next((stop[name] for name in EPOCH_NAMES if name in stop), None),
            "name": run.name,
        }
        missing = {n: v for n, v in said.items() if v is not None and getattr(options, n) is None}
        defaults = {
            "storage_path": None if run.storage_path is None else str(run.storage_path),
            **asked_resources(self.trainable),
        }
        missing |= {
            name: value
            for name, value in defaults.items()
            if value is not None and getattr(options, name) == getattr(Options, name)
        }
        return options_of(**{**vars(options), **missing}) if missing else options

    def fit(self, options: Options | None = None) -> StudyResult:
        """Run the study, new or, with `Options(resume=…)`, resumed; what it has found.

        Raises:
            ValueError: bad input, before anything was scheduled.
            StorageLostError: the storage failed, and did not come back.
        """
        from tune_cluster.execution.launcher import run

        given = {} if options is None else vars(options)
        # What is as by default nobody has said: a resume takes over what the study has.
        said = {n: v for n, v in given.items() if v != getattr(Options, n)}
        return run(lambda options: self, **said)


def _as_ours(kind: type[T], given: Any) -> T:
    """The config as one of this project: of Ray's object, the fields of the same name.

    Raises:
        ValueError: it is no such config, or has a field that a study here would ignore.
    """
    if isinstance(given, kind):
        return given
    rays: Any = getattr(tune, kind.__name__)
    if not isinstance(given, rays):
        raise ValueError(
            f"Tuner: a {kind.__name__} is needed, of tune_cluster or ray.tune; got {kind_of(given)}"
        )
    ours = {known.name for known in fields(kind)}  # type: ignore[arg-type]
    default = rays()
    changed = {
        known.name: getattr(given, known.name)
        for known in fields(rays)
        if getattr(given, known.name) != getattr(default, known.name)
    }
    ignored = changed.keys() - ours
    if ignored:
        raise ValueError(
            f"{kind.__name__}({', '.join(f'{name}=...' for name in sorted(ignored))}): a study "
            f"here does not have that; it has {', '.join(sorted(ours))}"
        )
    return kind(**changed)


def _with_objective(config: TuneConfig) -> TuneConfig:
    """The config with the metric and the mode of Ray's scheduler or searcher, if one has them."""
    for strategy in (config.scheduler, config.search_alg):
        metric, mode = objective_of(strategy)
        if metric is not None:
            return replace(config, metric=metric, mode=mode)
    return config


def _check_stop(stop: Any) -> None:
    """Refuses what does not say after how many epochs a trial ends."""
    if stop is None:
        return
    if not isinstance(stop, Mapping) or stop.keys() - {*EPOCH_NAMES}:
        raise ValueError(
            f"RunConfig(stop={stop!r:.80}): allowed is {{'training_iteration': N}}, the epochs of "
            "a trial; for other ends there are the options target, epoch_budget and time_budget"
        )
