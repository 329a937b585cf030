"""The rungs that earlier sessions of a study left, from its journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from search_spaces.schedulers.asha import ASHA
from search_spaces.trial_events import Decision, Ended, Event, Promoted, Result
from tune_cluster.execution.ray_tune.recorder import stopped
from tune_cluster.study.state import StudyState


def rebuild(asha: ASHA, events: Sequence[Event], state: StudyState) -> list[Event]:
    """Tell the scheduler all results, promotions and failures again, in their order.

    The machine may have lost power between a result and the lines that say what followed from it.

    Args:
        asha: knows metric and mode, and no trial yet.
        events: of the journal.
        state: of the study, after `events`.

    Returns:
        The events that the journal lacks.
    """
    written = {(e.trial, e.rung): e.stop for e in events if isinstance(e, Decision)}
    last = {e.trial: number for number, e in enumerate(events) if isinstance(e, Result)}
    followed = {(e.trial, e.rung) for e in events if isinstance(e, Ended) and e.rung is not None}
    metric = state.objective.metric
    missing: list[Event] = []
    stopped_now: set[int] = set()
    for number, event in enumerate(events):
        if isinstance(event, Result):
            trial = state.trials[event.trial]
            if trial.status == "finished" and number == last[trial.index]:
                # Tune asks no scheduler about the result that a trial ends with by itself.
                continue
            decision = asha.replay(event.trial, event.epoch, event.metrics[metric])  # type: ignore[arg-type]
            if decision is None:
                continue
            at = (int(decision.trial), decision.rung)
            stop = written.get(at, decision.stop)
            if at not in written:
                missing.append(Decision(**asdict(decision)))
            if not stop:
                # An earlier version may have decided otherwise of equal trials.
                asha.promote(*at)
            elif at not in followed and not trial.ended and trial.index not in stopped_now:
                # Who has been promoted since has not ended, and has been stopped all the same.
                stopped_now.add(trial.index)
                control = asha.is_control(trial.index)
                missing.append(stopped(event.trial, event.epoch, decision.rung, is_control=control))
        elif isinstance(event, Promoted):
            asha.promote(event.trial, event.rung)  # type: ignore[arg-type]
        elif isinstance(event, Ended) and event.blamed:
            asha.replay_failure(event.trial, event.epoch)
    return missing
