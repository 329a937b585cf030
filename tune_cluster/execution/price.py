"""What a study will cost, known before its first trial: epochs, time, hours, bytes, money."""

from __future__ import annotations

import itertools
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from rich.filesize import decimal

from search_spaces.schedulers.expectation import Expectation
from tune_cluster.execution.keeping import most_running
from tune_cluster.execution.ray_tune.study import Study
from tune_cluster.execution.rehearsal import Rehearsal, rehearse


@dataclass(frozen=True)
class Controls:
    """The trials that are finished after a rung has stopped them."""

    count: float
    epochs: float
    """That they take, of all of them together."""


@dataclass(frozen=True, kw_only=True)
class Price:
    """What is left to be paid for a study.

    All that is counted in seconds or bytes is None where the trainable can't be measured.
    """

    expectation: Expectation
    """Of the whole study."""
    controls: Controls | None
    """Of the whole study; None where the rungs are not audited."""
    epochs: float
    """That are left to be run, of all trials together."""
    makespan: float
    """Epochs one after another, at this cluster's width."""
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
        known = self.gpu_hours is not None and self.per_gpu_hour is not None
        return self.gpu_hours * self.per_gpu_hour if known else None  # type: ignore[operator]

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
        """The price as plain JSON, for `study.json`."""
        hours = ("seconds", "cpu_hours", "gpu_hours", "money")
        names = ("epochs", "epoch_seconds", *hours, "checkpoint_bytes", "study_bytes")
        return {name: getattr(self, name) for name in names}


def price_of(study: Study) -> Price:
    """Simulates the rungs and rehearses a handful of trials."""
    options, scheduler = study.options, study.parts.scheduler
    width = min(study.max_concurrent, study.total)
    controls = None
    expectation = scheduler.expected(
        trials=study.total, concurrent=width, max_epochs=study.max_epochs
    )
    epochs, makespan = expectation.epochs, expectation.makespan
    if scheduler.audit > 0:
        controls = expected_controls(expectation, scheduler.audit)
        epochs, makespan = epochs + controls.epochs, makespan + controls.epochs / width
    left = epochs_left(study, epochs)
    return Price(
        expectation=expectation,
        controls=controls,
        epochs=left,
        # However many run beside it, a trial's epochs come one after the other.
        makespan=max(makespan * left / epochs, min(left, max(epochs_begun(study), default=0))),
        rehearsals=rehearse(study),
        cpus=width * options.cpus_per_trial,
        gpus=gpus_held(width, options.gpus_per_trial),
        checkpoints=most_checkpoints(study),
        checkpoint_budget=None if study.quota is None else study.quota.total,
        time_budget=options.time_budget,
        per_gpu_hour=options.price_per_gpu_hour,
    )


def epochs_left(study: Study, expected: float) -> float:
    """The epochs that are still to be run.

    Args:
        study: with what earlier sessions have had.
        expected: epochs of the whole study, of which those trials take their share that are new.
    """
    trials = study.trials.values()
    left = expected * (1 - len(trials) / study.total) + sum(epochs_begun(study))
    if study.options.epoch_budget is not None:
        run = sum(len(t.results) + t.epochs_lost + len(t.control_results) for t in trials)
        left = min(left, study.options.epoch_budget - run)
    return max(left, 0.0)


def epochs_begun(study: Study) -> list[float]:
    """Of each trial that earlier sessions have begun and that goes on, the epochs to the next rung,
    where it may be stopped, or else to its end."""
    scheduler = study.parts.scheduler
    stations = [*scheduler.rungs, study.max_epochs]
    at = [trial.epochs for trial in study.trials.values() if not trial.ended]
    at += [promotion.rung for promotion in scheduler.promotable()]
    ahead = [next((s for s in stations if s > epoch), epoch) - epoch for epoch in at]
    controls = [
        study.max_epochs - max(trial.control_results, default=trial.epochs)
        for trial in study.trials.values()
        if trial.control_left
    ]
    return ahead + controls


def expected_controls(expectation: Expectation, share: float) -> Controls:
    """How many of the trials that are expected to be stopped are finished after all, if `share` of
    them are, and what that takes."""
    stations = sorted(expectation.reaching)
    count = epochs = 0.0
    for rung, ahead in itertools.pairwise(stations):
        stopped = share * (expectation.reaching[rung] - expectation.reaching[ahead])
        count += stopped
        epochs += stopped * (stations[-1] - rung)
    return Controls(count, epochs)


def gpus_held(width: int, gpus_per_trial: float) -> int:
    """Whole GPUs under `width` trials; a trial of 0.4 GPU can't be spread over two."""
    if 0 < gpus_per_trial < 1:
        return math.ceil(width / int(1 / gpus_per_trial + 1e-9))
    return int(width * gpus_per_trial)


def most_checkpoints(study: Study) -> int:
    """The checkpoints that a study has at once, at its largest: see `retention` for who keeps what.

    Those that run have their best, their latest and the one that they write; of the others a few
    keep their best, and those that may go on their latest; `best/` has a copy.
    """
    running = most_running(study)
    goes_on = study.parts.scheduler.promotes or study.parts.scheduler.audit > 0
    ended = max(study.total - running, 0)
    best = min(study.options.keep_best, ended) if study.space.parameters else ended
    return best + ended * goes_on + 3 * running + 1


def check_room(study: Study, price: Price) -> None:
    """Holds what the checkpoints will take against what is free where they are kept.

    Raises:
        ValueError: it is more; both numbers are in it.
    """
    if study.bucket is not None or price.study_bytes is None:
        return
    # A new study's directory is not there yet.
    folder = next(path for path in study.directory.absolute().parents if path.exists())
    more = price.study_bytes - sum(study.checkpoints.sizes().values())
    free = shutil.disk_usage(folder).free
    if more > free:
        raise ValueError(
            f"--storage-path {folder}: the study's checkpoints will take up to "
            f"{decimal(round(more))} more, and {decimal(free)} are free; make room, or give "
            "another --storage-path"
        )


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None
