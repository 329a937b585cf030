"""A scheduler attached to its study: what it is told of earlier sessions, and who hears of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from search_spaces.schedulers.asha import ASHA
from search_spaces.schedulers.pbt import PBT
from search_spaces.trial_events import Ended, Event
from tune_cluster.callbacks.base import Callback as StudyCallback
from tune_cluster.execution.ray_tune.rebuild import rebuild
from tune_cluster.execution.ray_tune.recorder import Recorder, index_of, runs_as_control
from tune_cluster.study.state import StudyState


class FailedTrials(StudyCallback):
    """Tells the scheduler of trials that diverged or failed by their configuration.

    Args:
        tell: told the index of the trial, and the epoch.
    """

    def __init__(self, tell: Callable[[int, float], None]) -> None:
        self._tell = tell

    def on_event(self, event: Event, state: StudyState, replay: bool) -> None:
        """Tell an end of this session; `attach_rungs` tells those of earlier ones."""
        if isinstance(event, Ended) and event.blamed and not replay:
            self._tell(event.trial, event.epoch)


def attach_rungs(asha: ASHA, recorder: Recorder, events: Sequence[Event]) -> list[Event]:
    """Attaches rungs that know metric and mode, and at which earlier sessions have had `events`.

    Returns:
        The lines that the journal lacks; a trial whose stop had been decided has ended.
    """
    missing = rebuild(asha, events, recorder.state)
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
