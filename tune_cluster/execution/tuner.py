"""`Tuner`: what a study is made of, as data, with the signature of `ray.tune.Tuner`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ray import tune

from search_spaces.searchers.random_search import RandomSearch
from search_spaces.space import Space
from tune_cluster.callbacks.base import Callback
from tune_cluster.execution.dataset import Dataset
from tune_cluster.execution.options import SMOKE_TEST_TRIALS, Options
from tune_cluster.execution.validation import (
    check_metric,
    check_names,
    check_strategy,
    check_trainable,
    kind_of,
)

if TYPE_CHECKING:
    from tune_cluster.execution.result import StudyResult

T = TypeVar("T")

REPLACED = ("checkpoint_config", "failure_config", "progress_reporter", "verbose", "reuse_actors")
"""Fields of Ray's configs in whose place a study has mechanisms of its own: it keeps the best and
the latest checkpoint of a trial, retries what the infrastructure has failed, shows its own lines,
and reuses a process where the trainable says that it can be."""

EPOCH_NAMES = ("training_iteration", "epoch")
"""By which `run_config.stop` may say how many epochs a trial has."""


@dataclass(frozen=True, kw_only=True)
class TuneConfig:
    """How a study searches: the fields of `ray.tune.TuneConfig`, whose object will do too."""

    metric: str
    """What is searched for, as the trainable reports it."""
    mode: str
    """"max" or "min"."""
    search_alg: Any = None
    """A searcher of `search_spaces`; without one points of `param_space` are drawn at random."""
    scheduler: Any = None
    """A scheduler of `search_spaces`; without one every trial is trained to its end."""
    num_samples: int | None = None
    """Trials, where `Options.trials` does not say it."""
    max_concurrent_trials: int | None = None
    """Trials at once, where `Options.max_concurrent` does not say it."""
    time_budget_s: float | timedelta | None = None
    """Seconds of the study, where `Options.time_budget` does not say it."""
    warm_start: Path | None = None
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


@dataclass(frozen=True)
class Tuner:
    """A study that can be run: stores and checks what it is given, and does nothing until `fit`.

    Args:
        trainable: a function of a configuration that calls `tune.report(metrics)` once an epoch, or
            a subclass of `tune.Trainable`. A function that is to go on after a kill reports
            `checkpoint=` too and begins with `tune.get_checkpoint()`.
        param_space: a `Space`, where `tune_config.search_alg` has none.
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
        object.__setattr__(self, "tune_config", tune_config)
        object.__setattr__(self, "run_config", run_config)
        check_metric(tune_config.metric, tune_config.mode)
        check_trainable(self.trainable, self.dataset)
        self._check_space()
        searcher = self.tune_config.search_alg
        check_strategy(searcher, tune_config.scheduler)
        check_names(searcher.space, tune_config.metric)
        _check_stop(run_config.stop)
        for callback in run_config.callbacks or ():
            if not isinstance(callback, Callback):
                raise ValueError(
                    f"RunConfig(callbacks=...) has {kind_of(callback)}; give objects of subclasses "
                    "of tune_cluster.Callback: Tune's own know no study"
                )

    def _check_space(self) -> None:
        """Holds `param_space` and the searcher against each other."""
        search_alg, space = self.tune_config.search_alg, self.param_space
        if search_alg is None and isinstance(space, Space):
            # Its seed is that of the options, which are known in `fit`.
            object.__setattr__(
                self, "tune_config", replace(self.tune_config, search_alg=_random(space, 0))
            )
        elif search_alg is None:
            raise ValueError(
                f"Tuner(param_space=...) is {kind_of(space)}; give a Space of search_spaces, or a "
                "searcher that has one: TuneConfig(search_alg=...)"
            )
        elif space is not None and space is not getattr(search_alg, "space", None):
            raise ValueError(
                "Tuner(param_space=...): the searcher has a space of its own; leave out one of them"
            )

    def searcher(self, seed: int) -> Any:
        """The searcher, which draws by `seed` where it is not the person's own."""
        if self.param_space is not None and self.tune_config.search_alg.space is self.param_space:
            return _random(self.param_space, seed)
        return self.tune_config.search_alg

    def settled(self, options: Options) -> Options:
        """The options, with what the Tuner says where they say nothing."""
        config, run = self.tune_config, self.run_config
        trials, small = config.num_samples, SMOKE_TEST_TRIALS if options.smoke_test else None
        budget, stop = config.time_budget_s, run.stop or {}
        if isinstance(budget, timedelta):
            budget = budget.total_seconds()
        epochs = next((stop[name] for name in EPOCH_NAMES if name in stop), None)
        told = {
            "trials": small if trials is None else trials,
            "max_concurrent": config.max_concurrent_trials,
            "time_budget": budget,
            "max_epochs": epochs,
            "name": run.name,
        }
        missing = {n: v for n, v in told.items() if v is not None and getattr(options, n) is None}
        if run.storage_path is not None and options.storage_path == Options.storage_path:
            missing["storage_path"] = str(run.storage_path)
        return replace(options, **missing)

    def fit(self, options: Options | None = None) -> StudyResult:
        """Run the study, new or, with `Options(resume=…)`, resumed; what it has found.

        Raises:
            ValueError: bad input, before anything was scheduled.
            StorageLostError: the storage failed, and did not come back.
        """
        from tune_cluster.execution.launcher import fit

        return fit(self, options or Options())


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
    ignored = changed.keys() - ours - {*REPLACED}
    if ignored:
        raise ValueError(
            f"{kind.__name__}({', '.join(f'{name}=...' for name in sorted(ignored))}): a study "
            f"here does not have that; it has {', '.join(sorted(ours))}"
        )
    return kind(**{name: value for name, value in changed.items() if name in ours})


def _random(space: Space, seed: int) -> RandomSearch:
    return RandomSearch(space, seed=seed)


def _check_stop(stop: Any) -> None:
    """Refuses what does not say after how many epochs a trial ends."""
    if stop is None:
        return
    if not isinstance(stop, Mapping) or stop.keys() - {*EPOCH_NAMES}:
        raise ValueError(
            f"RunConfig(stop={stop!r:.80}): allowed is {{'training_iteration': N}}, the epochs of "
            "a trial; for other ends there are the options target, epoch_budget and time_budget"
        )
