"""A few steps of a handful of configurations, before the study: their seconds and checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from search_spaces.searchers.sobol_search import SobolSearch
from tune_cluster.cluster.capacity import fitting
from tune_cluster.cluster.compat import free_resources_by_node
from tune_cluster.execution.ray_tune.study import Study
from tune_cluster.execution.ray_tune.trainable import assigned_gpus
from tune_cluster.storage.inside import bytes_in
from tune_cluster.storage.scratch import scratch
from tune_cluster.trial.memory import limit_gpu_memory

POINTS = 8
"""Configurations that are rehearsed, 0.3 s each of the default MLP. Sobol points: each eighth of
the range of every hyperparameter has one."""

GPU_SECONDS = 60.0
"""What a rehearsal on GPUs may take. It is over after 10 to 20, unless others have the GPUs."""


@dataclass(frozen=True)
class Rehearsal:
    """What a few steps have told of one configuration."""

    config: dict[str, Any]
    step_seconds: float = 0.0
    epoch_seconds: float = 0.0
    checkpoint_bytes: int = 0
    """Of the one that was saved; 0 where none was."""
    error: str = ""
    """What ended it, such as a lack of memory; then the rest is 0."""


def rehearse(study: Study) -> list[Rehearsal]:
    """Lets the trainable `measure` points of the space; nothing where it can't, or not yet.

    On a CPU that is done here, where torch is imported already (a worker of its own would cost 5 s,
    and Tune's trials would not take it over). On GPUs it is done where trials will run, by as many
    processes at once as will share one; nothing where none has room at the moment.
    """
    measure = getattr(study.parts.trainable, "measure", None)
    if measure is None:
        return []
    strategy = SobolSearch(study.space, seed=0)
    points = [strategy.point(index) for index in range(POINTS)]
    configs = [point for at, point in enumerate(points) if point not in points[:at]]
    data = {} if study.parts.dataset is None else {"data": study.parts.dataset.search}
    cpus, gpus = study.options.cpus_per_trial, study.options.gpus_per_trial
    if gpus == 0:
        return _measured(measure, configs, cpus, on_gpu=False, **data)
    nodes = free_resources_by_node().values()
    free = max((fitting(node, cpus, gpus) for node in nodes), default=0)
    sharing = min(study.max_concurrent, max(1, int(1 / gpus + 1e-9)), free)
    if sharing == 0:
        # What waits for room makes an autoscaler start a machine: not before a person has said yes.
        return []
    task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(_measured)
    shared = {name: ray.put(value) for name, value in data.items()}
    runs = [task.remote(measure, configs, cpus, on_gpu=True, **shared) for _ in range(sharing)]
    done, late = ray.wait(runs, num_returns=sharing, timeout=GPU_SECONDS)
    for run in late:
        ray.cancel(run, force=True)
    try:
        return [_slowest(of_one) for of_one in zip(*ray.get(done), strict=True)]
    except RayError:
        # Its process was lost, maybe with its node: nothing is known, and a trial is started again.
        return []


def _measured(
    measure: Callable[..., Mapping[str, float]],
    configs: Sequence[dict[str, Any]],
    cpus: float,
    *,
    on_gpu: bool,
    **data: Any,
) -> list[Rehearsal]:
    if on_gpu:
        # What does not fit is seen now, and nobody's trial beside it pays for that.
        limit_gpu_memory(assigned_gpus())
    rehearsals = []
    for config in configs:
        with scratch() as folder:
            try:
                told = measure(config, folder, cpus=cpus, on_gpu=on_gpu, **data)
                seconds = told["step_seconds"], told["epoch_seconds"]
            except Exception as error:
                reason = str(error).partition("\n")[0]
                rehearsals.append(Rehearsal(config, error=f"{type(error).__name__}: {reason}"))
                continue
            size = bytes_in(Path(folder))
        rehearsals.append(Rehearsal(config, *seconds, checkpoint_bytes=size))
    return rehearsals


def _slowest(rehearsals: Sequence[Rehearsal]) -> Rehearsal:
    """Of one configuration by several processes: those that began first had the GPU for
    themselves."""
    failed = [rehearsal for rehearsal in rehearsals if rehearsal.error]
    slowest = max(rehearsals, key=lambda rehearsal: rehearsal.epoch_seconds)
    return failed[0] if failed else slowest
