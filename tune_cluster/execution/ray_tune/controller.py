"""Tune's controller, which loses no study with a process; it passes on why one was lost.

Ray 2.60 tells of a lost process in more ways than Tune knows how to go on from. What is no error of
an actor or of a task, such as a kill by the memory monitor, ends the whole study with a traceback
before the controller hears of it (`RayActorManager._actor_task_failed`).

A process that comes free is handed to the next trial, and may be dead by then. Ray tells of it
twice, as the process's failure and as that of the task that was to reset it: the first one queues
the trial again, the second one finds it waiting and fails it for good, whatever `max_failures`
says. It also keeps the trial among those whose reset is under way, which are never started.

Why a process was lost Tune tells no callback: `Trial.get_error()` looks for a file of text on the
storage, where none is before the study has ended.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import RayActorError, RayTaskError
from ray.tune.execution import tune_controller
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial

from tune_cluster.execution.losses import Losses
from tune_cluster.execution.ray_tune.recorder import Recorder, index_of
from tune_cluster.trial.lost_process import ProcessLostError

# `ray.tune.tune` names a function too.
RUN: Any = importlib.import_module("ray.tune.tune")


class EveryLoss(RayActorManager):
    """Takes whatever a task ends with that the trial did not raise for a lost process."""

    def _actor_task_failed(self, tracked_actor_task: Any, exception: Exception) -> None:
        if not isinstance(exception, (RayActorError, RayTaskError)):
            exception = ProcessLostError(exception)
        super()._actor_task_failed(tracked_actor_task, exception)


class OnceTold(TuneController):
    """Leaves out what it knows already of a lost process.

    Args:
        recorder: told a trial whose process was lost, and by what, before the callbacks are.
        losses: say what follows.
    """

    def __init__(self, *args: Any, recorder: Recorder, losses: Losses, **kwargs: Any) -> None:
        self._recorder, self._losses = recorder, losses
        super().__init__(*args, **kwargs)

    def _process_trial_failure(self, trial: Trial, exception: Exception) -> None:
        self._resetting_trials.discard(trial)
        # A trial that waits has no process to lose: its own was told of before, which queued it.
        if isinstance(exception, RayActorError) and trial.status == Trial.PENDING:
            return
        epoch = self._recorder.on_loss(trial, exception)
        index = index_of(trial)
        if self._losses.fails(index, epoch, exception):
            # Of Tune's own count there may be some left.
            trial.max_failures = 0
        super()._process_trial_failure(trial, exception=exception)
        failed, beside = trial.status == Trial.ERROR, len(self._running_trials)
        if self._losses.after(index, failed=failed, beside=beside):
            self._scheduler_alg.rest(self, trial)


@contextmanager
def losses_told(recorder: Recorder, losses: Losses) -> Iterator[None]:
    """`Tuner.fit()` makes this controller for as long as the context lasts: it takes none."""
    before = RUN.TuneController, tune_controller.RayActorManager
    RUN.TuneController = partial(OnceTold, recorder=recorder, losses=losses)
    tune_controller.RayActorManager = EveryLoss
    try:
        yield
    finally:
        RUN.TuneController, tune_controller.RayActorManager = before
