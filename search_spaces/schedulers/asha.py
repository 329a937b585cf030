"""ASHA as a scheduler of Tune, over any searcher: the rungs decide, Tune carries it out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from search_spaces.mode import Mode
from search_spaces.schedulers.expectation import Expectation, expected
from search_spaces.schedulers.in_order import InOrder
from search_spaces.schedulers.rungs import Decision, Promotion, RungRule, Rungs
from search_spaces.space import Space

AUDIT = 0xA0D17
"""Sets the draw of the controls apart from all other draws of a seed and an index."""


@dataclass(frozen=True, kw_only=True)
class ASHAFlags:
    """The flags of a job whose trials are stopped early by ASHA."""

    grace_period: int = 1
    """Epochs before a trial can be stopped; should cover warm-up and freezing."""

    reduction_factor: int = 3
    """One trial in so many goes on from a rung."""

    rung_rule: RungRule = "promotion"
    """Who goes on: the best third, from its checkpoint as soon as it is (promotion), or at once or
    never (top), or by Ray Tune's own rule (ray)."""

    audit: float = 0.0
    """Share of the trials that are finished later, as controls, if a rung stops them; the study
    then says what the stopping has cost. 0.05 is a fair start."""

    def scheduler(self, *, max_epochs: int, seed: int) -> ASHA:
        """The scheduler that they describe, of trials of so many epochs."""
        return ASHA(max_epochs=max_epochs, seed=seed, **vars(self))


class ASHA(InOrder):
    """Asynchronous successive halving (Li et al. 2020), by the rules of `rungs`.

    Unlike Ray's own it can be told what happened (`replay`), so that a resumed study has the rungs
    that it had; it says why it stops a trial (`on_decision`); and a failed trial takes a place in
    the rung ahead of it instead of being left out.

    Args:
        max_epochs: the epochs of a trial that is never stopped.
        grace_period: epochs before a trial can be stopped (r in the paper).
        reduction_factor: one trial in so many goes on from a rung (η in the paper).
        rung_rule: who goes on from a rung, see `rungs`; where nobody says it,
            "promotion", or "top" where trials have no checkpoints to go on from.
        time_attr: what a trial reports as its epoch.
        audit: the share of the trials that are finished later, as controls, if a rung stops them.
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
        grace_period: int = 1,
        reduction_factor: int = 3,
        rung_rule: RungRule | None = None,
        time_attr: str = "epoch",
        audit: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not 0 <= audit <= 1:
            raise ValueError(f"--audit must be a share from 0 to 1, got {audit:g}")
        self.audit = audit
        self.seed = seed
        self.time_attr = time_attr
        self.rule_given = rung_rule is not None
        self.rungs = Rungs(
            max_epochs, grace_period, reduction_factor, rule=rung_rule or "promotion"
        )
        if audit and not self.rungs.milestones:
            raise ValueError(
                f"--audit {audit:g}: no rung below the {max_epochs} epochs of a trial stops one"
            )
        self.trial_key: Callable[[Trial], int | str | None] = lambda trial: str(trial.trial_id)
        """How a trial is named in the rungs and in decisions; None for a control, which no rung
        compares."""
        self.on_decision: Callable[[Decision], None] = lambda decision: None
        """Told every decision, before Tune acts on it."""

    @property
    def max_epochs(self) -> int:
        """The epochs of a trial that is never stopped."""
        return self.rungs.max_epochs

    def set_search_properties(self, metric: str | None, mode: Mode | None, **spec: object) -> bool:
        """Takes metric and mode from `tune.TuneConfig`, as Tune's schedulers do."""
        if metric is None or mode is None:
            return False
        self._metric = metric
        self.rungs.mode = mode
        return True

    def check_space(self, space: Space) -> None:
        """Refuses a grace period that compares trials before they have settled.

        Raises:
            ValueError: the space allows more epochs of warm-up or freezing.
        """
        settling = space.settling_epochs()
        if self.rungs.grace_period < settling:
            raise ValueError(
                f"--grace-period {self.rungs.grace_period}: the space allows {settling:g} epochs "
                "of warm-up or freezing, before which trials cannot be compared; give at least "
                f"{math.ceil(settling)}"
            )

    def check_checkpoints(self, there: bool) -> None:
        """Chooses the rule by whether trials have checkpoints, where nobody has chosen one.

        Raises:
            ValueError: a promotion was asked for, and has nothing to go on from.
        """
        if there or self.rungs.rule != "promotion":
            return
        if self.rule_given:
            raise ValueError(
                "--rung-rule promotion: the trainable goes on from no checkpoint (a class needs "
                "save_checkpoint, a function tune.get_checkpoint()); give it one, or take "
                "--rung-rule top"
            )
        self.rungs.rule = "top"

    def on_trial_result(self, controller: object, trial: Trial, result: Mapping[str, float]) -> str:
        """Stops the trial or lets it go on."""
        key = self.trial_key(trial)
        if key is None:
            return str(TrialScheduler.CONTINUE)
        decision = self.rungs.report(key, result[self.time_attr], result[self._metric])
        if decision is None:
            return str(TrialScheduler.CONTINUE)
        self.on_decision(decision)
        return str(TrialScheduler.STOP if decision.stop else TrialScheduler.CONTINUE)

    def promotable(self) -> Promotion | None:
        """Who goes on after all, before any new trial begins."""
        return self.rungs.promotable()

    def promote(self, trial: int | str, rung: int) -> None:
        """Tells that `trial` goes on from `rung`, now or in an earlier session."""
        self.rungs.promote(trial, rung)

    def replay(self, trial: int | str, epoch: float, value: float) -> Decision | None:
        """Tells a result of an earlier session, in the order of that session."""
        return self.rungs.report(trial, epoch, value)

    def replay_failure(self, trial: int | str, epoch: float) -> None:
        """Tells that `trial` diverged or failed in `epoch`, now or in an earlier session."""
        self.rungs.report_failure(trial, epoch)

    def is_control(self, index: int) -> bool:
        """Whether trial number `index`, if a rung stops it, is finished later to see where it would
        have come; by the seed and `index` alone."""
        return bool(np.random.default_rng([self.seed, index, AUDIT]).random() < self.audit)

    def expected(self, *, trials: int, concurrent: int) -> Expectation:
        """How many trials will reach each rung, simulated for the rule in use."""
        return expected(self.rungs, trials=trials, concurrent=concurrent)

    def describe(self) -> dict[str, object]:
        """The strategy as plain JSON, for `study.json`."""
        return {
            "scheduler": "asha",
            "grace_period": self.rungs.grace_period,
            "reduction_factor": self.rungs.reduction_factor,
            "max_epochs": self.rungs.max_epochs,
            "rung_rule": self.rungs.rule,
            "rungs": self.rungs.milestones,
            "audit": self.audit,
        }
