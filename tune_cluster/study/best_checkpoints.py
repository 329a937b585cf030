"""The checkpoints of a study, the best first."""

from __future__ import annotations

from collections.abc import Iterator

from search_spaces.trial_events import Epoch
from tune_cluster.storage.checkpoints import Checkpoint, TrialCheckpoints, dirname_of
from tune_cluster.storage.retry import StorageRetry
from tune_cluster.storage.store import Store
from tune_cluster.study.state import StudyState


def best_checkpoints(
    checkpoints: Store, state: StudyState, meant: tuple[int, Epoch], retry: StorageRetry
) -> Iterator[Checkpoint]:
    """Yield the checkpoint of a trial and epoch, then others, the best first; some may be damaged.

    Args:
        checkpoints: store of the checkpoints, in which each trial has a store of its own.
        state: state of the study.
        meant: trial and epoch of the first, if its checkpoint is there.
        retry: retries of the storage.
    """

    def of(index: int) -> TrialCheckpoints:
        return TrialCheckpoints(checkpoints / dirname_of(index), state.objective.mode, retry)

    first = of(meant[0]).of_epoch(meant[1])
    if first is not None:
        yield first
    found = [
        (index, checkpoint)
        for index, trial in state.trials.items()
        for checkpoint in of(index).newest_first()
        # Its trial may have been killed before the report, and never have resumed.
        if checkpoint.donor is None and checkpoint.epoch in trial.results
    ]
    key = state.objective.key
    found.sort(key=lambda at: (key(at[1].value), at[0], at[1].epoch))
    yield from (checkpoint for index, checkpoint in found if (index, checkpoint.epoch) != meant)
