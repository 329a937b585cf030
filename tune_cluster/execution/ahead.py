"""Checkpoints of epochs that the journal does not know, since its last lines were lost.

A disk that lost power may keep a trial's checkpoint and lose the lines of the epochs before it. A
trial that went on from there would never have told those epochs. A checkpoint is written before its
report, so that one of the next report is no sign of a loss.
"""

from __future__ import annotations

from collections.abc import Mapping

from search_spaces.objective import Mode
from tune_cluster.storage.checkpoints import (
    Checkpoint,
    TrialCheckpoints,
    control_dirname,
    dirname_of,
)
from tune_cluster.storage.retry import StorageRetry, print_line
from tune_cluster.storage.store import Store
from tune_cluster.study.state import TrialState


def drop_ahead(
    checkpoints: Store, trials: Mapping[int, TrialState], mode: Mode, retry: StorageRetry
) -> None:
    """Deletes them before a trial goes on, which trains those epochs again, and says so.

    Args:
        checkpoints: where the checkpoints of all trials lie, in a file system. One in a bucket
            keeps what its trial has reported before it.
        trials: by index, as the journal has them.
        mode: of the study's metric.
        retry: of the storage.

    Raises:
        StorageLostError: the storage failed, and did not come back.
    """
    for name in retry(checkpoints.folders):
        index = int(name) if name.isdigit() else None
        if index is None or name != dirname_of(index):
            continue
        trial = trials.get(index)
        store = checkpoints / name
        found = TrialCheckpoints(store, mode, retry).newest_first()
        ahead = [one for one in found if trial is None or _is_ahead(one, trial)]
        for checkpoint in ahead:
            store.drop(checkpoint.name)
        if trial is None:
            for left in (store, checkpoints / control_dirname(index)):
                for checkpoint_name in retry(left.folders):
                    left.drop(checkpoint_name)
        if ahead:
            known = 0 if trial is None else trial.epochs
            print_line(
                f"storage: trial {index} has a checkpoint of epoch {ahead[0].epoch}, and the "
                f"journal ends with its epoch {known}: later ones are trained again"
            )


def _is_ahead(checkpoint: Checkpoint, trial: TrialState) -> bool:
    if checkpoint.epoch <= trial.epochs:
        return False
    return trial.ended or checkpoint.iteration > len(trial.results) + 1
