"""What a person sees while a study runs: a line an event, and on a terminal the status under it.

In a pipe or a file there are plain lines only, with the status among them.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)

from search_spaces.mode import sign_of
from search_spaces.values import short
from tune_cluster.plain_text import one_line
from tune_cluster.study.journal import Event, TrialRecord, best_trial

STATUS_LINES = 10
"""Lines of status in a file, over a whole study."""


class Terminal:
    """Prints the events and keeps the live status.

    Args:
        console: of rich; on a terminal it has a live status.
        trials: all trials of the study by index, kept up to date by the recorder.
        total: trials that the study shall have.
        fixed: what is not searched for, and the plan has told.
        seconds: expected for what is still to be run, or None.
    """

    def __init__(
        self,
        console: Console,
        trials: Mapping[int, TrialRecord],
        *,
        total: int,
        metric: str,
        mode: str,
        fixed: Collection[str] = (),
        seconds: float | None = None,
    ) -> None:
        self._console = console
        self._trials = trials
        self._total = total
        self._metric = metric
        self._mode = mode
        self._fixed = fixed
        self._seconds = seconds
        self._began = time.monotonic()
        self._best = best_trial(trials.values(), metric, mode)
        self._ended_before = self._ended()
        self._most_ended = self._ended_before
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
        self._progress.start()

    def on_event(self, event: Event, trial: TrialRecord) -> None:
        """Prints what a person wants to know of it, if anything."""
        line = describe(event, self._metric)
        if event["event"] == "control_ended":
            line = describe_control(event, trial, self._metric, self._mode)
        if event["event"] == "reset_failed":
            # A reset that always fails would have a line a trial.
            line, self._reset_failed = line * (not self._reset_failed), True
        if line:
            self.say(line)
        if event["event"] == "result":
            self._note_best(trial)
        elif event["event"] == "epochs_lost":
            self._best = best_trial(self._trials.values(), self._metric, self._mode)
        if self._console.is_terminal:
            self._progress.update(self._task, description=self.status(), completed=self._ended())
            return
        each = math.ceil(self._total / STATUS_LINES)
        # Who is promoted ends again.
        if self._ended() > self._most_ended and self._ended() % each == 0:
            elapsed = duration(time.monotonic() - self._began)
            self.say(f"{self._ended()} of {self._total} trials, {elapsed}; {self.status()}")
        self._most_ended = max(self._most_ended, self._ended())

    def status(self) -> str:
        """Trials by status, the best so far, and the time that remains."""
        counts = Counter(trial.status for trial in self._trials.values())
        parts = [f"{count} {status}" for status, count in sorted(counts.items()) if count]
        if self._best is not None:
            trial, _, value = self._best
            parts.append(f"best {value:.4f} (trial {trial.index})")
        controls = [trial for trial in self._trials.values() if trial.control is not None]
        if controls:
            left = sum(trial.control_left for trial in controls)
            parts.append(f"{len(controls) - left} of {len(controls)} controls")
        remaining = self.remaining()
        if remaining is not None:
            parts.append(f"{duration(remaining)} left")
        return " · ".join(parts)

    def remaining(self) -> float | None:
        """Seconds that are left: by the estimate at first, by the trials that ended later on; None
        once only controls are left."""
        controls_left = any(trial.control_left for trial in self._trials.values())
        if controls_left and self._ended() >= self._total:
            return None
        elapsed = time.monotonic() - self._began
        to_run = self._total - self._ended_before
        # Who is promoted first had ended before.
        ended = max(self._ended() - self._ended_before, 0)
        share = ended / to_run if to_run else 1.0
        by_trials = elapsed * (1 - share) / share if share else None
        if self._seconds is None:
            return by_trials
        by_estimate = max(self._seconds - elapsed, 0.0)
        return by_estimate if by_trials is None else (1 - share) * by_estimate + share * by_trials

    def close(self) -> None:
        """Takes the live status off the screen."""
        self._progress.stop()

    def _ended(self) -> int:
        return sum(trial.ended for trial in self._trials.values())

    def _note_best(self, trial: TrialRecord) -> None:
        found = trial.best(self._metric, self._mode)
        if found is None:
            return
        if self._best is not None and sign_of(self._mode) * (found[1] - self._best[2]) <= 0:
            return
        leader = None if self._best is None else self._best[0]
        self._best = (trial, *found)
        # A leader that gets better with every epoch would fill the screen.
        if leader is not trial:
            shown = spelled(trial.config_at(found[0]), without=self._fixed)
            self.say(
                f"new best   trial {trial.index}: {self._metric} {found[1]:.4f} after epoch "
                f"{found[0]}{f' ({shown})' * bool(shown)}"
            )

    def say(self, line: str) -> None:
        """Prints a line above the live status."""
        self._console.print(one_line(line), soft_wrap=True, highlight=False, markup=False)


def spelled(config: Mapping[str, Any], without: Collection[str] = ()) -> str:
    """`learning_rate=0.01, batch_size=32`."""
    return ", ".join(f"{k}={short(v)}" for k, v in config.items() if k not in without)


def describe(event: Event, metric: str) -> str:
    """One line for an event that a person wants to know of, else nothing."""
    name = f"trial {event['trial']}"
    if event["event"] == "decision" and event["stop"]:
        cutoff = "no cut-off yet" if event["cutoff"] is None else f"cut-off {event['cutoff']:.4f}"
        return (
            f"stopped    {name} at rung {event['rung']}: {metric} {event['value']:.4f}, "
            f"{cutoff}, rank {event['rank']} of {event['of']}"
        )
    if event["event"] == "share":
        before, after = event["gpus"]
        return (
            f"share      {name} is out of the memory of {before:g} GPU after epoch "
            f"{event['epoch']}: goes on with {after:g}"
        )
    if event["event"] == "promoted":
        return (
            f"promoted   {name} from rung {event['rung']}: {metric} {event['value']:.4f}, now rank "
            f"{event['rank']} of {event['of']}"
        )
    if event["event"] == "exploited":
        changes = "".join(
            f", {key} {short(before)} -> {short(after)}"
            for key, (before, after) in event["changes"].items()
            if key != "seed"
        )
        return (
            f"exploited  {name} ({metric} {event['value']:.4f}) after epoch {event['epoch']}: "
            f"weights of trial {event['donor']} ({event['donor_value']:.4f}){changes}"
        )
    if event["event"] == "not_exploited":
        return (
            f"kept       {name} after epoch {event['epoch']}: its own weights, those of trial "
            f"{event['donor']} could not be had: {event['reason']}"
        )
    if event["event"] == "ended" and event["status"] in ("diverged", "failed"):
        return f"{event['status']:<10} {name} in epoch {event['epoch']}: {event['reason']}"
    if event["event"] == "ended" and event["status"] == "finished":
        return f"finished   {name} after epoch {event['epoch']}"
    if event["event"] == "retried":
        return f"retried    {name} in epoch {event['epoch']}: {event['reason']}"
    if event["event"] == "reset_failed":
        return (
            f"not reset  the used process that {name} was given: {event['reason']}; it starts in a "
            "fresh one, which takes seconds (told once; journal.jsonl has each)"
        )
    if event["event"] == "unsaved":
        needed, allowed = decimal(event["needed"]), decimal(event["allowed"])
        return (
            f"unsaved    {name} after epoch {event['epoch']}: its checkpoint of {needed} does not "
            f"fit beside a better one into the {allowed} that --checkpoint-budget leaves a trial: "
            "it keeps its best alone"
        )
    if event["event"] == "epochs_lost":
        return f"lost       {name}: {lost_epochs(event)}"
    if event["event"] == "left_out":
        metrics = ", ".join(f"{metric} ({why})" for metric, why in event["metrics"].items())
        return f"left out   of the reports of {name}, since it is no number (told once): {metrics}"
    if event["event"] == "restored" and event["epoch"] == 0:
        return f"unreadable {name}: {', '.join(event['unreadable'])}; it begins again"
    if event["event"] == "restored" and (event["unreadable"] or not event.get("control")):
        unreadable = ", ".join(event["unreadable"])
        note = f"; unreadable: {unreadable}" if unreadable else ""
        return f"restored   {name} at epoch {event['epoch']}{note}"
    return ""


def lost_epochs(event: Event) -> str:
    """Which epochs a trial has lost, and why."""
    first, last = event["first"], event["last"]
    which = f"epoch {first}" if first == last else f"epochs {first} to {last}"
    if "unread" in event:
        why = (
            f"it began again: it has not asked tune.get_checkpoint() for its checkpoint of epoch "
            f"{event['unread']}"
        )
    else:
        why = f"it is at epoch {first} once more"
    return f"{which} of before, not counted any more: {why}"


def describe_control(event: Event, trial: TrialRecord, metric: str, mode: str) -> str:
    """One line for the end of a control: what it was stopped with, and where it came to."""
    had = trial.best(metric, mode)
    all_of_it = TrialRecord(trial.index, {}, results={**trial.results, **trial.control_results})
    reached = all_of_it.best(metric, mode)
    told = f"control    trial {trial.index}, stopped at rung {trial.rung}"
    if had is not None and reached is not None:
        told += f": best {metric} {had[1]:.4f} then, {reached[1]:.4f} now (epoch {reached[0]})"
    if event["status"] in ("diverged", "failed"):
        told += f"; {event['status']} in epoch {event['epoch']}: {event['reason']}"
    return told


def duration(seconds: float) -> str:
    """`42 s`, `7 min 05 s` or `2 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
