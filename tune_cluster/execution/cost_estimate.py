"""What a study will cost, known before its first trial: epochs, time, hours, bytes, money."""

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
from tune_cluster.execution.ray_tune.study import Study
from tune_cluster.execution.rehearsal import Rehearsal, rehearse


@dataclass(frozen=True, kw_only=True)
class CostEstimate:
    """What is left to be paid for a study.

    All that is counted in seconds or bytes is None where the trainable can't be measured.
    """

    expectation: Expectation
    """Of the whole study."""
    epochs: float
    """That are left to be run, of all trials together."""
    makespan: float
    """Epochs one after another, as many trials at once as the cluster holds."""
    rehearsals: Sequence[Rehearsal]
    """Of a handful of configurations, or none."""
    cpus: float
    """Cores that all trials at once have together."""
    gpus: int
    """Whole GPUs that they are on, however small a share each has."""
    checkpoints: int
    """That the study has at once, at its largest."""
    checkpoint_budget: int | None = None
    """Bytes that they may take."""
    time_budget: float | None = None
    """Seconds after which it ends."""
    per_gpu_hour: float | None = None
    """Money, in the person's own currency."""

    @property
    def measured(self) -> list[Rehearsal]:
        """The rehearsals that no error has ended, the one with the cheapest epoch first."""
        found = [rehearsal for rehearsal in self.rehearsals if not rehearsal.error]
        return sorted(found, key=lambda rehearsal: rehearsal.epoch_seconds)

    @property
    def epoch_seconds(self) -> float | None:
        """The mean over the configurations stands for the study's."""
        return _mean([rehearsal.epoch_seconds for rehearsal in self.measured])

    @property
    def seconds(self) -> float | None:
        """From the first trial to the last."""
        if self.epoch_seconds is None:
            return None
        return min(self.makespan * self.epoch_seconds, self.time_budget or math.inf)

    @property
    def cpu_hours(self) -> float | None:
        """Of the cores that trials have, for as long as the study takes."""
        return None if self.seconds is None else self.cpus * self.seconds / 3600

    @property
    def gpu_hours(self) -> float | None:
        """Of whole GPUs, for as long as the study takes: that is what is billed."""
        return None if self.seconds is None else self.gpus * self.seconds / 3600

    @property
    def money(self) -> float | None:
        """For the GPU-hours."""
        if self.gpu_hours is None or self.per_gpu_hour is None:
            return None
        return self.gpu_hours * self.per_gpu_hour

    @property
    def checkpoint_bytes(self) -> float | None:
        """Of one checkpoint, mean over those that were saved; 0 where none is."""
        return _mean([rehearsal.checkpoint_bytes for rehearsal in self.measured])

    @property
    def largest_checkpoint(self) -> int | None:
        """Bytes of the largest one that was saved; None where none was."""
        return max((rehearsal.checkpoint_bytes for rehearsal in self.measured), default=0) or None

    @property
    def study_bytes(self) -> float | None:
        """Of all checkpoints at once, at the study's largest."""
        size = self.checkpoint_bytes
        if size is None:
            return None
        # What is copied to `best/` is in no quota.
        limit = math.inf if self.checkpoint_budget is None else self.checkpoint_budget + size
        return min(size * self.checkpoints, limit)

    def describe(self) -> dict[str, Any]:
        """The estimate as plain JSON, for `study.json`."""
        hours = ("seconds", "cpu_hours", "gpu_hours", "money")
        names = ("epochs", "epoch_seconds", *hours, "checkpoint_bytes", "study_bytes")
        return {name: getattr(self, name) for name in names}


def estimate_cost(study: Study, *, step: bool) -> CostEstimate:
    """Simulate the rungs and rehearse a handful of trials.

    Args:
        study: not begun yet.
        step: whether a step of a trainable that cannot be measured is tried.
    """
    options, scheduler = study.options, study.scheduler
    concurrent = min(study.max_concurrent, study.total)
    expectation = scheduler.expected(
        trials=study.total, concurrent=concurrent, max_epochs=study.max_epochs
    )
    epochs, makespan = expectation.epochs, expectation.makespan
    left = epochs_left(study, epochs)
    return CostEstimate(
        expectation=expectation,
        epochs=left,
        # However many run beside it, a trial's epochs come one after the other.
        makespan=max(makespan * left / epochs, min(left, max(epochs_begun(study), default=0))),
        rehearsals=rehearse(study, step=step),
        cpus=concurrent * options.cpus_per_trial,
        gpus=gpus_held(concurrent, options.gpus_per_trial),
        checkpoints=most_checkpoints(study),
        checkpoint_budget=None if study.quota is None else study.quota.total,
        time_budget=options.time_budget,
        per_gpu_hour=options.price_per_gpu_hour,
    )


def epochs_left(study: Study, expected: float) -> float:
    """The epochs that are still to be run, of so many that are expected of the whole study."""
    left = expected * (1 - len(study.trials) / study.total) + sum(epochs_begun(study))
    origins = study.searcher.origins
    left -= sum(origin.epoch for index, origin in origins.items() if index not in study.trials)
    return max(min(left, _budget_left(study)), 0.0)


def _budget_left(study: Study) -> float:
    """The epochs that the budget still allows, those that were lost counted; without end if there
    is none."""
    if study.options.epoch_budget is None:
        return math.inf
    return max(study.options.epoch_budget - study.state.epochs_run, 0)


def epochs_begun(study: Study) -> list[float]:
    """Of each trial that earlier sessions have begun and that goes on, the epochs to the next rung,
    where it may be stopped, or else to its end."""
    scheduler = study.scheduler
    stations = [*scheduler.rungs, study.max_epochs]
    at = [trial.epochs for trial in study.trials.values() if not trial.ended]
    at += [promotion.rung for promotion in scheduler.promotable()]
    return [next((s for s in stations if s > epoch), epoch) - epoch for epoch in at]


def gpus_held(concurrent: int, gpus_per_trial: float) -> int:
    """Whole GPUs under `concurrent` trials; a trial of 0.4 GPU can't be spread over two."""
    if 0 < gpus_per_trial < 1:
        return math.ceil(concurrent / int(1 / gpus_per_trial + 1e-9))
    return int(concurrent * gpus_per_trial)


def most_checkpoints(study: Study) -> int:
    """The checkpoints that a study has at once, at its largest: see `retention` for who keeps what.

    Those that run have their best, their latest and the one that they write; of the others a few
    keep their best, and those that may go on their latest; `best/` has a copy.
    """
    running = most_running(study)
    ended = max(_most_begun(study) - running, 0)
    best = min(study.options.keep_best, ended) if study.space.parameters else ended
    latest = math.ceil(ended * study.scheduler.kept_share)
    return best + latest + 3 * running + 1


def _most_begun(study: Study) -> int:
    """How many trials will have begun at most: each costs an epoch, of which there may be a budget.

    Those that run when it is spent are told so by their next result.
    """
    begun = len(study.trials) + _budget_left(study) + study.max_concurrent
    return int(min(study.total, begun))


def divide_quota(study: Study, checkpoint: int | None = None) -> None:
    """Says which bytes are whose, if there is a quota, by those of a checkpoint where they are
    known; before the first trial begins. A ValueError where the quota is too small."""
    if study.quota is None:
        return
    largest = largest_checkpoint(study.checkpoints, study.trials, study.retry)
    study.quota.divide(most_running(study), max(checkpoint or 0, largest) or None)


def most_running(study: Study) -> int:
    """How many trials at most have the checkpoints of one that runs."""
    if study.scheduler.synchronous:
        # Who waits for the others has its checkpoints too.
        return study.total
    trials = list(study.trials.values())
    unfinished = sum(not trial.ended for trial in trials)
    at_once = min(study.max_concurrent, study.total)
    if len(trials) - unfinished < study.total or study.scheduler.next_promotion():
        return max(at_once, unfinished)
    return at_once


def check_room(study: Study, estimate: CostEstimate) -> None:
    """Refuse a study whose checkpoints will take more bytes than are free where they are kept."""
    if study.bucket is not None or estimate.study_bytes is None:
        return
    # A new study's directory is not there yet.
    folder = next(path for path in study.directory.absolute().parents if path.exists())
    more = estimate.study_bytes - sum(study.checkpoints.sizes().values())
    free = shutil.disk_usage(folder).free
    if more > free:
        raise ValueError(
            f"--storage-path {folder}: the study's checkpoints will take up to "
            f"{decimal(round(more))} more, and {decimal(free)} are free; make room, or give "
            "another --storage-path"
        )


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None
