"""Cost estimate of a study before its first trial: epochs, time, hours, bytes, money."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from rich.filesize import decimal

from search_spaces.objective import Expectation
from tune_cluster.callbacks.retention import largest_checkpoint
from tune_cluster.execution.options import OPEN_END
from tune_cluster.execution.ray_tune.study import Study
from tune_cluster.execution.rehearsal import Rehearsal, rehearse
from tune_cluster.storage.checkpoints import checkpoint_sizes


@dataclass(frozen=True, kw_only=True)
class CostEstimate:
    """Estimated remaining cost of a study.

    All times and sizes are None if the trainable cannot be measured.
    """

    expectation: Expectation
    """Expectation of the whole study."""
    epochs: float
    """Total number of remaining epochs of all trials."""
    makespan: float
    """Epochs on the critical path, with as many trials at once as the cluster holds."""
    rehearsals: Sequence[Rehearsal]
    """Rehearsals of a few configurations; empty if none were made."""
    cpus: float
    """Total cores of all trials that run at once."""
    gpus: int
    """Number of whole GPUs in use, however small the share of a trial."""
    checkpoints: int
    """Largest number of checkpoints that exist at once."""
    checkpoint_budget: int | None = None
    """Limit of their bytes; None without one."""
    time_budget: float | None = None
    """Seconds after which the study ends; None without a limit."""
    open_end: bool = False
    """Whether no limit of a trial's epochs was given, so that `epochs` and `makespan` are
    meaningless."""
    per_gpu_hour: float | None = None
    """Price of a GPU-hour, in the user's currency; None if not given."""

    @property
    def measured(self) -> list[Rehearsal]:
        """Rehearsals without an error, the one with the cheapest epoch first."""
        found = [rehearsal for rehearsal in self.rehearsals if not rehearsal.error]
        return sorted(found, key=lambda rehearsal: rehearsal.epoch_seconds)

    @property
    def epoch_seconds(self) -> float | None:
        """Seconds of an epoch, as the mean over the measured configurations."""
        return _mean([rehearsal.epoch_seconds for rehearsal in self.measured])

    @property
    def seconds(self) -> float | None:
        """Seconds from the first trial to the last."""
        if self.open_end:
            return self.time_budget
        if self.epoch_seconds is None:
            return None
        return min(self.makespan * self.epoch_seconds, self.time_budget or math.inf)

    @property
    def cpu_hours(self) -> float | None:
        """Hours of the trials' cores, for the duration of the study."""
        return None if self.seconds is None else self.cpus * self.seconds / 3600

    @property
    def gpu_hours(self) -> float | None:
        """Hours of whole GPUs, for the duration of the study, as they are billed."""
        return None if self.seconds is None else self.gpus * self.seconds / 3600

    @property
    def money(self) -> float | None:
        """Price of the GPU-hours."""
        if self.gpu_hours is None or self.per_gpu_hour is None:
            return None
        return self.gpu_hours * self.per_gpu_hour

    @property
    def checkpoint_bytes(self) -> float | None:
        """Mean bytes of the saved checkpoints; 0 without any."""
        return _mean([rehearsal.checkpoint_bytes for rehearsal in self.measured])

    @property
    def largest_checkpoint(self) -> int | None:
        """Bytes of the largest saved checkpoint; None without any."""
        return max((rehearsal.checkpoint_bytes for rehearsal in self.measured), default=0) or None

    @property
    def study_bytes(self) -> float | None:
        """Bytes of all checkpoints when the study is largest."""
        size = self.checkpoint_bytes
        if size is None:
            return None
        # The copy in `best/` does not count towards the quota.
        limit = math.inf if self.checkpoint_budget is None else self.checkpoint_budget + size
        return min(size * self.checkpoints, limit)

    def describe(self) -> dict[str, Any]:
        """Return the estimate as plain JSON, for `study.json`."""
        hours = ("seconds", "cpu_hours", "gpu_hours", "money")
        names = ("epochs", "epoch_seconds", *hours, "checkpoint_bytes", "study_bytes")
        described = {name: getattr(self, name) for name in names}
        return {**described, "epochs": None} if self.open_end else described


def estimate_cost(study: Study, *, step: bool) -> CostEstimate:
    """Simulate the rungs and rehearse a few trials.

    Args:
        study: not begun yet.
        step: whether a step of a trainable that cannot be measured is tried.
    """
    options, scheduler = study.options, study.scheduler
    concurrent = min(study.max_concurrent, study.total)
    longest = [cost.epochs for cost in study.searcher.costs if cost.epochs is not None]
    max_epochs = math.ceil(fmean(longest)) if longest else study.max_epochs
    expectation = scheduler.expected(
        trials=study.total, concurrent=concurrent, max_epochs=max_epochs
    )
    epochs, makespan = expectation.epochs, expectation.makespan
    left = epochs_left(study, epochs)
    return CostEstimate(
        expectation=expectation,
        epochs=left,
        # Epochs of one trial are sequential, however many trials run beside it.
        makespan=max(makespan * left / epochs, min(left, max(epochs_begun(study), default=0))),
        rehearsals=rehearse(study, step=step),
        cpus=concurrent * options.cpus_per_trial,
        gpus=gpus_held(concurrent, options.gpus_per_trial),
        checkpoints=most_checkpoints(study),
        checkpoint_budget=None if study.quota is None else study.quota.total,
        time_budget=options.time_budget,
        open_end=max_epochs >= OPEN_END,
        per_gpu_hour=options.price_per_gpu_hour,
    )


def epochs_left(study: Study, expected: float) -> float:
    """Return the remaining epochs, given the expected epochs of the whole study."""
    left = expected * (1 - len(study.trials) / study.total) + sum(epochs_begun(study))
    origins = study.searcher.origins
    left -= sum(origin.epoch for index, origin in origins.items() if index not in study.trials)
    return max(min(left, _budget_left(study)), 0.0)


def _budget_left(study: Study) -> float:
    """Return the remaining epochs of the epoch budget, in which lost epochs count; infinite without
    a budget."""
    if study.options.epoch_budget is None:
        return math.inf
    return max(study.options.epoch_budget - study.state.epochs_run, 0)


def epochs_begun(study: Study) -> list[float]:
    """Return, for each unfinished trial of earlier sessions, the epochs to its next rung, where it
    may be stopped, or to its end."""
    scheduler = study.scheduler
    stations = [*scheduler.rungs, study.max_epochs]
    at = [trial.epochs for trial in study.trials.values() if not trial.ended]
    at += [promotion.rung for promotion in scheduler.promotable()]
    return [next((s for s in stations if s > epoch), epoch) - epoch for epoch in at]


def gpus_held(concurrent: int, gpus_per_trial: float) -> int:
    """Return whole GPUs for `concurrent` trials; a trial of 0.4 GPU cannot be spread over two."""
    if 0 < gpus_per_trial < 1:
        return math.ceil(concurrent / int(1 / gpus_per_trial + 1e-9))
    return int(concurrent * gpus_per_trial)


def most_checkpoints(study: Study) -> int:
    """Return the largest number of checkpoints that exist at once; `retention` decides which.

    A running trial has its best, its latest and the one being written; of ended trials a few keep
    their best, and those that may be promoted their latest; `best/` has a copy.
    """
    running = most_running(study)
    ended = max(_most_begun(study) - running, 0)
    best = min(study.options.keep_best, ended) if study.space.parameters else ended
    latest = math.ceil(ended * study.scheduler.kept_share)
    return best + latest + 3 * running + 1


def _most_begun(study: Study) -> int:
    """Return the largest number of trials that begin: each costs an epoch of a limited budget.

    Trials that run when it is spent end with their next result.
    """
    begun = len(study.trials) + _budget_left(study) + study.max_concurrent
    return int(min(study.total, begun))


def divide_quota(study: Study, checkpoint: int | None = None) -> None:
    """Divide the quota, if there is one, by the size of a checkpoint if it is known; before the
    first trial begins. Raise a ValueError if the quota is too small."""
    if study.quota is None:
        return
    largest = largest_checkpoint(study.checkpoints, study.trials, study.retry)
    study.quota.divide(most_running(study), max(checkpoint or 0, largest) or None)


def most_running(study: Study) -> int:
    """Return the largest number of trials that have the checkpoints of a running one."""
    if study.scheduler.synchronous:
        # A trial that waits for the others has its checkpoints too.
        return study.total
    trials = list(study.trials.values())
    unfinished = sum(not trial.ended for trial in trials)
    at_once = min(study.max_concurrent, study.total)
    if len(trials) - unfinished < study.total or study.scheduler.next_promotion():
        return max(at_once, unfinished)
    return at_once


def check_room(study: Study, estimate: CostEstimate) -> None:
    """Check that the checkpoints of a study will fit on its storage."""
    if study.bucket is not None or estimate.study_bytes is None:
        return
    # A new study's directory does not exist yet.
    folder = next(path for path in study.directory.absolute().parents if path.exists())
    stored = [checkpoint_sizes(study.checkpoints / name) for name in study.checkpoints.folders()]
    more = estimate.study_bytes - sum(sum(sizes.values()) for sizes in stored)
    free = shutil.disk_usage(folder).free
    if more > free:
        raise ValueError(
            f"--storage-path {folder}: the study's checkpoints will take up to "
            f"{decimal(round(more))} more, and {decimal(free)} are free; make room, or give "
            "another --storage-path"
        )


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None
