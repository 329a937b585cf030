"""`Tuner`: a study as data, with the signature of `ray.tune.Tuner`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from ray import tune

from search_spaces.objective import Objective
from tune_cluster.callbacks.base import Callback
from tune_cluster.execution.options import OPEN_END, SMOKE_TEST_TRIALS, Options, options_of
from tune_cluster.execution.ray_tune.compat import objective_of
from tune_cluster.execution.ray_tune.differences import differences
from tune_cluster.execution.ray_tune.stop_conditions import epochs_in, stopper_of
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
from tune_cluster.study.study_file import STUDY_FILE

if TYPE_CHECKING:
    from tune_cluster.execution.result import StudyResult

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class TuneConfig:
    """Search of a study: the fields of `ray.tune.TuneConfig`, whose objects are accepted too."""

    metric: str | None = None
    """Name of the metric, as the trainable reports it; None if a scheduler or searcher of Ray has
    it."""
    mode: str | None = None
    """"max" or "min"; None as for `metric`."""
    search_alg: Any = None
    """A searcher of `search_spaces` or Ray Tune; by default a grid in `param_space` is searched
    completely, and points of any other space are drawn at random."""
    scheduler: Any = None
    """A scheduler of `search_spaces` or Ray Tune; by default every trial is trained to its end."""
    num_samples: int | None = None
    """Number of trials if `Options.trials` is not given; for a grid, how often it is tried."""
    max_concurrent_trials: int | None = None
    """Trials at once if `Options.max_concurrent` is not given."""
    time_budget_s: float | timedelta | None = None
    """Seconds of the study if `Options.time_budget` is not given."""
    reuse_actors: bool = False
    """Whether a process runs several trials, for which a class needs a `reset_config` that leaves
    nothing of one trial to the next; the class may declare it too."""
    trial_name_creator: Any = None
    """Accepted and ignored: a trial is named by its number."""
    trial_dirname_creator: Any = None
    """Accepted and ignored, as `trial_name_creator`."""
    warm_start: str | Path | None = None
    """An earlier study, whose trials a searcher that learns gets first."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Storage of a study and end of its trials: those fields of `ray.tune.RunConfig`, whose objects
    are accepted too, that a study has no mechanism of its own for."""

    name: str | None = None
    """Name of the study if `Options.name` is not given."""
    storage_path: str | Path | None = None
    """Folder of studies if `Options.storage_path` is not given."""
    stop: Any = None
    """Conditions that end a trial, as in Ray Tune: a dictionary of `training_iteration` (epochs, if
    `Options.max_epochs` is not given) and least values of metrics, a function of
    `(trial_id, result)`, a `tune.Stopper`, or a list of Stoppers."""
    callbacks: Sequence[Callback | tune.Callback] = ()
    """Callbacks that get every event of the study, and its result; those of Ray Tune get the calls
    that it makes."""
    checkpoint_config: tune.CheckpointConfig | None = None
    """Accepted and ignored: a study keeps the best and the latest checkpoint of a trial."""
    failure_config: tune.FailureConfig | None = None
    """Accepted and ignored: a study retries infrastructure failures."""
    sync_config: Any = None
    """Accepted and ignored: a study writes to its storage at once."""
    log_to_file: Any = False
    """Accepted and ignored: a study keeps what its trials print."""
    progress_reporter: Any = None
    """Accepted and ignored: a study prints its own lines."""
    verbose: Any = None
    """Accepted and ignored, as `progress_reporter`."""


@dataclass(frozen=True)
class Tuner:
    """A study that can be run: stores and checks its arguments, and does nothing until `fit`.

    Args:
        trainable: a function of a configuration that calls `tune.report(metrics)` once an epoch, or
            a subclass of `tune.Trainable`. To resume after a kill, a function also reports
            `checkpoint=` and begins with `tune.get_checkpoint()`.
        param_space: a `Space`, or a dictionary as for `ray.tune.Tuner`; None if
            `tune_config.search_alg` has a space.
        tune_config: how to search.
        run_config: where to store the study, and when trials end.
        dataset: dataset whose `dataset.search` each trial gets, as `setup(config, data=…)` or
            `function(config, data=…)`; it is put into the object store once.
        inputs: fingerprints, by name, of other inputs of the trials, which must be the same in a
            resume.

    Raises:
        ValueError: the arguments are invalid; the message has what was given, and what is allowed.
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
        stopper_of(run_config.stop)
        found = self.strategies(self.settled(Options()))
        check_names(found.searcher.space, self.objective.metric)
        callbacks = run_config.callbacks or ()
        for callback in callbacks if isinstance(callbacks, (list, tuple)) else [callbacks]:
            if callback is callbacks or not isinstance(callback, (Callback, tune.Callback)):
                raise ValueError(
                    f"RunConfig(callbacks=...) has {kind_of(callback)}; give a list of objects of "
                    "subclasses of tune_cluster.Callback or ray.tune.Callback"
                )

    @property
    def objective(self) -> Objective:
        """Metric and mode of the study."""
        return Objective(self.tune_config.metric, self.tune_config.mode)

    @property
    def differences(self) -> list[str]:
        """Sentences on what was given in the words of Ray Tune, and means something else here."""
        return differences(self.tune_config, self.run_config)

    def strategies(self, options: Options) -> Translated:
        """Return searcher and scheduler, with those of Ray translated or adapted, for settled
        options; raise a ValueError for one that a study cannot use."""
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
        """Return the options, completed by those of the Tuner."""
        config, run = self.tune_config, self.run_config
        trials, small = config.num_samples, SMOKE_TEST_TRIALS if options.smoke_test else None
        if has_grid(self.param_space):
            trials = None  # The searcher knows the number of points.
        budget = config.time_budget_s
        if isinstance(budget, timedelta):
            budget = budget.total_seconds()
        said = {
            "trials": small if trials is None else trials,
            "max_concurrent": config.max_concurrent_trials or concurrency_of(config.search_alg),
            "time_budget": budget,
            "max_epochs": epochs_in(run.stop) or self._open_end(options),
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

    def _open_end(self, options: Options) -> int | None:
        """As Ray Tune, let a function report as often as it likes, where nobody says otherwise."""
        limited = options.max_epochs is not None or options.smoke_test
        if limited or inspect.isclass(self.trainable) or not isinstance(self.param_space, Mapping):
            return None
        return OPEN_END if self.strategies(options).scheduler.max_epochs is None else None

    @classmethod
    def restore(cls, path: str, *arguments: Any, **more: Any) -> NoReturn:
        """Refuse what Ray's Tuner does: a study is resumed by `fit`, and unpickles nothing.

        Raises:
            ValueError: always, with what to do.
        """
        raise ValueError(
            f"Tuner.restore({path!r}): build the Tuner as the study was built, and resume it by "
            f"Tuner(...).fit(Options(resume={path!r}))"
        )

    @classmethod
    def can_restore(cls, path: str | Path, *arguments: Any, **more: Any) -> bool:
        """Return whether there is a study at a path, which `fit(Options(resume=path))` resumes."""
        return Path(path, STUDY_FILE).is_file()

    def fit(self, options: Options | None = None) -> StudyResult:
        """Run the study, new or, with `Options(resume=…)`, resumed; return its result.

        Raises:
            ValueError: bad input, before anything was scheduled.
            StorageLostError: the storage failed permanently.
        """
        from tune_cluster.execution.launcher import run

        given = {} if options is None else vars(options)
        # Defaults were not given by the user: a resume takes them over from the study.
        said = {n: v for n, v in given.items() if v != getattr(Options, n)}
        return run(lambda options: self, **said)


def _as_ours(kind: type[T], given: Any) -> T:
    """Return the config as one of this project: of Ray's object, the fields of the same name.

    Raises:
            ValueError: it is no such config, or has a field that a study would ignore.
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
    """Return the config with metric and mode of Ray's scheduler or searcher, if one has them."""
    for strategy in (config.scheduler, config.search_alg):
        metric, mode = objective_of(strategy)
        if metric is not None:
            return replace(config, metric=metric, mode=mode)
    return config
