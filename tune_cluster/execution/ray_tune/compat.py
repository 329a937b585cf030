"""Every private name of `ray.tune`, `ray.train` and `ray.air`: no other file has one.

Written for Ray 2.60. Each name has its reason here; tests/execution/ray_tune/test_compat.py shows
what breaks when Ray changes it. Those of Ray itself are in `tune_cluster.cluster.compat`.
"""

from __future__ import annotations

import importlib
import logging
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Protocol

import numpy as np
import ray
from ray import tune
from ray.air._internal.util import StartTraceback as StartTraceback
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import GetTimeoutError, RayActorError, RayError, RayTaskError
from ray.train._internal.session import get_session, shutdown_session
from ray.train._internal.storage import StorageContext
from ray.train.constants import RAY_CHDIR_TO_TRIAL_DIR as RAY_CHDIR_TO_TRIAL_DIR
from ray.tune.execution import class_cache, tune_controller
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.result import RESULT_DUPLICATE as RESULT_DUPLICATE
from ray.tune.schedulers import AsyncHyperBandScheduler, PopulationBasedTraining, TrialScheduler
from ray.tune.schedulers.pbt import _PBTTrialState
from ray.tune.search import Searcher
from ray.tune.trainable.function_trainable import FunctionTrainable as FunctionTrainable
from ray.tune.trainable.function_trainable import wrap_function as wrap_function

# Names for the driver: Tune's controller.

_RUN: Any = importlib.import_module("ray.tune.tune")
"""The module; a function in its package has the same name."""

_TRIAL: Any = importlib.import_module("ray.tune.experiment.trial")


class ProcessLosses(Protocol):
    """Decides about the loss of a trial's process."""

    def lost(self, trial: Trial, error: Exception) -> bool:
        """Record the loss before any callback gets it; return whether the trial fails."""

    def rests(self, trial: Trial, *, failed: bool, others: int) -> bool:
        """Return whether a trial waits before it is restarted, while `others` other trials run.

        Called after the callbacks got the loss.
        """

    def upcoming(self) -> int:
        """Return how many trials the searcher will have once the running ones have ended."""


class ProcessLostError(RayActorError):
    """Wraps other errors that Ray raises for a lost process as the error of an actor: Tune can
    recover only from those.

    Args:
        error: a kill by the memory monitor, a result that could not be read, or another error.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(error_msg=str(error))
        self.error = error


class _ActorManager(RayActorManager):
    """Treats every error that the trial did not raise as the loss of its process.

    `_actor_task_failed` ends the whole study with a traceback for an error that is neither a
    `RayActorError` nor a `RayTaskError`, such as the `OutOfMemoryError` of the memory monitor.
    """

    def _actor_task_failed(self, tracked_actor_task: Any, exception: Exception) -> None:
        if not isinstance(exception, (RayActorError, RayTaskError)):
            exception = ProcessLostError(exception)
        super()._actor_task_failed(tracked_actor_task, exception)


class Controller(TuneController):
    """Tune's controller, changed to lose no study with a process, and to forget ended trials.

    - `_process_trial_failure`: Tune passes no callback the cause of a lost process.
      `Trial.get_error()` reads a file that does not exist before the study has ended.
    - The same, and `_resetting_trials`: Ray reports the loss of a reused process twice, as the
      failure of the process and of the task that was to reset it. The first report queues the
      trial again, lets it wait or ends it; the second would count another loss, and fail a pending
      trial for good, whatever `max_failures` is. The trial also stays among those under reset,
      which are never started.
    - `_trials`, `_stopped_trials`, `_failed_trials`: hold every trial of the study, 30 KB each, and
      `is_finished()` iterates over all of `_trials` in every step.
    - `checkpoint`, `_mark_trial_to_checkpoint`: write the state of all trials for a restore that
      is never done, since the journal is used instead.
    - `_running_trials`, `_set_trial_status`: see `ProcessLosses.rests`.
    - `_actor_cache`: of the processes of ended trials Tune keeps as many as trials are queued, and
      one. The trials of a next round are queued when the last one has ended.
    """

    def __init__(self, *args: Any, losses: ProcessLosses, **kwargs: Any) -> None:
        self._losses = losses
        self._kept: tuple[Any, int] | None = None
        """Resources of a trial, and how many processes with them are kept for a next round."""
        super().__init__(*args, **kwargs)

    def on_step_begin(self) -> None:
        """Keep as many processes as a next round may need."""
        super().on_step_begin()
        if self._kept is not None:
            self._actor_cache.decrease_max(*self._kept)
            self._kept = None
        if self._trials and (upcoming := self._losses.upcoming()):
            self._kept = (self._trials[0].placement_group_factory, upcoming)
            self._actor_cache.increase_max(*self._kept)

    def checkpoint(self, force: bool = False, wait: bool = False) -> None:
        """Write nothing."""

    def on_step_end(self) -> None:
        """Forget the trials that have ended, except one: Tune's warning that no trial can be
        started reads the first of its list."""
        super().on_step_end()
        live = [trial for trial in self._trials if not trial.is_finished()]
        if len(live) < len(self._trials) - 1:
            self._trials[:] = live or self._trials[-1:]
            self._stopped_trials.intersection_update(self._trials)
            self._failed_trials.intersection_update(self._trials)
            self._live_trials.intersection_update(live)

    def _mark_trial_to_checkpoint(self, trial: Trial) -> None:
        """Store nothing."""

    def _process_trial_failure(self, trial: Trial, exception: Any) -> None:
        self._resetting_trials.discard(trial)
        # A trial that does not run has no process to lose: its loss was reported before.
        if isinstance(exception, RayActorError) and trial.status != Trial.RUNNING:
            return
        if self._losses.lost(trial, exception):
            # Tune's own count may allow further retries.
            trial.max_failures = 0
        super()._process_trial_failure(trial, exception=exception)
        failed, others = trial.status == Trial.ERROR, len(self._running_trials)
        if self._losses.rests(trial, failed=failed, others=others):
            # Tune starts pending trials by itself, in their order.
            self._set_trial_status(trial, Trial.PAUSED)


class NoProgress(TrialProgressCallback):
    """A callback of Tune that prints nothing. It replaces the one that Tune adds by default, which
    prints nothing either at `verbose=0` but keeps every trial of the study."""

    def _keep_nothing(self, *args: Any, **info: Any) -> None:
        pass

    on_trial_result = on_trial_error = on_trial_complete = _keep_nothing


class _NoAnalysis:
    """Replaces the analysis of all trials at the end of `Tuner.fit()`.

    It is not used. It would unpickle files in Tune's folder, by whatever writer, and raises a
    ValueError if the storage has lost the trials' files.
    """

    trials = ()

    def __init__(self, **ignored: Any) -> None:
        pass


@contextmanager
def controlled_by(losses: ProcessLosses) -> Iterator[None]:
    """Let `Tuner.fit()`, which takes no controller, run by `Controller` and return nothing.

    `get_trainable_cls`, `validate_trainable`: for every trial they ask the cluster's head for the
    pickled trainable, and unpickle it to another class, which is then sent to each new process.
    `tag_callbacks`: to count the callbacks for Ray's own statistics it imports MLflow, Weights &
    Biases and Comet where they are installed, which takes seconds.
    """
    trainable_class = cache(_TRIAL.get_trainable_cls)
    ours: list[tuple[Any, str, Any]] = [
        (_RUN, "TuneController", partial(Controller, losses=losses)),
        (_RUN, "ExperimentAnalysis", _NoAnalysis),
        (tune_controller, "RayActorManager", _ActorManager),
        (_TRIAL, "get_trainable_cls", trainable_class),
        (_TRIAL, "validate_trainable", trainable_class),
        (_RUN.air_usage, "tag_callbacks", lambda callbacks: None),
    ]
    before = [(module, name, getattr(module, name)) for module, name, _ in ours]
    try:
        for module, name, value in ours:
            setattr(module, name, value)
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)


def restart_trial(controller: Any, trial: Trial, reason: str) -> None:
    """Restart a running trial in another process, without counting a failure.

    `_try_recover` is what Tune calls after the loss of a process. A pause would give the process to
    another trial, and a failure counts towards `max_failures`.
    """
    controller._try_recover(trial, tune.TuneError(reason))


def process_is_lost(trial: Trial) -> bool:
    """Return whether the process of a waiting trial is lost without Tune's notice.

    `temporary_state.ray_actor`: Tune checks only pending tasks, and a waiting process has none.
    """
    actor = trial.temporary_state.ray_actor
    if actor is None:
        return False
    try:
        # A waiting process answers in a millisecond.
        ray.get(actor.__ray_ready__.remote(), timeout=10)
    except GetTimeoutError:
        return False
    except RayError:
        # Raised for a dead actor, and for a process that Ray has killed for memory.
        return True
    return False


def notice_loss(controller: Any, trial: Trial) -> None:
    """Let Tune detect that a process is lost: it then restarts the trial.

    `_schedule_trial_save`: any task for the process has this effect.
    """
    controller._schedule_trial_save(trial)


# Names for the user's objects, which have no public view in Ray.


def objective_of(strategy: Any) -> tuple[str | None, str | None]:
    """Return metric and mode that a searcher or scheduler of Ray was given; None for each not
    given."""
    if not isinstance(strategy, (Searcher, TrialScheduler)):
        return None, None
    return strategy.metric, getattr(strategy, "_mode", None)


@dataclass(frozen=True)
class HalvingRules:
    """Arguments of an `AsyncHyperBandScheduler`."""

    max_t: float
    grace_period: float
    reduction_factor: float
    brackets: int
    time_attr: str
    stop_last_trials: bool

    @classmethod
    def of(cls, scheduler: AsyncHyperBandScheduler) -> HalvingRules:
        """Read them; of the grace period only the lowest rung is stored."""
        brackets: Any = scheduler._brackets
        return cls(
            scheduler._max_t,
            min(milestone for milestone, _ in brackets[0]._rungs),
            scheduler._reduction_factor,
            len(brackets),
            scheduler._time_attr,
            scheduler._stop_last_trials,
        )


def searcher_arguments(searcher: Any) -> dict[str, Any]:
    """Return those arguments of a searcher that ours would have to know."""
    names = ("space", "points_to_evaluate", "sampler", "storage", "evaluated_rewards", "seed")
    return {
        name: value
        for name in names
        # Some defaults are None, some an empty list.
        if (value := getattr(searcher, f"_{name}", None)) not in (None, [], {})
    }


class Mutations:
    """Changes of configurations by a `PopulationBasedTraining`, or a `PB2`.

    `_get_new_config` chooses one, `_save_trial_state` stores what PB2's model needs. Its other
    parts, such as the choice of members and times, are not used.
    """

    def __init__(self, scheduler: PopulationBasedTraining) -> None:
        self._scheduler: Any = scheduler
        self.name = type(scheduler).__name__
        self.mutations: dict[str, Any] = dict(_leaves(self._scheduler._hyperparam_mutations))
        """Mutations by name, with `outer/inner` for nested dictionaries."""
        self.perturbed = list(self.mutations)
        self.interval = int(self._scheduler._perturbation_interval)
        self.quantile_fraction: float = self._scheduler._quantile_fraction
        self.time_attr: str = self._scheduler._time_attr
        self.bounds = hasattr(scheduler, "_hyperparam_bounds")
        """Whether a pair is a range, as for PB2, and no list."""

    def check(self, metric: str, mode: str) -> None:
        """Store metric and mode."""
        own, own_mode = objective_of(self._scheduler)
        given = (None if own else metric, None if own_mode else mode)
        self._scheduler.set_search_properties(*given)

    def tell(self, trial: Trial, result: Mapping[str, Any]) -> None:
        """Take in the result of a member at the end of an interval."""
        state = self._scheduler._trial_state.setdefault(trial, _PBTTrialState(trial))
        time = result[self.time_attr]
        self._scheduler._save_trial_state(state, time, dict(result), trial)

    def explored(self, member: Trial, donor: Trial, seed: int) -> dict[str, Any]:
        """Return the new configuration of `member`; draws from the global generators."""
        before = random.getstate(), np.random.get_state()
        random.seed(seed)
        np.random.seed(seed)
        try:
            config, _ = self._scheduler._get_new_config(member, donor)
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])
        return dict(config)


def _leaves(given: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in given.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", value


# Names for the processes of trials.

TRIAL_ENVIRONMENT: dict[str, str] = dict(class_cache.DEFAULT_ENV_VARS)
"""Environment variables that Tune sets in the process of every trial, and only there."""


def let_trials_inherit_environment() -> None:
    """Keep Tune from setting `TRIAL_ENVIRONMENT`, with which the driver's Ray was started.

    A prestarted process of Ray is used only by a task without variables of its own: 0.3 s to the
    first trial instead of 3 to 4.
    """
    class_cache.DEFAULT_ENV_VARS.clear()


def as_trial(function: Any) -> Any:
    """Return a remote function that runs like a trial: in a process that the first trial can use
    later, since it has the same variables."""
    return class_cache._ActorClassCache().get(function)


ORIGINAL_WORKING_DIRECTORY = "TUNE_ORIG_WORKING_DIR"
"""Environment variable with which Tune passes the job's working directory to a trial."""


def quiet_checkpoints() -> None:
    """Keep Ray from printing a line to a trial's log for each checkpoint that a function reports:
    its temporary path is of no use."""
    logging.getLogger(StorageContext.__module__).setLevel(logging.WARNING)


def function_session() -> Any:
    """Return the session through which a function reports; its `loaded_checkpoint` is what
    `tune.get_checkpoint()` returns, its `report` what `tune.report()` calls."""
    return get_session()


def end_function_session() -> None:
    """End the session of a function that has failed: Tune starts no second one in a process."""
    shutdown_session()


def trial_dirname(trainable: tune.Trainable) -> str:
    """Return the name of the trial's directory. Tune gives a promoted trial, which is a new one for
    Tune, a second name: `0012_5e72`."""
    name: Any = storage_of(trainable).trial_dir_name
    return str(name.partition("_")[0])


def storage_of(trainable: tune.Trainable) -> StorageContext:
    """Return Tune's storage of a trial, which each running trial has."""
    assert trainable._storage is not None
    return trainable._storage


def storage_in(folder: str, trial: str) -> StorageContext:
    """Return the storage of Tune for one trial outside of a study, in a folder of this node."""
    return StorageContext(folder, "tune", trial_dir_name=trial)


def move_to_this_node(trainable: tune.Trainable) -> None:
    """Make Tune's storage of the trial a folder of this node, under Ray's own.

    Tune copies checkpoints of a function there at once. The folder of a study may be full or away,
    and the function would fail before anybody could wait; the folder of a study in a bucket is on
    the head, and Tune refuses to write to it from another node.
    """
    storage = storage_of(trainable)
    storage.storage_fs_path = f"{storage._get_session_path()}/reported"
    storage._create_validation_file()


def progress(trainable: tune.Trainable) -> tuple[int, float]:
    """Return the steps and the seconds of a trial so far."""
    return trainable._iteration, trainable._time_total


def set_progress(trainable: tune.Trainable, *, iteration: int, seconds: float) -> None:
    """Set the steps and the seconds of a trial so far, as `Trainable.restore` does: a
    `load_checkpoint` may compute its learning rate from them."""
    trainable._iteration, trainable._time_total = iteration, seconds


def reported_checkpoint(trainable: Any) -> tune.Checkpoint | None:
    """Return the checkpoint that a function has reported in its last step."""
    result: Any = trainable._last_training_result
    reported: tune.Checkpoint | None = result.checkpoint
    return reported
