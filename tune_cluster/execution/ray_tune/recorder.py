"""Translation of Tune's callbacks to the events of the study.

A result, the decision on it and the end of the trial are emitted together, so that a killed driver
never leaves a trial between them. A trial that has restarted, or has resumed from an earlier
checkpoint, has lost the epochs since: an event reports that before they are repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ray.tune import Callback, ProgressReporter, Stopper
from ray.tune.experiment import Trial

from search_spaces.schedulers.base import StudyScheduler, index_of
from search_spaces.searchers.base import StudySearcher
from search_spaces.trial_events import (
    Ended,
    Epoch,
    EpochsLost,
    Event,
    Exploited,
    NotExploited,
    Promoted,
    Result,
)
from tune_cluster.callbacks.stopping import StudyStopper
from tune_cluster.execution.process_losses import reason_of, text_of
from tune_cluster.execution.ray_tune.stop_conditions import StopConditions
from tune_cluster.storage.checkpoints import NoRoomError, TrialCheckpoints, dirname_of
from tune_cluster.storage.quota import Quota
from tune_cluster.storage.retry import StorageRetry
from tune_cluster.storage.store import Store
from tune_cluster.study.events import (
    Interim,
    LeftOut,
    ResetFailed,
    Restored,
    Retried,
    SavedCheckpoint,
    Share,
    Started,
    Unsaved,
)
from tune_cluster.study.state import StudyState
from tune_cluster.trial.messages import Retry, TrialReport


class NoReports(ProgressReporter):
    """Takes the place of Tune's own reporter, which clears the cell of a notebook as it begins."""

    def should_report(self, *trials: Any, **info: Any) -> bool:
        """Return False: the study shows its own lines."""
        return False


@dataclass(eq=False)
class Recorder(Callback):
    """The callback of Tune that emits the events of trials."""

    emit: Callable[..., None]
    """Called with events, to write them and pass them on."""
    state: StudyState
    checkpoints: Store
    """Store of the checkpoints of all trials."""
    scheduler: StudyScheduler
    """Scheduler, asked for its decisions in each step of Tune."""
    searcher: StudySearcher
    """Searcher, asked for its decisions too."""
    conditions: StopConditions
    """Stop conditions, asked for the reason of an end."""
    sequential: bool
    """Whether trials run one at a time."""
    retry: StorageRetry
    quota: Quota | None
    """Quota of checkpoints, divided; None without one."""

    def __post_init__(self) -> None:
        self._waiting: set[int] = set()
        self._replaced: set[int] = set()
        self._unsaved: set[int] = set()
        self._left_out: set[str] = set()
        self._losses: dict[int, Exception] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Return no state: Tune pickles its callbacks, and the journal has our state."""
        return {}

    def on_wait(self, index: int) -> None:
        """Note that a trial waits: its next start is a continuation."""
        self._waiting.add(index)

    def on_promotion(self, promoted: Promoted) -> None:
        """Emit a promotion: the next start of the trial is a continuation."""
        self._waiting.add(promoted.trial)
        self.emit(promoted)

    def on_share(self, trial: Trial, gpus: Sequence[float], retried: Sequence[Retry]) -> None:
        """Emit that a trial ran out of memory on its share of a GPU, the first of `gpus`, and
        restarts with the second. `retried` as it reports it."""
        index = index_of(trial)
        self._waiting.discard(index)
        epoch = self.state.trials[index].epochs
        self.emit(*_retries(trial, retried), Share(trial=index, epoch=epoch, gpus=[*gpus]))

    def on_replaced_process(self, trial: Trial, reason: str) -> None:
        """Note that a started trial is restarted, since its process was unusable: its reset failed
        for that reason, or, without one, it is on an unsuitable node."""
        index = index_of(trial)
        self._replaced.add(index)
        if reason:
            self.emit(ResetFailed(trial=index, reason=reason))

    def on_exploit(self, exploit: Exploited) -> None:
        """Give a waiting member the checkpoint of its donor, which waits as well, or emit why that
        is not available."""
        donor, index = exploit.donor, exploit.trial
        try:
            # Absent storage looks empty.
            self.retry.wait()
            found = self._checkpoints_of(donor).of_epoch(exploit.epoch)
            if found is None:
                raise ValueError(f"its checkpoint of epoch {exploit.epoch} cannot be read")
            self._checkpoints_of(index).adopt(found, donor)
        except (OSError, ValueError, NoRoomError) as error:
            self.emit(
                NotExploited(trial=index, epoch=exploit.epoch, donor=donor, reason=str(error))
            )
        else:
            self.emit(exploit)

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Emit that a trial has started, unless it only continues."""
        index = index_of(trial)
        if index in self._replaced:
            self._replaced.discard(index)
        elif index not in self._waiting:
            self.emit(Started(trial=index))

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """Emit the events of a result: restored, result, checkpoint, decision, ended."""
        index, report = index_of(trial), TrialReport.from_result(result)
        epoch = report.epoch
        if report.fresh_process is not None:
            return
        events: list[Event] = [*_retries(trial, report.retried)]
        decided = self.scheduler.take_events()
        known = self.state.trials[index].epochs
        restored = report.restored
        if restored is not None:
            as_it_stood = restored.epoch == known and not restored.unreadable
            if index not in self._waiting or not as_it_stood:
                unreadable = [*restored.unreadable]
                events.append(Restored(trial=index, epoch=restored.epoch, unreadable=unreadable))
            self._waiting.discard(index)
        if report.first:
            self._waiting.discard(index)
        if report.first and epoch <= known:
            unread = report.ignored_checkpoint
            events.append(EpochsLost(trial=index, first=epoch, last=known, unread=unread))
        if report.left_out.keys() - self._left_out:
            self._left_out.update(report.left_out)
            events.append(LeftOut(trial=index, metrics={**report.left_out}))
        events += [
            Interim(trial=index, epoch=interim.epoch, metrics={**interim.metrics})
            for interim in report.interim
            if report.first or interim.epoch > known
        ]
        if report.metrics and (report.first or epoch > known):
            events.append(
                Result(
                    trial=index,
                    epoch=epoch,
                    node=report.node,
                    metrics={**report.metrics},
                    step_losses=[[*pair] for pair in report.step_losses] or None,
                    step_scores={
                        name: [[*pair] for pair in pairs]
                        for name, pairs in report.step_scores.items()
                    }
                    or None,
                )
            )
        if report.checkpoint is not None:
            path = f"{self.checkpoints.name}/{trial.custom_dirname}/{report.checkpoint}"
            events.append(SavedCheckpoint(trial=index, epoch=epoch, path=path))
        if report.unsaved is not None and index not in self._unsaved:
            self._unsaved.add(index)
            events.append(Unsaved(trial=index, epoch=epoch, **asdict(report.unsaved)))
        events += decided
        ended = any(isinstance(event, Ended) and event.trial == index for event in decided)
        if result.get("done") and not ended:
            why = self.conditions.take_reason(index)
            events.append(Ended(trial=index, **{**_end(report), "reason": report.reason or why}))
        self.emit(*events)

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Emit the other decisions of scheduler and searcher in this step."""
        decided = [*self.scheduler.take_events(), *self.searcher.take_events()]
        if decided:
            self.emit(*decided)

    def on_loss(self, trial: Trial, error: Exception) -> Epoch:
        """Store the cause of a lost process until one of the following calls, in the same step;
        return the epoch in progress."""
        index = index_of(trial)
        self._losses[index] = error
        return self._epoch_under_way(index)

    def on_trial_recover(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Emit the retry of a trial whose process was lost: its next start is no continuation."""
        index = index_of(trial)
        self._waiting.discard(index)
        error = self._losses.pop(index)
        self.emit(
            Retried(
                trial=index,
                epoch=self._epoch_under_way(index),
                reason=reason_of(error),
                traceback=text_of(error),
                lost=True,
            )
        )

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Emit the failure of a trial whose process was lost too often."""
        index = index_of(trial)
        error = self._losses.pop(index)
        report = TrialReport(
            epoch=self._epoch_under_way(index),
            status="failed",
            reason=reason_of(error, failed=True),
            traceback=text_of(error),
            # Beside other trials the machine's memory may be the cause.
            infrastructure_failure=not self.sequential,
        )
        self.emit(Ended(trial=index, **_end(report)))

    def _epoch_under_way(self, index: int) -> Epoch:
        return self.state.trials[index].epochs + 1

    def _checkpoints_of(self, index: int) -> TrialCheckpoints:
        allowance = None if self.quota is None else self.quota.per_trial
        store = self.checkpoints / dirname_of(index)
        return TrialCheckpoints(store, self.state.objective.mode, self.retry, allowance)


class TuneStopper(Stopper):
    """Asks Tune to end trials after `max_epochs` or by their stop conditions, and all trials when
    the study is to end.

    Args:
        stopper: of the study.
        conditions: of the study.
        max_epochs: epochs of a trial.
        index: index of a trial by Tune's id.
    """

    def __init__(
        self,
        stopper: StudyStopper,
        conditions: StopConditions,
        max_epochs: int,
        index: Callable[[str], int],
    ) -> None:
        self._stopper = stopper
        self._conditions = conditions
        self._max_epochs = max_epochs
        self._index = index

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Return whether a trial has trained all its epochs, or a condition ends it."""
        stopped = self._conditions.stops(self._index(trial_id), result)
        return stopped or bool(result["epoch"] >= self._max_epochs)

    def stop_all(self) -> bool:
        """Return whether the study is to end; Tune calls it after every step."""
        return self._stopper.stops() or self._conditions.end_study()

    def __getstate__(self) -> dict[str, Any]:
        """Return no state: Tune pickles it beside its own state, which is never read."""
        return {}


def _retries(trial: Trial, retried: Sequence[Retry]) -> list[Retried]:
    index = index_of(trial)
    return [Retried(trial=index, **asdict(retry)) for retry in retried]


def _end(report: TrialReport) -> dict[str, Any]:
    """Return the fields of the event of an end that no rung has decided."""
    return {
        "epoch": report.epoch,
        "status": report.status or "finished",
        "reason": report.reason,
        "blameless": report.infrastructure_failure,
        "traceback": report.traceback,
        "log": report.log,
    }
