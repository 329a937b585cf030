"""Console output of a study: one line per event, and on a terminal a live status below them.

In a pipe or a file there are only plain lines, the status among them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Mapping
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)

from search_spaces.objective import shown_value
from search_spaces.trial_events import (
    Decision,
    Ended,
    EpochsLost,
    Event,
    Promoted,
    Result,
    RungJudged,
)
from search_spaces.values import short
from tune_cluster.callbacks.base import Callback
from tune_cluster.duration import duration
from tune_cluster.plain_text import one_line
from tune_cluster.study.events import Closed, ResetFailed, Session, SlotsChanged
from tune_cluster.study.state import BestTrial, StudyState

STATUS_LINES = 10
"""Number of status lines in a file, over a whole study."""


class ConsoleOutput(Callback):
    """Prints events and a live status.

    Args:
        console: console of rich; on a terminal it shows a live status.
        state: state of the study.
        total: number of trials of the study.
        concurrent: trials at a time when the study begins; None if unknown.
        not_searched: names in a configuration that no line shows.
        seconds: expected seconds of the remaining training, or None.
        brief: whether a trial that ends or is moved as planned prints no line.
    """

    def __init__(
        self,
        console: Console,
        state: StudyState,
        *,
        total: int,
        concurrent: int | None = None,
        not_searched: Collection[str] = (),
        seconds: float | None = None,
        brief: bool = False,
    ) -> None:
        self._console = console
        self._brief = brief
        self._state = state
        self._total = total
        self._concurrent = concurrent
        self._not_searched = not_searched
        self._seconds = seconds
        self._began = time.monotonic()
        self._best = state.best
        self._ended_before = state.ended
        self._most_ended = state.ended
        self._reset_failed = False
        self._progress = Progress(
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task(
            self.status(), total=total, completed=self._ended_before
        )

    def on_event(self, event: Event, state: StudyState, replay: bool) -> None:
        """Print a line for an event, if the user needs one."""
        if replay:
            return
        if isinstance(event, Session):
            self._progress.start()
        if isinstance(event, Closed):
            self._progress.stop()
            return
        if line := self._line(event):
            self._print(line)
        if isinstance(event, Result):
            self._print_new_best()
        elif isinstance(event, EpochsLost):
            self._best = state.best
        self._show_status()

    def status(self) -> str:
        """Return trials by status, the best value so far, and the remaining time."""
        state = self._state
        parts = [f"{count} {status}" for status, count in sorted(state.counts.items()) if count]
        if state.best is not None:
            parts.append(f"best {shown_value(state.best.value)} (trial {state.best.trial.index})")
        remaining = self.remaining()
        if remaining is not None:
            parts.append(f"{duration(remaining)} left")
        return " · ".join(parts)

    def remaining(self) -> float | None:
        """Return the remaining seconds: the estimate at first, then from the trials that ended."""
        elapsed = time.monotonic() - self._began
        to_run = self._total - self._ended_before
        # A trial that is promoted first had ended before.
        ended = max(self._state.ended - self._ended_before, 0)
        share = ended / to_run if to_run else 1.0
        by_trials = elapsed * (1 - share) / share if share else None
        if self._seconds is None:
            return by_trials
        by_estimate = max(self._seconds - elapsed, 0.0)
        return by_estimate if by_trials is None else (1 - share) * by_estimate + share * by_trials

    def _line(self, event: Event) -> str:
        if self._brief and _is_in_order(event):
            return ""
        if isinstance(event, ResetFailed):
            # A reset that always fails would print a line for each trial.
            if self._reset_failed:
                return ""
            self._reset_failed = True
        if isinstance(event, SlotsChanged):
            before, self._concurrent = self._concurrent, event.trials
            return event.line(self._state.objective.metric, before)
        return event.line(self._state.objective.metric)

    def _show_status(self) -> None:
        ended = self._state.ended
        if self._console.is_terminal:
            self._progress.update(self._task, description=self.status(), completed=ended)
            return
        each = math.ceil(self._total / STATUS_LINES)
        # A promoted trial ends again.
        if ended > self._most_ended and ended % each == 0:
            elapsed = duration(time.monotonic() - self._began)
            self._print(f"{ended} of {self._total} trials, {elapsed}; {self.status()}")
        self._most_ended = max(self._most_ended, ended)

    def _print_new_best(self) -> None:
        before, best = self._best, self._state.best
        objective = self._state.objective
        if best is None or (before and not objective.better(best.value, before.value)):
            return
        self._best = best
        # A leader that improves with every epoch would fill the screen.
        if before is None or before.trial is not best.trial:
            self._print(f"new best   {self._described(best)}")

    def _described(self, best: BestTrial) -> str:
        shown = spelled(best.trial.config_at(best.epoch), without=self._not_searched)
        metric = self._state.objective.metric
        value = f"{metric} {shown_value(best.value)}"
        return f"trial {best.trial.index}: {value} after epoch {best.epoch}" + (
            f" ({shown})" if shown else ""
        )

    def _print(self, line: str) -> None:
        self._console.print(one_line(line), soft_wrap=True, highlight=False, markup=False)


def _is_in_order(event: Event) -> bool:
    ended = isinstance(event, Ended) and event.status in ("finished", "stopped")
    return ended or isinstance(event, (Decision, Promoted, RungJudged))


def spelled(config: Mapping[str, Any], without: Collection[str] = ()) -> str:
    """Return a configuration as `learning_rate=0.01, batch_size=32`."""
    return ", ".join(f"{k}={short(v)}" for k, v in config.items() if k not in without)
