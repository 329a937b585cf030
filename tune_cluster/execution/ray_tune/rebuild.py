"""The rungs that earlier sessions of a study left, from its journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from search_spaces.schedulers.asha import ASHA
from tune_cluster.execution.ray_tune.recorder import blamed, ended
from tune_cluster.study.journal import Epoch, Event, TrialRecord
from tune_cluster.trial.report import TrialReport


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
    written = {(e["trial"], e["rung"]): e["stop"] for e in events if e["event"] == "decision"}
    last = {e["trial"]: number for number, e in enumerate(events) if e["event"] == "result"}
    followed = {(e["trial"], e["rung"]) for e in events if e["event"] == "ended" and "rung" in e}
    missing: list[Event] = []
    for number, event in enumerate(events):
        if event["event"] == "result":
            trial = trials[event["trial"]]
            if trial.status == "finished" and number == last[trial.index]:
                # Tune asks no scheduler about the result that a trial ends with by itself.
                continue
            value = event["metrics"][metric]
            decision = asha.replay(event["trial"], event["epoch"], value)
            if decision is None:
                continue
            at = (decision.trial, decision.rung)
            stop = written.get(at, decision.stop)
            if at not in written:
                missing.append({"event": "decision", **asdict(decision)})
            if not stop:
                # An earlier version may have decided otherwise of equal trials.
                asha.promote(*at)
            elif at not in followed:
                missing += _stop(asha, decision.rung, event["epoch"], trial)
        elif event["event"] == "promoted":
            asha.promote(event["trial"], event["rung"])
        elif blamed(event):
            asha.replay_failure(event["trial"], event["epoch"])
    return missing


def _stop(asha: ASHA, rung: int, epoch: Epoch, trial: TrialRecord) -> list[Event]:
    """Ends a trial that should have been; who has been promoted since has not ended, and has been
    stopped all the same."""
    if trial.ended:
        return []
    control = asha.is_control(trial.index)
    trial.status = "stopped"
    return [ended(trial.index, TrialReport(epoch=epoch), rung, control)]
