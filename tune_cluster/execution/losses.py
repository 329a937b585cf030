"""What follows on a lost process: whether its trial starts again, when, and beside how many others.

A process that is lost in the same epoch again and again is no accident: the trial fails after the
fourth time, as it does after an error. Where its node was lost with it, that says nothing of it.

Ray's memory monitor kills the youngest process of a machine whose memory is nearly full. Started
again at once it would be killed again: the trial waits before, longer each time. After its second
kill in an epoch one trial less runs at once, and it waits until there is room for it. If it is
killed there too until it fails, it was not for its neighbours, which get their place back.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ray.exceptions import ActorUnavailableError, OutOfMemoryError

from search_spaces.trial_events import Event, Result
from tune_cluster.callbacks.base import Callback
from tune_cluster.storage.retry import StorageLostError
from tune_cluster.study.events import WidthChanged
from tune_cluster.study.state import StudyState
from tune_cluster.trial.failures import ERRORS
from tune_cluster.trial.lost_process import cause_of, why

REST = 3.0
"""Seconds that a trial waits after it was killed for memory, twice as long after the next time: a
new process takes a second or two to grow to its size."""

OF_A_NODE = "node has died", "node was terminated", "node failed"
"""What Ray says of an actor whose node is gone."""


@dataclass
class _Stand:
    """How a trial stands that has lost a process."""

    epoch: float
    """The furthest that it lost one in."""
    times: int = 0
    """In that epoch."""
    kills: int = 0
    """Of these by the memory monitor."""
    due: float = 0.0
    """When it may start again."""
    makes_room: bool = False
    """Whether one trial less runs at once for it."""


class Losses(Callback):
    """Counts the lost processes of every trial of a session.

    A resumed session counts anew, and has as many trials at once as it was asked for: how much
    memory there is by then, on which machine, is not known from the last one.

    Args:
        room: how many trials may run at once by the cluster's size, at any moment.
        emit: told a change of that number.
        clock: seconds.
    """

    def __init__(
        self,
        room: Callable[[], int],
        emit: Callable[[Event], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._room, self._emit, self._clock = room, emit, clock
        self._stands: dict[int, _Stand] = {}
        self._for_good = ""
        """What a trial has failed of, and no epoch has gone well since."""

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its scheduler, which asks it."""
        return {}

    def concurrent(self) -> int:
        """How many trials may run at once, at least 1."""
        return max(1, self._room() - sum(stand.makes_room for stand in self._stands.values()))

    def fails(self, index: int, epoch: float, error: Exception) -> bool:
        """Counts the loss of a process by `error` in that epoch; whether the trial has failed."""
        cause = cause_of(error)
        stand = self._stands.setdefault(index, _Stand(epoch))
        if epoch > stand.epoch:
            stand.epoch, stand.times, stand.kills = epoch, 0, 0
        if isinstance(cause, (ActorUnavailableError, StorageLostError)) or any(
            said in str(cause) for said in OF_A_NODE
        ):
            return False
        stand.times += 1
        if isinstance(cause, OutOfMemoryError):
            stand.kills += 1
            stand.due = self._clock() + REST * 2 ** (stand.kills - 1)
        if stand.times <= ERRORS and why(error) != self._for_good:
            return False
        if not stand.kills:
            self._for_good = why(error)
        return True

    def after(self, index: int, *, failed: bool, beside: int) -> bool:
        """Makes room where so many others run `beside` it, or takes it back; whether the trial has
        to wait.

        Called when the loss has been written down.
        """
        stand, before = self._stands[index], self.concurrent()
        if failed and stand.makes_room:
            stand.makes_room = False
            if self.concurrent() != before:
                self._tell(f"trial {index} was killed with fewer beside it too")
        elif not failed and stand.kills > 1 and not stand.makes_room and min(beside, before - 1):
            stand.makes_room = True
            self._tell(
                f"trial {index} was killed {stand.kills} times in epoch {stand.epoch}, since the "
                "memory was full",
            )
        return not failed and stand.kills > 0

    def may_start(self, index: int, active: int) -> bool:
        """Whether a trial has waited long enough that was killed for memory, and may run beside
        `active` others."""
        return self._clock() >= self._stands[index].due and active < self.concurrent()

    def on_event(self, event: Event, state: StudyState, replay: bool) -> None:
        """After an epoch that went well every process has all its tries again."""
        if isinstance(event, Result):
            self._for_good = ""

    def _tell(self, reason: str) -> None:
        self._emit(WidthChanged(trials=self.concurrent(), reason=reason))
