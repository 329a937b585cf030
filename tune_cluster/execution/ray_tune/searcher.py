"""The searcher that Tune sees: it numbers the trials, writes them down, and takes up a study.

The strategy behind it never knows of the journal, and names a trial by its index. On resume it is
told what happened, in the order in which it happened; trials that have not ended are handed to Tune
again, with their own index and configuration, before any new one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.search import Searcher

from search_spaces.mode import sign_of
from search_spaces.searchers.strategy import Strategy
from search_spaces.trial_events import Ended, Event, Promoted, Result, Suggested
from tune_cluster.execution.controls import control_dirname
from tune_cluster.study.state import TrialState
from tune_cluster.trial.metrics import BAD_VALUE
from tune_cluster.trial.report import TrialReport


class JournaledSearcher(Searcher):
    """Wraps `strategy`; suggests until the study has `trials`.

    A trial that diverged or failed is told as an error, with the worst value that any trial had (a
    stand-in, `BAD_VALUE`, before any), which is finite. One that its configuration is not to blame
    for is told without a result.

    Args:
        strategy: any searcher of ours.
        emit: told each suggestion, before its trial is run.
        events: of earlier sessions.
        recorded: the trials after `events` by index, ended or not; kept up to date by what `emit`
            is told.
        trials: how many the study shall have in all.
        seed: of a trial by its index, where the trainable has it in its configuration; else None.
        metric, mode: of the study.
        alone: whether trials run one at a time.
        audited: whether trials that are stopped may have to be finished later, as controls.
        later: whether to suggest nothing for now; asked every time.
        width: how many trials may live at once, asked every time; None where Tune's own limit
            holds, which it fixes when the study begins.
        promote: gives the index of a trial that was stopped and goes on after all, if there is
            one; asked before a new trial begins. None where rungs stop for good.
    """

    def __init__(
        self,
        strategy: Strategy,
        *,
        emit: Callable[[Event], None],
        events: Sequence[Event],
        recorded: Mapping[int, TrialState],
        trials: int,
        seed: Callable[[int], int | None],
        metric: str,
        mode: str,
        alone: bool,
        audited: bool = False,
        later: Callable[[], bool] = lambda: False,
        width: Callable[[], int] | None = None,
        promote: Callable[[], int | None] | None = None,
    ) -> None:
        super().__init__(metric=metric, mode=mode)
        self.strategy = strategy
        self.indices: dict[str, int] = {}
        """By Tune's trial id, which is random, the index that everything else goes by."""
        self._controls: set[str] = set()
        self._emit = emit
        self._recorded = recorded
        self._audited = audited
        self._running: set[str] = set()
        self._trials = trials
        self._seed = seed
        self._alone = alone
        self._later = later
        self._width = width
        self._live: set[str] = set()
        self._promote = promote
        self._worst: float | None = None
        self._unfinished = [record for record in recorded.values() if not record.ended]
        self._next_index = len(recorded)
        strategy.set_search_properties(metric, mode, {})
        # By trial, the last result that is known so far, and whether the strategy is: one that a
        # trial ended with is told with its end, as Tune does.
        last: dict[int, Result] = {}
        ended_with = results_ended_with(events)
        for number, event in enumerate(events):
            self._replay(event, last, told_with_end=number in ended_with)

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """Metric and mode are known."""
        return True

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        """Whether the limit is kept here."""
        return self._width is not None

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """An unfinished trial of an earlier session, else one that is promoted, else the next of
        the strategy, else a control; nothing for now while there may be one yet."""
        if self._width is not None and len(self._live) >= self._width():
            return None
        suggested = None if self._later() else self._next(trial_id)
        if isinstance(suggested, dict):
            self._live.add(trial_id)
        return suggested

    def _next(self, trial_id: str) -> dict[str, Any] | str | None:
        if self._unfinished:
            return self._go_on(trial_id, self._unfinished.pop(0))
        promoted = None if self._promote is None else self._promote()
        if promoted is not None:
            self.strategy.promoted(str(promoted))
            return self._go_on(trial_id, self._recorded[promoted])
        if self._next_index >= self._trials:
            return self._suggest_control(trial_id)
        suggested = self.strategy.suggest(str(self._next_index))
        if isinstance(suggested, str):
            return self._suggest_control(trial_id)
        index, self._next_index = self._next_index, self._next_index + 1
        self.indices[trial_id] = index
        self._running.add(trial_id)
        seed = self._seed(index)
        config = suggested if seed is None else {"seed": seed, **suggested}
        self._emit(Suggested(trial=index, config=config))
        return config

    def _go_on(self, trial_id: str, record: TrialState) -> dict[str, Any]:
        self.indices[trial_id] = record.index
        self._running.add(trial_id)
        return self.strategy.space.restored(record.config)

    def _suggest_control(self, trial_id: str) -> dict[str, Any] | str | None:
        if self._promote is not None and self._running:
            # Who still runs may bring another one among the best, be it one that is a control.
            return None
        handed_out = {self.indices[known] for known in self._controls}
        for trial in self._recorded.values():
            if trial.control_left and trial.index not in handed_out:
                self._controls.add(trial_id)
                self.indices[trial_id] = trial.index
                return self.strategy.space.restored(trial.config)
        # Tune never asks again after FINISHED, and who still runs may be condemned.
        return None if self._audited and self._running else str(Searcher.FINISHED)

    def dirname(self, trial_id: str) -> str:
        """The name of the directory of a trial of Tune."""
        index = self.indices[trial_id]
        return control_dirname(index) if trial_id in self._controls else dirname_of(index)

    def dirname_creator(self) -> Callable[[Trial], str]:
        """Names the directory of a trial of Tune."""
        # Tune copies what it is given deeply: a function keeps its cell, a method would lose self.
        # It also pickles it with every trial: a searcher pickles as nothing, its indices would not.
        return lambda trial: self.dirname(trial.trial_id)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Tells the strategy a value on the way."""
        if trial_id in self._controls or TrialReport.from_result(result).fresh_process is not None:
            return
        self._tell_result(self.indices[trial_id], result)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tells the strategy an end."""
        self._live.discard(trial_id)
        if trial_id in self._controls:
            return
        self._running.discard(trial_id)
        index = self.indices[trial_id]
        if result is None:
            # Its process was lost: beside others it may have been the machine's memory.
            self._tell_failure(index, blamed=self._alone)
            return
        report = TrialReport.from_result(result)
        if report.status in ("diverged", "failed"):
            self._tell_failure(index, blamed=not report.infrastructure_failure)
        else:
            self._note(result)
            self.strategy.on_trial_complete(str(index), result)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its searcher, and the journal is where our state is."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing, for the same reason."""

    def _replay(self, event: Event, last: dict[int, Result], *, told_with_end: bool) -> None:
        if isinstance(event, Suggested):
            self.strategy.recorded(str(event.trial), event.config)
        elif isinstance(event, Result):
            last[event.trial] = event
            if not told_with_end:
                self._tell_result(event.trial, metrics_and_epoch(event))
        elif isinstance(event, Ended):
            if event.failed:
                self._tell_failure(event.trial, blamed=event.blamed)
            else:
                result = metrics_and_epoch(last[event.trial])
                self._note(result)
                self.strategy.on_trial_complete(str(event.trial), result)
        elif isinstance(event, Promoted):
            self.strategy.promoted(str(event.trial))

    def _tell_result(self, index: int, result: dict[str, Any]) -> None:
        self._note(result)
        self.strategy.on_trial_result(str(index), result)

    def _tell_failure(self, index: int, *, blamed: bool) -> None:
        if not blamed:
            self.strategy.on_trial_complete(str(index))
            return
        worst = -sign_of(self.mode) * BAD_VALUE if self._worst is None else self._worst
        self.strategy.on_trial_complete(str(index), {str(self.metric): worst}, error=True)

    def _note(self, result: Mapping[str, Any]) -> None:
        value = float(result[str(self.metric)])
        worse = min if self.mode == "max" else max
        if math.isfinite(value):
            self._worst = value if self._worst is None else worse(value, self._worst)


def results_ended_with(events: Sequence[Event]) -> set[int]:
    """The places in `events` of the results that trials ended with, stopped or by themselves."""
    last: dict[int, int] = {}
    found = set()
    for number, event in enumerate(events):
        if isinstance(event, Result):
            last[event.trial] = number
        elif isinstance(event, Ended) and not event.failed:
            found.add(last.get(event.trial, -1))
    return found


def metrics_and_epoch(event: Result) -> dict[str, Any]:
    """A result as Tune tells it."""
    return {**event.metrics, "epoch": event.epoch}


def dirname_of(index: int) -> str:
    """The name of a trial's directory, such as `0012`: they sort as the trials began."""
    return f"{index:04d}"
