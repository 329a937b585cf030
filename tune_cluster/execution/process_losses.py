"""Lost processes: whether a trial is restarted, when, and beside how many others.

A process that is lost in the same epoch repeatedly is no accident: the trial fails after the fourth
time, as after an error. If its node was lost with it, the loss says nothing about the trial.

Ray's memory monitor kills the youngest process of a machine whose memory is nearly full. Restarted
at once it would be killed again: the trial waits before, longer each time. After its second kill in
an epoch one trial less runs at once, and it waits until there is room for it. If it is still killed
until it fails, its neighbours were not the cause, and they get their place back.

Ray's message about a loss names process, actor and machine, so that equal losses of two trials
would differ in every line. These names are removed for the user, and for comparisons between
trials.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ray.exceptions import ActorUnavailableError, OutOfMemoryError, RayActorError, RayTaskError

from search_spaces.trial_events import Event, Result
from tune_cluster.callbacks.base import Callback
from tune_cluster.execution.ray_tune.compat import ProcessLostError
from tune_cluster.storage.retry import StorageLostError
from tune_cluster.study.events import SlotsChanged
from tune_cluster.study.state import StudyState
from tune_cluster.trial.failures import ERROR_RETRIES

WAIT_SECONDS = 3.0
"""Seconds that a trial waits after it was killed for memory, doubled each time: a new process takes
a second or two to grow to its size."""

NODE_LOST = "node has died", "node was terminated", "node failed"
"""Ray's messages about an actor whose node is lost."""

NAMES = re.compile(r"\b[0-9a-f]{16,}\b|\b\d+(\.\d+){3}(:\d+)?\b|(?<=pid=)\d+")
"""Pattern of ids of actors, nodes and workers, of addresses and of processes."""

KILLED_AT_ONCE = re.compile(r"\b\d+ worker\(s\) were ")
"""Pattern of the number of processes that the memory monitor has killed."""

ADVICE = re.compile(r" (Some common causes include|Memory on the node)\b.*")
"""Pattern of the beginning of advice, which is long or contains figures."""

COLOURS = re.compile(r"\x1b\[\d+m")


@dataclass
class _TrialLosses:
    """Lost processes of one trial."""

    epoch: float
    """Furthest epoch in which a process was lost."""
    times: int = 0
    """Number of losses in that epoch."""
    kills: int = 0
    """Number of these losses caused by the memory monitor."""
    due: float = 0.0
    """Time from which it may be restarted."""
    makes_room: bool = False
    """Whether one trial less runs at once because of it."""


class LostProcesses(Callback):
    """Counts the lost processes of every trial of a session.

    A resumed session starts counting anew, with the requested number of trials at once: how much
    memory each machine has by then does not follow from the last session.

    Args:
        slots: returns how many trials may run at once by the current size of the cluster.
        emit: called with the event of a change of that number.
        clock: returns seconds of a monotonic clock.
    """

    def __init__(
        self,
        slots: Callable[[], int],
        emit: Callable[[Event], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._slots, self._emit, self._clock = slots, emit, clock
        self._trials: dict[int, _TrialLosses] = {}
        self._final_reason: str | None = None
        """Reason of the last final failure, unless an epoch has succeeded since."""

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune pickles its scheduler, which refers to this object."""
        return {}

    def concurrent(self) -> int:
        """Return how many trials may run at once, at least 1."""
        return max(1, self._slots() - sum(trial.makes_room for trial in self._trials.values()))

    def fails(self, index: int, epoch: float, error: Exception) -> bool:
        """Count the loss of a process by `error` in that epoch; return whether the trial fails."""
        cause, reason = cause_of(error), why(error)
        trial = self._trials.setdefault(index, _TrialLosses(epoch))
        if epoch > trial.epoch:
            trial.epoch, trial.times, trial.kills = epoch, 0, 0
        if isinstance(cause, (ActorUnavailableError, StorageLostError)) or any(
            text in str(cause) for text in NODE_LOST
        ):
            return False
        trial.times += 1
        if isinstance(cause, OutOfMemoryError):
            trial.kills += 1
            trial.due = self._clock() + WAIT_SECONDS * 2 ** (trial.kills - 1)
        if trial.times <= ERROR_RETRIES and reason != self._final_reason:
            return False
        if not trial.kills:
            self._final_reason = reason
        return True

    def waits(self, index: int, *, failed: bool, others: int) -> bool:
        """Make room for a trial beside `others` other trials, or give it back; return whether the
        trial waits before it is restarted.

        Called after the loss was written to the journal.
        """
        trial, before = self._trials[index], self.concurrent()
        if failed and trial.makes_room:
            trial.makes_room = False
            if self.concurrent() != before:
                self._emit_change(f"trial {index} was killed with fewer beside it too")
        elif not failed and trial.kills > 1 and not trial.makes_room and min(others, before - 1):
            trial.makes_room = True
            self._emit_change(
                f"trial {index} was killed {trial.kills} times in epoch {trial.epoch}, since the "
                "memory was full"
            )
        return not failed and trial.kills > 0

    def may_start(self, index: int, active: int) -> bool:
        """Return whether a trial that was killed for memory has waited long enough, and may run
        beside `active` others."""
        return self._clock() >= self._trials[index].due and active < self.concurrent()

    def on_event(self, event: Event, state: StudyState, replay: bool) -> None:
        """Reset the counts of a trial after an epoch that succeeded."""
        if isinstance(event, Result):
            self._final_reason = None

    def _emit_change(self, reason: str) -> None:
        self._emit(SlotsChanged(trials=self.concurrent(), reason=reason))


def cause_of(error: Exception) -> Exception:
    """Return the cause of the loss: an error that was raised in the process, if there was one."""
    if isinstance(error, ProcessLostError):
        return error.error
    if isinstance(error, RayTaskError) and isinstance(error.cause, Exception):
        return error.cause
    return error


def reason_of(error: Exception, *, failed: bool = False) -> str:
    """Return the reason of a retry, or of the end of a trial that has failed by its losses."""
    again = " again and again" if failed else ""
    return f"its process was lost{again} ({why(error)})"


def why(error: Exception) -> str:
    """Return the cause of the loss in one line."""
    cause = cause_of(error)
    if not isinstance(cause, RayActorError):
        return _first_line(f"{type(cause).__name__}: {cause}")
    lines = text_of(cause).splitlines()
    if cause.actor_init_failed:
        last_frame = max(n for n, line in enumerate([" ", *lines]) if line.startswith(" "))
        return _first_line("\n".join(lines[last_frame:]))
    # The cause is below the names of the actor.
    last_name = max((n for n, line in enumerate(lines) if line.startswith("\t")), default=-1)
    text = "\n".join(lines[last_name + 1 :])
    # Without this part Ray knows no cause yet, or no detail of it.
    general, _, detail = text.rpartition("Worker exit detail: ")
    said = (_first_line(part) for part in (detail, general, text_of(cause)))
    return next(filter(None, said), type(cause).__name__)


def text_of(error: Exception) -> str:
    """Return Ray's complete message, with a traceback if there is one."""
    return COLOURS.sub("", str(error))


def _first_line(text: str) -> str:
    """Return the first line, without names and advice."""
    first = text.strip().partition("\n")[0]
    return ADVICE.sub("", KILLED_AT_ONCE.sub("", NAMES.sub("…", first)))
