"""The scheduler that Tune sees: it restarts trials, and passes all else to the study's scheduler.

A trial asks for a restart in another process, without blame, in the report of a step that is no
epoch (`TrialReport.fresh_process`):

- `share`: it ran out of memory on a share of a GPU. It resumes from its checkpoint with twice the
  share, up to a whole GPU; there it fails.
- `reset`: it got a used process whose reset failed, which is no fault of its own.
- `node`: it was started on a node that has joined and is unsuitable.

Tune has no way to do that. A failure would count towards `max_failures`, a pause gives the process
to other trials, and Tune treats a failed reset as an error of the trial, without a report. So a
trial reports instead of failing, and this scheduler does what Tune does with a lost process. Ray's
`ResourceChangingScheduler`, which changes a trial's resources, refuses used processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from search_spaces.schedulers.base import StudyScheduler, index_of
from tune_cluster.cluster.nodes import JoiningNodes
from tune_cluster.execution.process_losses import LostProcesses
from tune_cluster.execution.ray_tune.compat import notice_loss, process_is_lost, restart_trial
from tune_cluster.execution.ray_tune.recorder import Recorder
from tune_cluster.trial.messages import TrialReport
from tune_cluster.trial.process import doubled_share


class RestartingScheduler(FIFOScheduler):
    """Wraps the scheduler of a study, which gets no step that asks for a restart.

    Tune's controller asks it about the loss of a process, see `compat.ProcessLosses`.
    """

    def __init__(
        self,
        scheduler: StudyScheduler,
        recorder: Recorder,
        losses: LostProcesses,
        joining: JoiningNodes | None = None,
    ) -> None:
        super().__init__()
        self.scheduler = scheduler
        self._recorder = recorder
        self._losses = losses
        self._joining = joining
        self._resting: list[Trial] = []
        """Trials that were killed for memory, which Tune keeps as paused."""
        self._wide: set[Trial] = set()
        """Trials with more resources than others."""
        self._live: list[Trial] = []
        """Trials that have not ended, in order of arrival."""

    def suggest_later(self) -> bool:
        """Return whether the searcher has to wait: the limit of trials at once is reached, or a
        trial with more resources than others waits, which new trials could keep from starting."""
        if self._wide_waits():
            return True
        if self.scheduler.all_first:
            return False
        resting = sum(trial.status == Trial.PAUSED for trial in self._resting)
        return bool(self._active() + resting >= self._losses.concurrent())

    def on_trial_add(self, controller: Any, trial: Trial) -> None:
        """Give a trial of an earlier session, or a promoted one, its last share again."""
        if trial not in self._live:
            self._live.append(trial)
        self._give_share(trial)
        self.scheduler.on_trial_add(controller, trial)

    def on_trial_error(self, controller: Any, trial: Trial) -> None:
        """Set the resources of a trial before Tune queues it again. If they changed in the queue,
        Tune would not find the trial there, and start it twice."""
        self._give_share(trial)
        self.scheduler.on_trial_error(controller, trial)

    def on_trial_result(self, controller: Any, trial: Trial, result: Mapping[str, Any]) -> str:
        """Restart the trial if it asks for that, else ask the study's scheduler."""
        report = TrialReport.from_result(result)
        asked = report.fresh_process
        if asked is None:
            answer = str(self.scheduler.on_trial_result(controller, trial, dict(result)))
            if answer not in (TrialScheduler.CONTINUE, TrialScheduler.STOP):
                self._recorder.on_wait(index_of(trial))
            return answer
        if asked.cause == "share":
            self._recorder.on_share(trial, [asked.gpus, doubled_share(asked.gpus)], report.retried)
        else:
            self._recorder.on_replaced_process(trial, asked.reason)
            if asked.cause == "node" and self._joining is not None:
                self._joining.refuse(asked.node, asked.problems)
        restart_trial(controller, trial, asked.cause)
        return str(TrialScheduler.NOOP)

    def on_trial_complete(self, controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Pass the end of a trial on."""
        self.scheduler.on_trial_complete(controller, trial, result)

    def on_trial_remove(self, controller: Any, trial: Trial) -> None:
        """Pass on the removal of a trial that has not begun."""
        self.scheduler.on_trial_remove(controller, trial)

    def lost(self, trial: Trial, error: Exception) -> bool:
        """Record the loss of a trial's process; return whether the trial fails."""
        epoch = self._recorder.on_loss(trial, error)
        return self._losses.fails(index_of(trial), epoch, error)

    def rests(self, trial: Trial, *, failed: bool, others: int) -> bool:
        """Return whether a trial that lost its process waits: one that was killed for memory is
        restarted only when there may be enough."""
        waits = self._losses.waits(index_of(trial), failed=failed, others=others)
        if waits:
            self._resting.append(trial)
        return waits

    def upcoming(self) -> int:
        """Return how many trials the searcher will have once the running ones have ended; 0 while a
        trial with more resources waits, for which processes have to end."""
        return 0 if self._wide_waits() else self._recorder.searcher.upcoming

    def choose_trial_to_run(self, controller: Any) -> Trial | None:
        """Return a trial that has waited, or the scheduler's choice; Tune calls it in every
        step."""
        if self._joining is not None:
            self._joining.look()
        self._resting = [trial for trial in self._resting if trial.status == Trial.PAUSED]
        for trial in self._resting:
            if self._losses.may_start(index_of(trial), self._active()):
                return trial
        while (exploit := self.scheduler.next_exploit()) is not None:
            self._recorder.on_exploit(exploit)
        named = self._named(controller)
        if named is None or named in self._resting:
            return None
        if named.status == Trial.PAUSED and self._active() >= self._losses.concurrent():
            # The newest, so that a free process is not given to a trial whose own is just starting.
            pending = [trial for trial in self._live if trial.status == Trial.PENDING]
            return pending[-1] if pending else None
        return named

    def _named(self, controller: Any) -> Trial | None:
        """Return the scheduler's choice. A trial that has kept its process while it waited is
        paused, which frees the process that it gets again at once."""
        while (named := self.scheduler.choose_trial_to_run(controller)) is not None:
            if named.status != Trial.RUNNING:
                return named
            if not process_is_lost(named):
                controller.pause_trial(named, should_checkpoint=False)
                return named
            notice_loss(controller, named)
        return None

    def _wide_waits(self) -> bool:
        return any(trial.status == Trial.PENDING for trial in self._wide)

    def _active(self) -> int:
        """Return the number of trials that run or are about to."""
        self._live = [trial for trial in self._live if not trial.is_finished()]
        self._wide.intersection_update(self._live)
        return sum(trial.status in (Trial.PENDING, Trial.RUNNING) for trial in self._live)

    def _give_share(self, trial: Trial) -> None:
        record = self._recorder.state.trials.get(index_of(trial))
        asked = trial.placement_group_factory
        assert asked is not None, "every trial of a study asks for resources"
        has = asked.required_resources
        # A resumed study may have no GPU, or a larger share for all trials.
        if record is not None and 0 < has.get("GPU", 0.0) < record.gpus:
            trial.update_resources({**has, "GPU": record.gpus})
            self._wide.add(trial)
