"""The class that Tune runs: a `TrialRunner` around a trainable, ours or the user's own."""

from __future__ import annotations

import copy
import gc
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray import tune

from tune_cluster.cluster.head import notice_sender
from tune_cluster.execution.ray_tune.capabilities import overrides
from tune_cluster.execution.ray_tune.compat import (
    ORIGINAL_WORKING_DIRECTORY,
    RAY_CHDIR_TO_TRIAL_DIR,
    RESULT_DUPLICATE,
    FunctionTrainable,
    StartTraceback,
    end_function_session,
    function_session,
    move_to_this_node,
    progress,
    quiet_checkpoints,
    reported_checkpoint,
    set_progress,
    trial_dirname,
)
from tune_cluster.execution.ray_tune.script import this_trial
from tune_cluster.storage.checkpoints import Checkpoint
from tune_cluster.trial.dict_checkpoint import load_returned, save_returned
from tune_cluster.trial.failures import StoppedExit, TrainableError, call_trainable
from tune_cluster.trial.messages import RETURNED, TRIAL_SEED, Assignment, TrialSettings
from tune_cluster.trial.process import TrialProcess
from tune_cluster.trial.runner import TrialRunner
from tune_cluster.trial.script_trial import in_trial
from tune_cluster.trial.trial_log import TrialLog

METRICS = "metrics"
"""Key under which a function's report passes through Ray."""


def tune_trainable(
    trainable: type[tune.Trainable], settings: TrialSettings
) -> type[tune.Trainable]:
    """Return a subclass of `trainable` that ends in order, writes checkpoints and resumes."""
    adapter = _Function if issubclass(trainable, FunctionTrainable) else _Class

    # With two underscores, so that the names differ from those of any trainable's own methods.
    class TuneTrial(trainable):  # type: ignore[valid-type, misc]  # known at run time alone
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            # Once per process, whatever calls setup(): a reset_config() may do so. A collection
            # after an import of torch costs 100 ms, mostly for objects that never change.
            gc.freeze()
            _keep_from_changing_directory(settings.working_directory)
            self.__process = _this_process(settings.checkpoints)
            self.__trainable = adapter(self, trainable)
            self.__runner: TrialRunner | None = None
            super().__init__(*args, **kwargs)

        def setup(self, config: dict[str, Any]) -> None:
            if self.__runner is not None:
                # Called by its own reset_config().
                super().setup(config)
                return
            self.__runner = self.__run(used_process=False)
            self.__runner.begin()

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            # The reset is done in the first step: Tune would report the failure of a trial under
            # reset twice, if its process is lost.
            self.__runner = self.__run(used_process=True)
            return True

        def __run(self, *, used_process: bool) -> TrialRunner:
            # The trainable does not see it.
            seed = self.config.pop(TRIAL_SEED, None)
            assignment = Assignment(trial_dirname(self), self.config, used_process, seed)
            return TrialRunner(assignment, self.__trainable, settings, self.__process)

        def stop(self) -> None:
            self.__process.log.copy(ends=True)
            super().stop()

        def step(self) -> dict[str, Any]:
            assert self.__runner is not None
            return self.__runner.report().to_result(settings.objective)

        def _trainable_func(self, config: dict[str, Any]) -> Any:
            with in_trial(this_trial({})):
                return call_trainable(super()._trainable_func, config)

    TuneTrial.__name__ = trainable.__name__
    return TuneTrial


def job_directory() -> str | None:
    """Return the working directory of the trials of a job that is started here: that of the job, if
    their nodes have it. None if Tune decides.

    Tune would use a folder of its own for each trial, in which `./data` does not exist, and which a
    study deletes. Set RAY_CHDIR_TO_TRIAL_DIR=1 where the job is started to have that, as for Tune.
    """
    by_tune = os.environ.get(RAY_CHDIR_TO_TRIAL_DIR, "0") == "1"
    return None if by_tune else str(Path.cwd())


def assigned_gpus() -> float:
    """Return the GPUs, or the fraction of one, that Ray has given to this process."""
    return float(ray.get_runtime_context().get_assigned_resources().get("GPU", 0.0))


def _keep_from_changing_directory(directory: str | None) -> None:
    """Keep Tune from changing the working directory, if one is given."""
    if directory is None:
        return
    os.environ[RAY_CHDIR_TO_TRIAL_DIR] = "0"
    if Path(directory).is_dir():
        os.environ[ORIGINAL_WORKING_DIRECTORY] = directory
        os.chdir(directory)


def _this_process(checkpoints: str) -> TrialProcess:
    quiet_checkpoints()
    return TrialProcess(
        node=ray.get_runtime_context().get_node_id(),
        gpus=assigned_gpus(),
        notify=lambda directory, line: notice_sender(checkpoints, directory)(line),
        log=TrialLog.of_this_process(),
    )


class _Adapter:
    """A trainable of Tune as a `trial.runner.Trainable`.

    Args:
        trial: object that Tune runs.
        base: class of the trainable in it.
    """

    def __init__(self, trial: tune.Trainable, base: type[tune.Trainable]) -> None:
        self._trial, self._base = trial, base

    def setup(self) -> None:
        self._base.setup(self._trial, copy.deepcopy(self._trial.config))

    def reset(self) -> None:
        returned = self._base.reset_config(self._trial, self._trial.config)
        if not returned:
            raise ValueError(f"reset_config() has returned {returned}")

    def progress(self) -> tuple[int, float]:
        return progress(self._trial)

    def set_progress(self, steps: int, seconds: float) -> None:
        set_progress(self._trial, iteration=steps, seconds=seconds)


class _Class(_Adapter):
    """A class for Tune."""

    def discard(self) -> None:
        # As Tune does before it starts another process.
        with suppress(Exception):
            self._trial.cleanup()

    def discard_checkpoint(self) -> None:
        """Do nothing: a class saves when it is asked to."""

    def step(self) -> Any:
        return self._base.step(self._trial)

    def saver(self) -> Callable[[str], object] | None:
        return self._save if overrides(self._base, "save_checkpoint") else None

    def load(self, checkpoint: Checkpoint, files: AbstractContextManager[Path]) -> None:
        # As Tune does before it loads one: learning rates are computed from these.
        self.set_progress(checkpoint.iteration, checkpoint.time_total)
        with files as folder:
            # Ray's annotation has the dictionary alone, not the folder.
            self._trial.load_checkpoint(load_returned(folder))  # type: ignore[arg-type]

    def ignores_checkpoint(self) -> bool:
        return False

    def _save(self, folder: str) -> None:
        save_returned(self._trial.save_checkpoint(folder), folder)


class _Function(_Adapter):
    """A function, which Tune runs in a thread of its own.

    A function may save checkpoints and never read one, as Ray's callbacks for Lightning and
    Transformers do: when restarted it begins anew, and reports nothing about it.
    """

    def __init__(self, trial: tune.Trainable, base: type[tune.Trainable]) -> None:
        super().__init__(trial, base)
        self._offered: OfferedCheckpoint | None = None
        self._files = ExitStack()
        """Checkpoint files that the function has yet to read."""

    def setup(self) -> None:
        self._start(super().setup)

    def reset(self) -> None:
        self._start(super().reset)

    def _start(self, start: Callable[[], None]) -> None:
        self._offered = None
        self._files.close()
        move_to_this_node(self._trial)
        start()
        # Accepts everything that the function reports, tensors too.
        session = function_session()
        session.report = partial(_report, partial(type(session).report, session))

    def discard(self) -> None:
        end_function_session()

    def step(self) -> Any:
        try:
            result = self._base.step(self._trial)
        except StartTraceback as error:
            raise TrainableError from _raised_in_thread(error)
        if RESULT_DUPLICATE in result:
            return RETURNED
        return result[METRICS].metrics if METRICS in result else result

    def saver(self) -> Callable[[str], object] | None:
        reported = reported_checkpoint(self._trial)
        if reported is None:
            return None

        def take_over(folder: str) -> None:
            reported.to_directory(folder)
            shutil.rmtree(reported.path, ignore_errors=True)

        return take_over

    def discard_checkpoint(self) -> None:
        reported = reported_checkpoint(self._trial)
        if reported is not None:
            shutil.rmtree(reported.path, ignore_errors=True)

    def load(self, checkpoint: Checkpoint, files: AbstractContextManager[Path]) -> None:
        # The result of `tune.get_checkpoint()`, which the function may read at any time.
        with ExitStack() as opened:
            self._offered = OfferedCheckpoint(opened.enter_context(files))
            function_session().loaded_checkpoint = self._offered
            self._files = opened.pop_all()

    def ignores_checkpoint(self) -> bool:
        return self._offered is not None and not self._offered.used


class OfferedCheckpoint(tune.Checkpoint):
    """The result of `tune.get_checkpoint()` in a function.

    Args:
        folder: folder of its files.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder))
        self.used = False
        """Whether the function has used it in any way."""

    def __getattribute__(self, name: str) -> Any:
        if name not in ("used", "__class__", "__dict__"):
            self.used = True
        return super().__getattribute__(name)


@dataclass(frozen=True)
class _Opaque:
    """Wraps a function's report so that Ray does not inspect it: it refuses tensors."""

    metrics: Mapping[Any, Any]


def _report(report: Any, metrics: Mapping[Any, Any], *args: Any, **kwargs: Any) -> None:
    ends = RESULT_DUPLICATE in metrics
    try:
        report(metrics if ends else {METRICS: _Opaque(metrics)}, *args, **kwargs)
    except SystemExit as error:
        raise StoppedExit(error.code) from None


def _raised_in_thread(error: BaseException) -> BaseException:
    while isinstance(error, StartTraceback) and error.__cause__ is not None:
        error = error.__cause__
    return error
