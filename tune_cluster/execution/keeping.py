"""What a study does about its checkpoints: divides their quota, and deletes those nobody needs."""

from __future__ import annotations

from tune_cluster.callbacks.retention import Retention, largest_checkpoint
from tune_cluster.execution.ahead import drop_ahead
from tune_cluster.execution.ray_tune.study import Study


def divide_quota(study: Study, checkpoint: int | None = None) -> None:
    """Says which bytes are whose, if there is a quota; before the first trial begins.

    Args:
        study: built, with the trials of earlier sessions.
        checkpoint: bytes of one; None where nobody knows.

    Raises:
        ValueError: the quota is too small.
        StorageLostError: the storage failed, and did not come back.
    """
    if study.quota is None:
        return
    largest = largest_checkpoint(study.checkpoints, study.trials, study.retry)
    study.quota.divide(most_running(study), max(checkpoint or 0, largest) or None)


def most_running(study: Study) -> int:
    """How many trials at most have the checkpoints of one that runs."""
    if study.parts.scheduler.synchronous:
        # Who waits for the others has its checkpoints too.
        return study.total
    trials = list(study.trials.values())
    unfinished = sum(not trial.ended for trial in trials)
    begun = sum(trial.control == "running" for trial in trials)
    at_once = min(study.max_concurrent, study.total)
    if len(trials) - unfinished < study.total or study.parts.scheduler.next_promotion():
        # Controls that an earlier session has begun keep their checkpoints until all have ended.
        return max(at_once, unfinished) + begun
    return max(at_once, begun)


def retain(study: Study) -> None:
    """Deletes what an open study does not need, now and from now on.

    Of one that searches nothing all trials keep their best: what is trained under several seeds is
    told of each.
    """
    if study.bucket is None:
        drop_ahead(study.checkpoints, study.trials, study.mode, study.retry)
    retention = Retention(
        study.state,
        study.checkpoints,
        keep_best=study.options.keep_best if study.space.parameters else None,
        scheduler=study.parts.scheduler,
        total=study.total,
        quota=study.quota,
        retry=study.retry,
        emit=study.emit,
    )
    study.listen(retention)
