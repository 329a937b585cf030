"""The callback of Tune through which everything becomes known: journal first, then all who listen.

A result, the decision on it and the end of the trial are one write to the journal, so that a driver
that is killed never leaves a trial between them. A trial that has begun again, or has gone on from
an earlier checkpoint, has lost the epochs since: that is an event before it has them again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Protocol

from ray.tune import Callback
from ray.tune.experiment import Trial

from search_spaces.objective import Mode
from search_spaces.schedulers.pbt import Exploit
from search_spaces.schedulers.rungs import Decision, Promotion
from tune_cluster.execution.controls import stopped_dirname
from tune_cluster.execution.ray_tune.searcher import dirname_of
from tune_cluster.storage.checkpoints import NoRoomError, TrialCheckpoints
from tune_cluster.storage.quota import Budget
from tune_cluster.storage.retry import StorageLostError, StorageRetry
from tune_cluster.storage.store import Store
from tune_cluster.study.journal import Epoch, Event, Journal, TrialRecord
from tune_cluster.trial import lost_process
from tune_cluster.trial.report import Retry, TrialReport


class Listener(Protocol):
    """Who wants to know: the curves, the terminal."""

    def on_event(self, event: Event, trial: TrialRecord) -> None:
        """Called after `event` was written; `trial` has it already."""

    def close(self) -> None:
        """The study has ended."""


class Recorder(Callback):
    """Writes what happens to the journal and tells the listeners.

    Args:
        journal: gives the open one.
        trials: all trials of the study by index, kept up to date here.
        checkpoints: the place of all trials' checkpoints.
        mode: of the metric.
        on_failure: told the index of a trial that diverged or failed by its configuration, and the
            epoch.
        alone: whether trials run one at a time.
        is_control: whether the trial of that index is finished later if a rung stops it.
        retry: of the storage.
        budget: bytes of checkpoints, divided; None without a limit.
    """

    def __init__(
        self,
        journal: Callable[[], Journal],
        trials: dict[int, TrialRecord],
        checkpoints: Store,
        mode: Mode,
        listeners: Sequence[Listener],
        on_failure: Callable[[int, Epoch], None],
        alone: bool,
        is_control: Callable[[int], bool],
        retry: StorageRetry,
        budget: Budget | None,
    ) -> None:
        self.trials = trials
        self._journal = journal
        self._place = checkpoints
        self._mode = mode
        self._listeners = listeners
        self._on_failure = on_failure
        self._alone = alone
        self._is_control = is_control
        self._retry = retry
        self._budget = budget
        self._decision: Decision | None = None
        self._waiting: set[int] = set()
        self._replaced: set[int] = set()
        self._unsaved: set[int] = set()
        self._left_out: set[str] = set()
        self._losses: dict[int, Exception] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its callbacks, and the journal is where our state is."""
        return {}

    def on_decision(self, decision: Decision) -> None:
        """Keeps a rung's decision until the result that it is about is written, in the same step
        of Tune's controller."""
        self._decision = decision

    def on_wait(self, index: int) -> None:
        """A population's member waits: when it is started again it only goes on."""
        self._waiting.add(index)

    def on_promotion(self, promotion: Promotion) -> None:
        """A trial that was stopped goes on: when it is started again it only goes on."""
        index = int(promotion.trial)
        self._waiting.add(index)
        self._write(index, {"event": "promoted", **asdict(promotion)})

    def on_share(self, trial: Trial, gpus: Sequence[float], retried: Sequence[Retry]) -> None:
        """A trial ran out of memory on its share of a GPU, the first of `gpus`: it starts again
        with the second. `retried` as it reports it."""
        index = index_of(trial)
        self._waiting.discard(index)
        epoch = self._next_epoch(self.trials[index]) - 1
        share = {"event": "share", "trial": index, "epoch": epoch, "gpus": [*gpus]}
        self._write(index, *_retries(trial, retried), share)

    def on_replaced_process(self, trial: Trial, reason: str) -> None:
        """A trial that was started is so again, since the process was of no use: its reset failed
        for that reason, or, without one, it is on a node that is no good."""
        index = index_of(trial)
        self._replaced.add(index)
        if reason:
            self._write(index, {"event": "reset_failed", "trial": index, "reason": reason})

    def on_exploit(self, exploit: Exploit) -> bool:
        """Hands a waiting member the checkpoint of its donor, which waits as well, and writes it
        down; False, and why, where it cannot be had."""
        donor, index = int(exploit.donor), int(exploit.trial)
        try:
            # What is away looks like nothing.
            self._retry.wait()
            found = self._checkpoints(donor).of_epoch(exploit.epoch)
            if found is None:
                raise ValueError(f"its checkpoint of epoch {exploit.epoch} cannot be read")
            self._checkpoints(index).adopt(found, donor)
        except (OSError, ValueError, NoRoomError) as error:
            told = {"trial": index, "epoch": exploit.epoch, "donor": donor, "reason": str(error)}
            self._write(index, {"event": "not_exploited", **told})
            return False
        self._write(index, {"event": "exploited", **asdict(exploit)})
        return True

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Writes `suggested` trials down as running."""
        index = index_of(trial)
        if index in self._replaced:
            self._replaced.discard(index)
            return
        if runs_as_control(trial):
            self._write(index, {"event": "control_started", "trial": index})
            return
        self._record(trial)
        if index not in self._waiting:
            self._write(index, {"event": "started", "trial": index})

    def on_trial_result(
        self,
        iteration: int,
        trials: list[Trial],
        trial: Trial,
        result: dict[str, Any],
        **info: Any,
    ) -> None:
        """Writes what became known by a result: restored, result, checkpoint, decision, ended."""
        index, report = index_of(trial), TrialReport.from_result(result)
        epoch = report.epoch
        if report.fresh_process is not None:
            return
        events = _retries(trial, report.retried)
        if runs_as_control(trial):
            events += self._control_events(index, report, result.get("done"))
            self._write(index, *events)
            return
        decision, self._decision = self._decision, None
        known = self.trials[index].epochs
        restored = report.restored
        if restored is not None:
            as_it_stood = restored.epoch == known and not restored.unreadable
            if index not in self._waiting or not as_it_stood:
                events.append({"event": "restored", "trial": index, **asdict(restored)})
            self._waiting.discard(index)
        if report.first:
            self._waiting.discard(index)
        if report.first and epoch <= known:
            lost = {"event": "epochs_lost", "trial": index, "first": epoch, "last": known}
            if report.ignored_checkpoint is not None:
                lost["unread"] = report.ignored_checkpoint
            events.append(lost)
        if report.left_out.keys() - self._left_out:
            self._left_out.update(report.left_out)
            events.append({"event": "left_out", "trial": index, "metrics": {**report.left_out}})
        if report.metrics and (report.first or epoch > known):
            events.append({"event": "result", "trial": index, **_result(report)})
        if report.checkpoint is not None:
            path = f"{self._place.name}/{trial.custom_dirname}/{report.checkpoint}"
            events.append({"event": "checkpoint", "trial": index, "epoch": epoch, "path": path})
        if report.unsaved is not None and index not in self._unsaved:
            self._unsaved.add(index)
            sizes = asdict(report.unsaved)
            events.append({"event": "unsaved", "trial": index, "epoch": epoch, **sizes})
        if decision is not None:
            events.append({"event": "decision", **asdict(decision)})
        if result.get("done"):
            rung = decision.rung if decision is not None and decision.stop else None
            events.append(ended(index, report, rung, self._is_control(index)))
        self._write(index, *events)

    def _control_events(self, index: int, report: TrialReport, done: bool | None) -> list[Event]:
        trial = self.trials[index]
        events: list[Event] = []
        if report.restored is not None:
            restored = {"control": True, **asdict(report.restored)}
            events.append({"event": "restored", "trial": index, **restored})
        if report.metrics and report.epoch > max(trial.control_results, default=trial.epochs):
            events.append({"event": "control", "trial": index, **_result(report)})
        if done:
            events.append({**ended(index, report), "event": "control_ended"})
        return events

    def on_loss(self, trial: Trial, error: Exception) -> Epoch:
        """Keeps why its process was lost until one of the following, in the same step; the epoch
        that was under way."""
        self._losses[index_of(trial)] = error
        return self._next_epoch(self._record(trial))

    def on_trial_recover(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Its process was lost: what it does now is no mere going on."""
        index = index_of(trial)
        self._waiting.discard(index)
        epoch = self._next_epoch(self._record(trial))
        loss = lost_process.told(self._losses.pop(index))
        (retried,) = _retries(trial, [Retry(epoch, loss["reason"])])
        self._write(index, {**retried, **loss, "lost": True})

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """The process of the trial was lost, more often than it may be started again."""
        index = index_of(trial)
        loss = lost_process.told(self._losses.pop(index), failed=True)
        epoch = self._next_epoch(self._record(trial))
        # Beside others it may have been the machine's memory.
        report = TrialReport(
            epoch=epoch,
            status="failed",
            reason=loss["reason"],
            traceback=loss["traceback"],
            infrastructure_failure=not self._alone,
        )
        event = ended(index, report)
        self._write(index, {**event, "event": "control_ended"} if runs_as_control(trial) else event)

    def _record(self, trial: Trial) -> TrialRecord:
        """What is known of a trial, from its start on or from the loss of the process that was to
        start it."""
        index = index_of(trial)
        return self.trials.setdefault(index, TrialRecord(index, dict(trial.config)))

    @staticmethod
    def _next_epoch(known: TrialRecord) -> Epoch:
        return max(known.control_results, default=known.epochs) + 1

    def _write(self, index: int, *events: Event) -> None:
        trial = self.trials[index]
        for event in self._journal().append(*events):
            trial.apply(event)
            if blamed(event):
                self._on_failure(index, event["epoch"])
            for listener in self._listeners:
                # Curves that it has no storage for are completed by the next session.
                with suppress(StorageLostError):
                    listener.on_event(event, trial)

    def _checkpoints(self, index: int) -> TrialCheckpoints:
        allowance = None if self._budget is None else self._budget.per_trial
        place = self._place / dirname_of(index)
        return TrialCheckpoints(place, self._mode, self._retry, allowance)


def _retries(trial: Trial, retried: Sequence[Retry]) -> list[Event]:
    control = {"control": True} if runs_as_control(trial) else {}
    of_trial = {"event": "retried", "trial": index_of(trial), **control}
    return [{**of_trial, **asdict(retry)} for retry in retried]


def _result(report: TrialReport) -> dict[str, Any]:
    result = {"epoch": report.epoch, "node": report.node, "metrics": {**report.metrics}}
    return {**result, "step_losses": report.step_losses} if report.step_losses else result


def ended(
    index: int, report: TrialReport, rung: int | None = None, is_control: bool = False
) -> Event:
    """The event of a trial's end, with what became of it, and the rung that stopped it."""
    event: Event = {"event": "ended", "trial": index, "epoch": report.epoch}
    if report.status is not None:
        event["status"] = report.status
        told = {
            **{"reason": report.reason, "blameless": report.infrastructure_failure},
            **{"traceback": report.traceback, "log": report.log},
        }
        event.update({name: value for name, value in told.items() if value})
    elif rung is not None:
        event.update(status="stopped", rung=rung)
        if is_control:
            event["control"] = True
    else:
        event["status"] = "finished"
    return event


def blamed(event: Event) -> bool:
    """Whether an event is the end of a trial that its configuration is to blame for."""
    return (
        event["event"] == "ended"
        and event["status"] in ("diverged", "failed")
        and not event.get("blameless", False)
    )


def index_of(trial: Trial) -> int:
    """The index of a trial of Tune, which its directory is named after."""
    return int(stopped_dirname(trial.custom_dirname) or trial.custom_dirname)


def runs_as_control(trial: Trial) -> bool:
    """Whether a trial of Tune is one that a rung had stopped, finished now."""
    return stopped_dirname(trial.custom_dirname) is not None
