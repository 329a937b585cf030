"""A scheduler attached to its study: what it is told of earlier sessions, and who hears of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from search_spaces.schedulers.asha import ASHA
from search_spaces.schedulers.pbt import PBT
from tune_cluster.execution.ray_tune.rebuild import rebuild
from tune_cluster.execution.ray_tune.recorder import Recorder, index_of, runs_as_control
from tune_cluster.study.journal import Event


def attach_rungs(
    asha: ASHA, recorder: Recorder, events: Sequence[Event], metric: str
) -> list[Event]:
    """Attaches rungs that know metric and mode, and at which earlier sessions have had `events`.

    Returns:
        The lines that the journal lacks; a trial whose stop had been decided has ended.
    """
    missing = rebuild(asha, events, recorder.trials, metric)
    asha.trial_key = lambda trial: None if runs_as_control(trial) else index_of(trial)
    asha.on_decision = recorder.on_decision
    return missing


def attach_population(
    pbt: PBT, recorder: Recorder, members: int, concurrent: Callable[[], int]
) -> None:
    """Attaches a population of so many members, of which `concurrent` train at once."""
    pbt.population, pbt.concurrent = members, concurrent
    pbt.trial_key = index_of
    pbt.on_wait = recorder.on_wait
    pbt.on_exploit = recorder.on_exploit


def promoter(asha: ASHA, recorder: Recorder) -> Callable[[], int | None]:
    """Lets the next trial go on that may, and gives its index; None while there is none."""

    def promote() -> int | None:
        promotion = asha.promotable()
        if promotion is None:
            return None
        asha.promote(promotion.trial, promotion.rung)
        recorder.on_promotion(promotion)
        return int(promotion.trial)

    return promote
