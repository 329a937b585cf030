"""ASHA as a scheduler of a study, over any searcher: the rungs decide, Tune carries it out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypeAlias

import numpy as np
import tyro
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

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
"""Sets the draw of a sample apart from all other draws of a seed and an index."""


def drawn(seed: int, index: int, share: float) -> bool:
    """Whether trial `index` is in a random sample of a `share` of all trials; by the seed and
    `index` alone, and in every larger share too."""
    return bool(np.random.default_rng([seed, index, DRAW]).random() < share)


@dataclass(frozen=True, kw_only=True)
class ASHAFlags:
    """The flags of a job whose trials are stopped early by ASHA."""

    grace_period: int | None = None
    """Epochs before a trial can be stopped; should cover warm-up and freezing. None decides it
    while the study runs: the lowest rungs are left out if they do not rank trials as the next."""

    reduction_factor: int = 3
    """One trial in so many goes on from a rung."""

    rung_rule: Annotated[RungRule, tyro.conf.arg(help=RULES_HELP)] = "promotion"

    audit: float = 0.0
    """Share of the trials whose latest checkpoint stays if a rung stops them, for `tune-cluster
    audit`, which finishes them and says what the stopping has cost. 0.05 is a fair start."""

    def scheduler(self, *, max_epochs: int, seed: int) -> ASHA:
        """The scheduler that they describe, of trials of so many epochs."""
        return ASHA(max_epochs=max_epochs, seed=seed, **vars(self))


class ASHA(StudyScheduler):
    """Asynchronous successive halving (Li et al. 2020), by the rules of `rungs`.

    Unlike Ray's it has the rungs of earlier sessions in a study that is resumed, says why it stops
    a trial, and gives a failed trial the last place in the rung ahead of it.

    Args:
        max_epochs: the epochs of a trial that is never stopped.
        grace_period: epochs before a trial can be stopped (r in the paper); None lets the study
            decide it: the lowest rung is asked first, see `rungs`, and lies where warm-up and
            freezing are over; under a model that knows ranks alone (TPE) not at the first epoch.
        reduction_factor: one trial in so many goes on from a rung (η in the paper).
        rung_rule: who goes on from a rung, see `rungs`; where nobody says it,
            "promotion", or "top" where trials have no checkpoints to go on from.
        audit: the share of the trials whose latest checkpoint stays if a rung stops them, so that
            an audit can finish them; by promotion that of every trial does.
        seed: decides which.

    Raises:
        ValueError: a grace period, reduction factor or number of epochs that gives no rungs, a
            share that is none, or an audit of no rungs.
    """

    Flags: TypeAlias = ASHAFlags
    """A job takes them as `asha: ASHA.Flags`."""

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
        """The rungs and who has reached them."""
        self.rungs = self.memory.milestones
        self._check_audit()
        self._objective = Objective("", "max")
        self._latest: dict[int, float | None] = {}
        """By trial that has not ended, its last value."""
        self._decided: list[Event] = []
        self._replayed = _Replay(self)

    def check(self, spec: StudySpec) -> None:
        """Take in metric and mode, and choose the rule where nobody has chosen one.

        Raises:
            ValueError: a grace period that compares trials before they have settled, or promotions
                that have nothing to go on from.
        """
        settling = spec.searcher.space.settling_epochs()
        grace_period = self.memory.grace_period
        if self.memory.adaptive:
            # A model of ranks amplifies what the lowest rung says, and four trials are no proof.
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
                f"--rung-rule {self._rule_given}: the trainable goes on from no checkpoint (a "
                "class needs save_checkpoint, a function tune.get_checkpoint()); give it one, or "
                "take --rung-rule top"
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
                "stops one"
            )

    @property
    def promotes(self) -> bool:
        """Whether a trial that a rung stops may go on after all."""
        return self.memory.promotes

    def on_trial_result(self, controller: object, trial: Trial, result: Mapping[str, float]) -> str:
        """Stop the trial or let it go on."""
        decision = self.report(index_of(trial), result["epoch"], result)
        if decision is None:
            return str(TrialScheduler.CONTINUE)
        self._decided.append(decision)
        if not decision.stop:
            return str(TrialScheduler.CONTINUE)
        self._decided.append(stopped_by(decision, result["epoch"]))
        return str(TrialScheduler.STOP)

    def on_event(self, event: Event, replay: bool) -> None:
        """Take in a promotion, an end or what was judged; of earlier sessions also results and
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
        """Compare a trial with those at its rung; None between two rungs."""
        return self.memory.report(trial, epoch, metrics[self._objective.metric])

    def take_events(self) -> list[Event]:
        """Return, once, the decisions of this step, the ends that follow from them and what they
        say of a rung or, after a replay, those that the journal lacks."""
        decided, self._decided = [*self._replayed.lacking(), *self._decided], []
        # Only here, so that a rung is judged after all that the journal has before its event.
        while (judged := self.memory.judgement()) is not None:
            self._judge(judged)
            decided.append(judged)
        return decided

    def promotable(self) -> Iterable[Promoted]:
        """All that are to go on as things stand, the first one first."""
        return self.memory.promotable()

    def may_continue(self, trials: int) -> tuple[list[int], list[int]]:
        """As every scheduler: the highest rung and the best rank first."""
        return self.memory.may_continue(trials)

    @property
    def kept_share(self) -> float:
        """Share of the stopped trials whose latest checkpoint stays."""
        return 1.0 if self.promotes else self.audit

    def keeps(self, index: int) -> bool:
        """Whether the latest checkpoint of trial `index` stays if it is stopped for good."""
        return drawn(self.seed, index, self.audit)

    def finish(
        self, trials: Mapping[int, TrialConfigs], best: Mapping[str, Any], metric: str
    ) -> Closing | None:
        """How to audit a study that has kept what an audit needs."""
        if not self.audit:
            return None
        return Closing("", {}, [("audit", f"tune-cluster audit {{study}} --share {self.audit:g}")])

    def expected(self, *, trials: int, concurrent: int, max_epochs: int) -> Expectation:
        """How many trials will reach each rung, simulated for the rule in use."""
        return expected(self.memory, trials=trials, concurrent=concurrent)

    def notes(self, trials: int) -> list[str]:
        """What a person may not expect of the rule by which trials are stopped."""
        rungs, notes = self.memory, []
        if rungs.adaptive and not self.rungs and rungs.max_epochs > 1:
            notes.append(
                f"warm-up or freezing may last all {rungs.max_epochs} epochs of a trial: no rung "
                "stops one"
            )
        if rungs.rule == "top" and self._rule_given is None:
            notes.append(
                "the trainable goes on from no checkpoint (no save_checkpoint, or a function "
                "without tune.get_checkpoint()): a trial that is stopped is not promoted later "
                "(rung rule top)"
            )
        needed = rungs.reduction_factor ** len(rungs.milestones)
        if rungs.promotes and trials < needed:
            notes.append(
                f"by rung rule {rungs.rule} one trial in {needed} is trained for "
                f"{rungs.max_epochs} epochs, of {trials} perhaps none: give {needed} trials or "
                "more, a longer grace period, or rung rule top"
            )
        return notes

    def describe(self) -> dict[str, object]:
        """The scheduler as plain JSON, for `study.json`."""
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
    """The end of a trial that a decision stops after `epoch`."""
    return Ended(trial=decision.trial, epoch=epoch, status="stopped", rung=decision.rung)


_AFTER_A_RESULT = (Suggested, Result, EpochsLost, Decision, RungJudged, Promoted, Ended)
"""Events that come when all is known that a result was."""


class _Replay:
    """Tells the rungs what happened in earlier sessions, and finds what the journal lacks: the
    machine may have lost power between a result and the lines that say what followed from it."""

    def __init__(self, asha: ASHA) -> None:
        self._asha = asha
        self._unanswered: Result | None = None
        """The last result, as long as its trial may have ended by itself with it."""
        self._missing: dict[tuple[int, float], Decision] = {}
        """By trial and rung, decisions that have followed and were not written yet."""
        self._ends: dict[int, Ended] = {}
        """By trial, how it ends by a decision, unless another event says so."""
        self._epochs: dict[int, float] = {}
        """By trial, that of its last result."""

    def take(self, event: Event) -> None:
        """Take in the next event."""
        if not isinstance(event, _AFTER_A_RESULT):
            return
        last, self._unanswered = self._unanswered, None
        # Tune asks no scheduler about the result that a trial ends with by itself.
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
        """Return, once, the events that are missing at the end of the replay."""
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
            # An earlier version may have decided otherwise of equal trials.
            self._asha.memory.promote(decision.trial, decision.rung)
            self._ends.pop(decision.trial, None)
            return
        epoch = self._epochs.get(decision.trial, decision.rung)
        self._ends[decision.trial] = stopped_by(decision, epoch)
