"""Tune's controller, told once of a process that was lost between two trials; it passes on why.

A process that comes free is handed to the next trial, and may be dead by then. Ray 2.60 tells of it
twice, as the process's failure and as that of the task that was to reset it: the first one queues
the trial again, the second one finds it waiting and fails it for good, whatever `max_failures`
says. It also keeps the trial among those whose reset is under way, which are never started.

Why a process was lost Tune tells no callback: `Trial.get_error()` looks for a file of text on the
storage, where none is before the study has ended.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from ray.exceptions import NodeDiedError, OutOfMemoryError, RayActorError
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial

# `ray.tune.tune` names a function too.
RUN: Any = importlib.import_module("ray.tune.tune")

LOST = (RayActorError, OutOfMemoryError, NodeDiedError)
"""What Ray raises for a process that is gone, and not for an error in it."""


class OnceTold(TuneController):
    """Leaves out what it knows already of a lost process.

    Args:
        on_loss: told a trial whose process was lost, and by what, before the callbacks are.
    """

    def __init__(self, *args: Any, on_loss: Callable[[Trial, Exception], None], **kwargs: Any):
        self._on_loss = on_loss
        super().__init__(*args, **kwargs)

    def _process_trial_failure(self, trial: Trial, exception: Exception) -> None:
        self._resetting_trials.discard(trial)
        # A trial that waits has no process to lose: its own was told of before, which queued it.
        if isinstance(exception, LOST) and trial.status == Trial.PENDING:
            return
        self._on_loss(trial, exception)
        super()._process_trial_failure(trial, exception=exception)


@contextmanager
def losses_told_once(on_loss: Callable[[Trial, Exception], None]) -> Iterator[None]:
    """`Tuner.fit()` makes this controller for as long as the context lasts: it takes none."""
    before, RUN.TuneController = RUN.TuneController, partial(OnceTold, on_loss=on_loss)
    try:
        yield
    finally:
        RUN.TuneController = before
