"""The rungs that earlier sessions of a study left, from its journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from search_spaces.asha import ASHA
from search_spaces.rungs import Decision
from tune_jobs.runtime.journal import Event, TrialRecord
from tune_jobs.runtime.recorder import blamed, ended


def rebuild(
    asha: ASHA, events: Sequence[Event], trials: Mapping[int, TrialRecord], metric: str
) -> list[Event]:
    """Tells the scheduler all results, promotions and failures again, in their order.

    The machine may have lost power between a result and the lines that say what followed from it.

    Args:
        asha: knows metric and mode, and no trial yet.
        events: of the journal.
        trials: by index, as the journal has them; one that should have been stopped is.
        metric: what its rungs compare.

    Returns:
        The lines that the journal lacks.
    """
    written = {(e["trial"], e["rung"]) for e in events if e["event"] == "decision"}
    followed = {(e["trial"], e["rung"]) for e in events if e["event"] == "ended" and "rung" in e}
    missing: list[Event] = []
    for event in events:
        if event["event"] == "result":
            trial = trials[event["trial"]]
            if trial.status == "finished" and event["epoch"] == trial.epochs:
                # Tune asks no scheduler about the result that a trial ends with by itself.
                continue
            value = event["metrics"][metric]
            decision = asha.replay(event["trial"], event["epoch"], value)
            if decision is None:
                continue
            at = (decision.trial, decision.rung)
            if at not in written:
                missing.append({"event": "decision", **asdict(decision)})
            if at not in followed:
                missing += _stop(asha, decision, trial)
        elif event["event"] == "promoted":
            asha.promote(event["trial"], event["rung"])
        elif blamed(event):
            asha.replay_failure(event["trial"], event["epoch"])
    return missing


def _stop(asha: ASHA, decision: Decision, trial: TrialRecord) -> list[Event]:
    """Ends a trial that should have been; who has been promoted since has not ended, and has been
    stopped all the same."""
    if not decision.stop or trial.ended:
        return []
    control = asha.is_control(trial.index)
    trial.status = "stopped"
    return [ended(trial.index, decision.rung, {"status": None}, decision, control)]
