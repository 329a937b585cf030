"""Why a whole study ends before its trials do: Ctrl-C, its time, or trials that all fail alike."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ray.tune import Stopper

from tune_jobs.runtime.journal import Event, TrialRecord

ALIKE = 5
"""So many first trials that all fail with the same exception end the study: it is not their
configurations. Fewer could be a corner of the space."""


class StudyStopper(Stopper):
    """Tells Tune to stop everything once `why` is set; trials keep what they have reported.

    Args:
        time_budget: seconds from now, or None.
        trials: of earlier sessions.
    """

    def __init__(self, time_budget: float | None, trials: Mapping[int, TrialRecord]) -> None:
        self.why = ""
        """`interrupted`, `time budget`, `failed` or, while it runs, nothing."""
        self.reason = ""
        """The exception that all of the first trials had."""
        self._deadline = None if time_budget is None else time.monotonic() + time_budget
        self._ended = [trial for trial in trials.values() if trial.ended]

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        """Never stops a single trial: that is the scheduler's."""
        return False

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles it beside its own state, which nobody reads."""
        return {}

    def stop_all(self) -> bool:
        """Asked by Tune after every step."""
        if not self.why and self._deadline is not None and time.monotonic() > self._deadline:
            self.why = "time budget"
        return bool(self.why)

    def on_event(self, event: Event, trial: TrialRecord) -> None:
        """Looks at the first trials that end."""
        if event["event"] != "ended" or self.why:
            return
        self._ended.append(trial)
        alike = {ended.reason for ended in self._ended if ended.status == "failed"}
        all_failed = all(ended.status == "failed" for ended in self._ended)
        if len(self._ended) >= ALIKE and all_failed and len(alike) == 1:
            self.why, self.reason = "failed", alike.pop()

    def close(self) -> None:
        """Nothing is held."""

    @contextmanager
    def on_ctrl_c(self) -> Iterator[None]:
        """The first Ctrl-C ends the study in order, the second one at once."""

        def interrupt(number: int, frame: FrameType | None) -> None:
            if self.why == "interrupted":
                # Ray's processes on this machine were started to die with this one.
                os._exit(130)
            self.why = "interrupted"
            print(
                "\nEnding: trials keep the epochs that they have reported. Ctrl-C again: at once.",
                file=sys.stderr,
            )

        before = signal.signal(signal.SIGINT, interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
