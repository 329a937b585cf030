"""Runs one trial in its process, with any trainable, and reports to the driver.

It turns everything that would end or mislead a study into an orderly end of that one trial: an
exception, an exit, a missing metric, a value that is not finite, a repeated epoch. It writes a
checkpoint before it reports the epoch, so that every reported epoch can be resumed from, and it
resumes by itself, whether Tune restarts the trial (a node was lost) or the user resumes the study.
A trainable that cannot resume, or does not, restarts at epoch 1; its first report says so.
"""

from __future__ import annotations

import math
import reprlib
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from search_spaces.trial_events import Epochs
from tune_cluster.storage.checkpoints import (
    TRIAL_FILES,
    Checkpoint,
    NoRoomError,
    TrialCheckpoints,
)
from tune_cluster.storage.retry import StorageLostError, StorageRetry
from tune_cluster.storage.store import Store, scratch
from tune_cluster.trial.failures import (
    CommandFailedError,
    call_trainable,
    cause_of,
    device_lost,
    exited,
    exited_without_error,
    infrastructure_failure,
    out_of_gpu_memory,
    text_of,
)
from tune_cluster.trial.messages import (
    RETURNED,
    Assignment,
    FreshProcess,
    InterimReport,
    Restored,
    Retry,
    Trainable,
    TrialReport,
    TrialSettings,
    Unsaved,
)
from tune_cluster.trial.process import (
    TrialProcess,
    enter_directory,
    free_memory,
    limit_gpu_memory,
    offer_seed,
    offer_trial_directory,
    searched_directory,
    trial_seed,
)
from tune_cluster.trial.results import (
    STEP_LOSSES,
    STEP_SCORES,
    EpochCount,
    History,
    Number,
    metrics_of,
    numbers_of,
    unusable,
)

REPORTS_WITHOUT_METRIC = 10
"""Number of consecutive reports that may lack the study's metric, since a trainable may validate
rarely; with a misspelled metric a trial ends after these."""


@dataclass
class _Attempt:
    """One start of the trainable, at its beginning or from a checkpoint."""

    history: History
    count: EpochCount = field(default_factory=EpochCount)
    unreported: list[dict[str, Any]] = field(default_factory=list)
    """Results that came with the checkpoint, to be reported before training continues."""
    resumed: bool = False
    """Whether it got a checkpoint, which a function may ignore."""
    restored: Restored | None = None
    """Checkpoint that it was restored from, to be reported once."""
    overwrites: bool = False
    """Whether the trial has checkpoints, which a start from the beginning makes invalid."""
    last: dict[str, Any] = field(default_factory=dict)
    """Last reported result."""
    interim: list[InterimReport] = field(default_factory=list)
    """Reports since then, without the study's metric."""
    first: dict[str, Any] = field(default_factory=dict)
    """Fields of the next report on the attempt, if `interim` has its first report."""
    error: Exception | None = None
    """Error of the start, if any."""


class TrialRunner:
    """Runs one trial in a process, and reports after each step."""

    def __init__(
        self,
        assignment: Assignment,
        trainable: Trainable,
        settings: TrialSettings,
        process: TrialProcess,
    ) -> None:
        self._assignment, self._trainable = assignment, trainable
        self._settings, self._process = settings, process
        store = Store.at(settings.checkpoints)
        self._directory = store / assignment.directory
        notify = partial(process.notify, assignment.directory)
        self._retry = StorageRetry(store, notify, policy=settings.storage_retry)
        allowance = None if settings.quota is None else settings.quota.per_trial
        self._checkpoints = self._checkpoints_in(self._directory, allowance)
        self._origin = settings.origins.get(assignment.index)
        self._local_files: TemporaryDirectory[str] | None = None
        self._begun = False
        self._request: FreshProcess | None = None
        """Request that replaces every report if the process is unusable."""
        self._attempt = _Attempt(History(assignment.config))
        self._epoch: Epochs = 0
        """Last reported epoch."""
        self._retried: list[Retry] = []
        """Retries since the last report."""
        self._unsaved: Unsaved | None = None
        """Checkpoint that did not fit, since the last report."""
        self._left_out: set[str] = set()
        """Names that were reported as no numbers."""

    def begin(self) -> None:
        """Start the trainable; the first report does so if this was not called."""
        if self._begun:
            return
        self._begun = True
        self._process.log.begin(self._directory)
        offer_trial_directory(self._files())
        self._process.retries.reset()
        used, admission = self._assignment.used_process, self._settings.admission
        problems = [] if used or admission is None else admission()
        if problems:
            self._request = FreshProcess("node", node=self._process.node, problems=problems)
            return
        self._start(self._trainable.reset if used else self._trainable.setup)
        error = self._attempt.error
        if used and error is not None and not isinstance(error, StorageLostError):
            self._request = FreshProcess("reset", reason=self._print(error))

    def report(self) -> TrialReport:
        """Train one epoch and report it, or report the end of the trial, or a request.

        Raises:
            StorageLostError: the storage failed permanently.
            Exception: the process can no longer use its GPU.
        """
        report = self._report()
        self._process.log.copy(ends=report.status is not None)
        return report

    def _report(self) -> TrialReport:
        self.begin()
        if self._request is not None:
            return self._fresh_process(self._request)
        while True:
            try:
                report = self._next()
                if report is None:
                    continue
                return report
            except StorageLostError:
                # Tune restarts the trial, perhaps on a node with working storage.
                raise
            except Exception as error:
                reason = self._print(error)
                end = self._end_by(cause_of(error), reason)
            if end is not None:
                return end
            # Outside the except block the error is freed, with its frames and their memory.
            self._retried.append(Retry(self._next_epoch(), reason))
            self._trainable.discard()
            # In this process: another one would cost seconds, and an error in the first line of a
            # script would be reported a minute later.
            self._start(self._trainable.setup)

    def _files(self) -> Path:
        """Return the folder for the trial's own files: in its directory, or on this node's own disk
        for a study in a bucket."""
        if self._settings.in_bucket:
            self._local_files = scratch()
            return Path(self._local_files.name)
        return Path(str(self._directory), TRIAL_FILES).absolute()

    def _end_by(self, error: BaseException, reason: str) -> TrialReport | None:
        """Return the last report of a trial that is not retried in this process, else None."""
        gpus = self._process.gpus
        if out_of_gpu_memory(error) and 0 < gpus < 1:
            return self._fresh_process(FreshProcess("share", gpus=gpus))
        if device_lost(error):
            # As after a kill: in another process.
            raise error from None
        if exited_without_error(error):
            return self._returned()
        if not exited(error) and self._process.retries.allow(reason):
            return None
        return self._failed(
            reason,
            infrastructure_failure=infrastructure_failure(error, gpus, self._settings.sequential),
            traceback="".join(traceback.format_exception(error)),
        )

    def _start(self, start: Callable[[], None]) -> None:
        """Start the trainable and resume from the trial's checkpoints in the storage."""
        self._trainable.set_progress(0, 0.0)
        self._process.exits.forget()
        self._attempt = _Attempt(History(self._assignment.config))
        try:
            limit_gpu_memory(self._process.gpus)
            # An earlier trial in this process may have left it.
            enter_directory(self._settings.working_directory)
            # A trial that continues another study's draws the random numbers of that trial.
            index = self._assignment.index if self._origin is None else self._origin.trial
            seed = self._assignment.seed
            offer_seed(seed)
            if seed is None:
                seed = trial_seed(self._settings.seed, index)
            self._process.generators.seed(seed)
            call_trainable(start)
            free_memory()
            self._resume()
        except Exception as error:
            self._attempt.error = error

    def _resume(self) -> None:
        self._retry.wait()
        unreadable: list[str] = []
        own = self._checkpoints.names()
        self._attempt.overwrites = bool(own)
        there = [(self._checkpoints, name) for name in own]
        if self._origin is not None:
            others = self._checkpoints_in(Store.at(self._origin.checkpoints))
            there += [(others, name) for name in others.names()]
        for checkpoints, name in there:
            try:
                found = self._retry(partial(self._load, checkpoints, name))
                if found is None:
                    continue
            except StorageLostError:
                raise
            except Exception as error:
                if out_of_gpu_memory(cause_of(error)) or exited(error):
                    raise
                unreadable.append(name)
                self._trainable.set_progress(0, 0.0)
                continue
            self._attempt.unreported = self._attempt.history.restore(found, self._known_epochs())
            steps, seconds = self._trainable.progress()
            # Each of these results is a step for Tune.
            self._trainable.set_progress(steps - len(self._attempt.unreported), seconds)
            self._attempt.count = EpochCount(found.epoch, from_zero=found.from_zero)
            self._attempt.resumed = True
            self._attempt.restored = Restored(found.epoch, unreadable)
            return
        if unreadable:
            self._attempt.restored = Restored(0, unreadable)

    def _checkpoints_in(self, store: Store, allowance: int | None = None) -> TrialCheckpoints:
        return TrialCheckpoints(store, self._settings.objective.mode, self._retry, allowance)

    def _known_epochs(self) -> float:
        """Return the last epoch that the driver knows, from this session or an earlier one."""
        journaled = self._settings.journaled_epochs
        if journaled is None:
            return math.inf
        return max(self._epoch, journaled.get(self._assignment.index, 0))

    def _load(self, checkpoints: TrialCheckpoints, name: str) -> Checkpoint | None:
        """Load a checkpoint; return None if it belongs to another trial."""
        checkpoint = checkpoints.read(name)
        if not self._attempt.history.is_of(checkpoint):
            return None
        call_trainable(self._trainable.load, checkpoint, checkpoint.whole())
        return checkpoint

    def _next(self) -> TrialReport | None:
        """Take the next step; return its report, None if it lacks the study's metric."""
        attempt = self._attempt
        if attempt.error is not None:
            raise attempt.error
        if attempt.unreported:
            # Reported with the checkpoint, or lost on the way, which the driver knows.
            return self._epoch_report(attempt.unreported.pop(0))
        began = self._process.clock()
        result = call_trainable(self._trainable.step)
        if result is RETURNED:
            self._process.exits.check_threads()
            return self._returned()
        report = self._take(result, self._process.clock() - began)
        self._process.retries.on_epoch()
        return report

    def _returned(self) -> TrialReport:
        """Report the end of a trainable that has ended by itself."""
        if self._attempt.last:
            return self._epoch_report({**self._attempt.last, "done": True})
        metric, interim = self._settings.objective.metric, self._attempt.interim
        names = ", ".join(sorted(interim[-1].metrics)) if interim else ""
        reported = f"no {metric} beside {names}" if names else f"nothing: no {metric}"
        return self._failed(f"it has ended and reported {reported}")

    def _take(self, result: Any, seconds: float) -> TrialReport | None:
        """Check a report of the trainable, and save the checkpoint; without the study's metric,
        keep the report for the next one."""
        if not isinstance(result, dict):
            return self._failed(
                f"step() has returned {reprlib.repr(result)}, which is no dictionary"
            )
        save, metric = self._trainable.saver(), self._settings.objective.metric
        reported = numbers_of(result)
        numbers = reported.numbers
        first = self._attempt.first if self._attempt.count.begun else self._first_report()
        attempt = self._attempt
        attempt.first = {}
        try:
            epoch = attempt.count.of(result.get("epoch"))
        except ValueError as error:
            return self._failed(str(error), **first)
        bad = unusable(result, numbers, metric)
        if bad is not None:
            return self._end(bad[0], epoch, bad[1], **first)
        if first and attempt.overwrites:
            self._checkpoints.drop_from(epoch)
        if metric not in numbers:
            return self._keep_interim(epoch, numbers, seconds, first)
        steps = {STEP_LOSSES: reported.step_losses, STEP_SCORES: reported.step_scores}
        whole = {**numbers, "epoch": epoch, **steps, "done": reported.done}
        checkpoint = None if save is None else self._save(whole, save, seconds)
        attempt.history.add(whole)
        new = {n: why for n, why in reported.left_out.items() if n not in self._left_out}
        self._left_out.update(new)
        return self._epoch_report(whole, checkpoint=checkpoint, left_out=new, **first)

    def _keep_interim(
        self, epoch: Epochs, numbers: dict[str, Number], seconds: float, first: dict[str, Any]
    ) -> TrialReport | None:
        attempt = self._attempt
        if len(attempt.interim) + 1 >= REPORTS_WITHOUT_METRIC:
            names = ", ".join(sorted(numbers)) or "an empty report"
            reports = f"{REPORTS_WITHOUT_METRIC} reports in a row"
            metric = self._settings.objective.metric
            return self._failed(f"no {metric} in {reports}, the last of {names}", **first)
        self._trainable.discard_checkpoint()
        # To Tune each report is a step, and it sees this one not.
        steps, before = self._trainable.progress()
        self._trainable.set_progress(steps + 1, before + seconds)
        attempt.interim.append(InterimReport(epoch, metrics_of({**numbers, "epoch": epoch})))
        attempt.first = first
        return None

    def _save(
        self, result: dict[str, Any], save: Callable[[str], object], seconds: float
    ) -> str | None:
        """Write the checkpoint of an epoch; return the name of its folder."""
        epoch, value = result["epoch"], result[self._settings.objective.metric]
        kept = self._attempt.history.to_keep() if self._settings.in_bucket else {}
        steps, before = self._trainable.progress()
        kept.update(iteration=steps + 1, time_total=before + seconds)
        if self._attempt.count.from_zero:
            kept["from_zero"] = True
        try:
            save = partial(call_trainable, save)
            return self._checkpoints.write(epoch, value, result, save, **kept)
        except NoRoomError as error:
            self._unsaved = Unsaved(error.needed, error.allowed)
            return None

    def _first_report(self) -> dict[str, Any]:
        """Return the fields of the first report of an attempt."""
        if not self._ignores_checkpoint():
            return {"first": True}
        ignored, overwrites = self._attempt.count.last, self._attempt.overwrites
        self._attempt = _Attempt(History(self._assignment.config), overwrites=overwrites)
        return {"first": True, "ignored_checkpoint": ignored}

    def _ignores_checkpoint(self) -> bool:
        return self._attempt.resumed and self._trainable.ignores_checkpoint()

    def _next_epoch(self) -> Epochs:
        """Return the epoch of the next report."""
        return 1 if self._ignores_checkpoint() else self._attempt.count.last + 1

    def _epoch_report(self, result: dict[str, Any], **more: Any) -> TrialReport:
        self._epoch, self._attempt.last = result["epoch"], result
        report = TrialReport(
            epoch=result["epoch"],
            metrics=metrics_of(result),
            step_losses=result.get(STEP_LOSSES, []),
            step_scores=result.get(STEP_SCORES, {}),
            node=self._process.node[:8],
            status="finished" if result.get("done") else None,
            restored=self._take_restored(),
            retried=self._retried,
            unsaved=self._unsaved,
            interim=self._attempt.interim,
            **more,
        )
        self._attempt.interim = []
        self._retried, self._unsaved = [], None
        return report

    def _take_restored(self) -> Restored | None:
        """Return once what it resumed from; for a function only after it was read."""
        if self._ignores_checkpoint():
            return None
        restored, self._attempt.restored = self._attempt.restored, None
        return restored

    def _failed(self, reason: str, **more: Any) -> TrialReport:
        return self._end("failed", self._next_epoch(), reason, **more)

    def _end(
        self, status: Literal["diverged", "failed"], epoch: Epochs, reason: str, **more: Any
    ) -> TrialReport:
        return TrialReport(
            epoch=epoch,
            status=status,
            reason=reason,
            log="\n".join(self._process.log.tail()) if status == "failed" else "",
            restored=self._take_restored(),
            retried=self._retried,
            **more,
        )

    def _fresh_process(self, request: FreshProcess) -> TrialReport:
        return TrialReport(epoch=self._epoch, retried=self._retried, fresh_process=request)

    def _print(self, error: Exception) -> str:
        """Print an error to the trial's log; return it in one line."""
        cause = cause_of(error)
        # A trainable may have closed standard error.
        with suppress(Exception):
            if not isinstance(cause, CommandFailedError):
                traceback.print_exception(cause)
        line = f"{type(cause).__name__}: {text_of(cause)}".removesuffix(": ")
        return line + searched_directory(cause)
