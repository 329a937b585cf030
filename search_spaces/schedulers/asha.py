"""ASHA as the scheduler of a study, with any searcher: rungs decide, Tune carries out.

A study sets where rungs begin, but not how hard they cut: of 14 rules that set this too
(`benchmarks/other_cuts.py`, `chosen_factor.py`) only one was better on LCBench, and it takes 12 to
31% more epochs on the recorded curves of our MLP (`docs/figures.md`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypeAlias

import numpy as np
import tyro
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from search_spaces.epochs_scaling import check_rungs
from search_spaces.objective import Expectation, Objective, StudySpec
from search_spaces.schedulers.base import Closing, StudyScheduler, TrialConfigs, index_of
from search_spaces.schedulers.expectation import expected
from search_spaces.schedulers.rungs import RULES, RULES_HELP, RungRule, Rungs
from search_spaces.trial_events import (
    Decision,
    Ended,
    EpochsLost,
    Event,
    Promoted,
    Result,
    RungJudged,
    Suggested,
)

DRAW = 0xA0D17
"""Constant that separates the audit sample from all other draws of a seed and an index."""

RESUMES = (
    "a class needs save_checkpoint, a function tune.get_checkpoint(), a script "
    "tune_cluster.epochs(..., model=model), a command --checkpoint and --resume-args"
)
"""How a trainable resumes, for messages."""


def drawn(seed: int, index: int, share: float) -> bool:
    """Return whether trial `index` belongs to a random sample with a `share` of all trials.

    The result depends on the seed and `index` alone; a larger share includes every smaller one.
    """
    return bool(np.random.default_rng([seed, index, DRAW]).random() < share)


@dataclass(frozen=True, kw_only=True)
class ASHAFlags:
    """Command-line flags of a job whose trials are stopped early by ASHA."""

    grace_period: int | None = None
    """Epochs before a trial can be stopped; should cover warm-up and freezing. By default the study
    chooses it: the lowest rungs are left out if they rank trials differently from the next rung."""

    reduction_factor: int = 3
    """One in this many trials continues from a rung."""

    rung_rule: Annotated[RungRule | None, tyro.conf.arg(help=RULES_HELP)] = None

    audit: float = 0.0
    """Share of the trials whose latest checkpoint is kept if a rung stops them. `tune-cluster
    audit` trains these to the end and measures what early stopping has cost. 0.05 is a fair
    start."""

    def scheduler(self, *, max_epochs: int, seed: int) -> ASHA:
        """Return the scheduler with these flags for trials of `max_epochs` epochs."""
        return ASHA(max_epochs=max_epochs, seed=seed, **vars(self))


class ASHA(StudyScheduler):
    """Asynchronous successive halving (Li et al. 2020), by the rules of `rungs`.

    Unlike Ray's scheduler it keeps the rungs of earlier sessions when a study is resumed, records
    the reason of every stop, and ranks a failed trial last in its next rung.

    Args:
        max_epochs: epochs of a trial that is never stopped.
        grace_period: epochs before a trial can be stopped (r in the paper). With None the study
            chooses it: it tests the lowest rung first, see `rungs`, and places it after warm-up and
            freezing, and after the first epoch if the searcher's model uses ranks only (TPE).
        reduction_factor: one in this many trials continues from a rung (η in the paper).
        rung_rule: rule by which trials continue from a rung, see `rungs`; the default is
            "promotion", or "top" where trials have no checkpoints to resume from.
        audit: share of the trials whose latest checkpoint is kept if a rung stops them, for an
            audit; the rule "promotion" keeps that of every trial.
        seed: seed of the sample for the audit.

    Raises:
        ValueError: grace period, reduction factor and number of epochs give no rungs, the audit
            share is not from 0 to 1, or an audit is asked for without rungs.
    """

    Flags: TypeAlias = ASHAFlags
    """Flags of this scheduler; a job takes them as `asha: ASHA.Flags`."""

    def __init__(
        self,
        *,
        max_epochs: int,
        grace_period: int | None = None,
        reduction_factor: int = 3,
        rung_rule: RungRule | None = None,
        audit: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not 0 <= audit <= 1:
            raise ValueError(f"--audit must be a share from 0 to 1, got {audit:g}")
        self.audit = audit
        self.seed = seed
        self.max_epochs = max_epochs
        self._rule_given = rung_rule
        self.memory = Rungs(
            max_epochs,
            1 if grace_period is None else grace_period,
            reduction_factor,
            rule=rung_rule or "promotion",
            adaptive=grace_period is None,
        )
        """Rungs, with the trials that have reached them."""
        self.rungs = self.memory.milestones
        self._check_audit()
        self._objective = Objective("", "max")
        self._latest: dict[int, float | None] = {}
        """Last value of each trial that has not ended, by trial."""
        self._decided: list[Event] = []
        self._replayed = _Replay(self)

    def check(self, spec: StudySpec) -> None:
        """Take in metric and mode, and choose the rung rule if none was given.

        Raises:
            ValueError: the grace period ends before warm-up or freezing, promotions have no
                checkpoint to resume from, or a trial would be compared after more updates than
                others (`epochs_scaling.check_rungs`).
        """
        if self.rungs or self.memory.adaptive:
            check_rungs(spec.searcher.space)
        settling = spec.searcher.space.settling_epochs()
        grace_period = self.memory.grace_period
        if self.memory.adaptive:
            # A model of ranks amplifies errors of the lowest rung, which four trials do not reveal.
            first = self.memory.reduction_factor if spec.searcher.ranks_alone else 1
            grace_period = min(max(first, math.ceil(settling)), self.memory.max_epochs)
        elif self.rungs and grace_period < settling:
            raise ValueError(
                f"--grace-period {grace_period}: the space allows {settling:g} epochs "
                "of warm-up or freezing, before which trials cannot be compared; give at least "
                f"{math.ceil(settling)}"
            )
        if self._rule_given and RULES[self._rule_given].promotes and not spec.continues:
            raise ValueError(
                f"--rung-rule {self._rule_given}: the trainable does not resume from a checkpoint "
                f"({RESUMES}); add it, or give --rung-rule top"
            )
        self._objective = spec.objective
        self.memory = replace(
            self.memory,
            grace_period=grace_period,
            mode=spec.objective.mode,
            rule=self._rule_given or ("promotion" if spec.continues else "top"),
        )
        self.rungs = self.memory.milestones
        self._check_audit()

    def _check_audit(self) -> None:
        if self.audit and not self.rungs:
            raise ValueError(
                f"--audit {self.audit:g}: no rung below the {self.max_epochs} epochs of a trial "
                "stops a trial; leave --audit out, or give a shorter grace period"
            )

    @property
    def promotes(self) -> bool:
        """Whether a trial that a rung has stopped can be promoted later."""
        return self.memory.promotes

    def on_trial_result(self, controller: object, trial: Trial, result: Mapping[str, float]) -> str:
        """Return whether the trial continues or stops."""
        decision = self.report(index_of(trial), result["epoch"], result)
        if decision is None:
            return str(TrialScheduler.CONTINUE)
        self._decided.append(decision)
        if not decision.stop:
            return str(TrialScheduler.CONTINUE)
        self._decided.append(stopped_by(decision, result["epoch"]))
        return str(TrialScheduler.STOP)

    def on_event(self, event: Event, replay: bool) -> None:
        """Take in a promotion, an end or a judgement of a rung; in a replay also results and
        decisions."""
        if replay:
            self._replayed.take(event)
        if isinstance(event, Promoted):
            self.memory.promote(event.trial, event.rung)
        elif isinstance(event, RungJudged):
            self._judge(event)
        elif isinstance(event, Result):
            self._latest[event.trial] = event.metrics.get(self._objective.metric)
        elif isinstance(event, Ended):
            self._end(event)

    def _judge(self, judged: RungJudged) -> None:
        self.memory.judge(judged)
        self.rungs = list(self.memory.in_use)

    def _end(self, event: Ended) -> None:
        latest = self._latest.pop(event.trial, None)
        if event.status != "stopped":
            self.memory.report_end(event.trial, None if event.failed else latest)
        if event.blamed:
            self.memory.report_failure(event.trial, event.epoch)

    def report(self, trial: int, epoch: float, metrics: Mapping[str, Any]) -> Decision | None:
        """Compare a trial with the others at its rung; return None between two rungs."""
        return self.memory.report(trial, epoch, metrics[self._objective.metric])

    def take_events(self) -> list[Event]:
        """Return the decisions since the last call, the ends and rung judgements that follow from
        them and, after a replay, those that are missing in the journal."""
        decided, self._decided = [*self._replayed.lacking(), *self._decided], []
        # Only here, so that a rung is judged after all events that precede it in the journal.
        while (judged := self.memory.judgement()) is not None:
            self._judge(judged)
            decided.append(judged)
        return decided

    def promotable(self) -> Iterable[Promoted]:
        """Return all trials that are due for promotion, in order."""
        return self.memory.promotable()

    def may_continue(self, trials: int) -> tuple[list[int], list[int]]:
        """Return the trials that later ones may promote, highest rung and best rank first."""
        return self.memory.may_continue(trials)

    @property
    def kept_share(self) -> float:
        """Share of the stopped trials whose latest checkpoint is kept."""
        return 1.0 if self.promotes else self.audit

    def keeps(self, index: int) -> bool:
        """Return whether the latest checkpoint of trial `index` is kept if it is stopped for
        good."""
        return drawn(self.seed, index, self.audit)

    def finish(
        self, trials: Mapping[int, TrialConfigs], best: Mapping[str, Any], metric: str
    ) -> Closing | None:
        """Return the audit command, if checkpoints were kept for an audit."""
        if not self.audit:
            return None
        return Closing("", {}, [("audit", f"tune-cluster audit {{study}} --share {self.audit:g}")])

    def expected(self, *, trials: int, concurrent: int, max_epochs: int) -> Expectation:
        """Return the number of trials expected at each rung, from a simulation of the rule."""
        return expected(self.memory, trials=trials, concurrent=concurrent)

    def notes(self, trials: int) -> list[str]:
        """Return the limits of the stopping rule in a study of `trials` trials."""
        rungs, notes = self.memory, []
        if rungs.adaptive and not self.rungs and rungs.max_epochs > 1:
            notes.append(
                f"warm-up or freezing may last all {rungs.max_epochs} epochs of a trial: no rung "
                "stops one"
            )
        if rungs.rule == "top" and self._rule_given is None:
            notes.append(
                "a stopped trial is not promoted later (rung rule top): the trainable does not "
                f"resume from a checkpoint ({RESUMES})"
            )
        needed = rungs.reduction_factor ** len(rungs.milestones)
        if rungs.promotes and trials < needed:
            notes.append(
                f"rung rule {rungs.rule} trains one in {needed} trials for all "
                f"{rungs.max_epochs} epochs, of {trials} perhaps none: give {needed} trials or "
                "more, a longer grace period, or rung rule top"
            )
        return notes

    def describe(self) -> dict[str, object]:
        """Return the scheduler as plain JSON, for `study.json`."""
        return {
            "scheduler": "asha",
            "grace_period": None if self.memory.adaptive else self.memory.grace_period,
            "reduction_factor": self.memory.reduction_factor,
            "max_epochs": self.memory.max_epochs,
            "rung_rule": self.memory.rule,
            "rungs": self.memory.milestones,
            "audit": self.audit,
        }


def stopped_by(decision: Decision, epoch: float) -> Ended:
    """Return the end of a trial that a decision stops after `epoch`."""
    return Ended(trial=decision.trial, epoch=epoch, status="stopped", rung=decision.rung)


_AFTER_A_RESULT = (Suggested, Result, EpochsLost, Decision, RungJudged, Promoted, Ended)
"""Events that the engine emits after it has handled all consequences of a result."""


class _Replay:
    """Replays earlier sessions to the rungs and finds what is missing in the journal.

    The machine may have lost power between a result and the lines that follow from it.
    """

    def __init__(self, asha: ASHA) -> None:
        self._asha = asha
        self._unanswered: Result | None = None
        """Last result, as long as its trial may have ended by itself with it."""
        self._missing: dict[tuple[int, float], Decision] = {}
        """Decisions that were taken but not written yet, by trial and rung."""
        self._ends: dict[int, Ended] = {}
        """Ends that follow from decisions, by trial, unless another event contradicts them."""
        self._epochs: dict[int, float] = {}
        """Epoch of the last result, by trial."""

    def take(self, event: Event) -> None:
        """Take in the next event."""
        if not isinstance(event, _AFTER_A_RESULT):
            return
        last, self._unanswered = self._unanswered, None
        # Tune does not ask a scheduler about the result with which a trial ends by itself.
        finished = event.trial if isinstance(event, Ended) and event.status == "finished" else None
        if last is not None and last.trial != finished:
            self._report(last)
        if isinstance(event, Result):
            self._unanswered = event
        elif isinstance(event, Decision):
            self._missing.pop((event.trial, event.rung), None)
            self._follow(event)
        elif isinstance(event, (Promoted, Ended)):
            self._ends.pop(event.trial, None)

    def lacking(self) -> list[Event]:
        """Return the events that are missing at the end of the replay; empty at a second call."""
        if self._unanswered is not None:
            self._report(self._unanswered)
        events: list[Event] = []
        for decision in self._missing.values():
            events.append(decision)
            if decision.trial in self._ends:
                events.append(self._ends.pop(decision.trial))
        events += self._ends.values()
        self._unanswered, self._missing, self._ends = None, {}, {}
        return events

    def _report(self, result: Result) -> None:
        self._epochs[result.trial] = result.epoch
        decision = self._asha.report(result.trial, result.epoch, result.metrics)
        if decision is not None:
            self._missing[decision.trial, decision.rung] = decision
            self._follow(decision)

    def _follow(self, decision: Decision) -> None:
        if not decision.stop:
            # An earlier version may have ordered equal trials differently.
            self._asha.memory.promote(decision.trial, decision.rung)
            self._ends.pop(decision.trial, None)
            return
        epoch = self._epochs.get(decision.trial, decision.rung)
        self._ends[decision.trial] = stopped_by(decision, epoch)
