"""Time of an epoch, measured before a study: by the trainable's `measure`, or by a step of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import ray
from ray import tune
from ray.exceptions import RayError

from search_spaces.searchers.sobol_search import SobolSearch
from tune_cluster.cluster.capacity import fitting
from tune_cluster.cluster.compat import free_resources_by_node
from tune_cluster.execution.ray_tune.compat import storage_in
from tune_cluster.execution.ray_tune.study import Study
from tune_cluster.execution.ray_tune.trainable import assigned_gpus, job_directory, tune_trainable
from tune_cluster.storage.checkpoints import checkpoint_sizes, dirname_of
from tune_cluster.storage.inside import bytes_in
from tune_cluster.storage.store import LocalStore, scratch
from tune_cluster.trial.messages import TrialReport, TrialSettings
from tune_cluster.trial.process import limit_gpu_memory

REHEARSED_CONFIGS = 8
"""Number of rehearsed configurations, 0.3 s each for the default MLP. They are Sobol points: each
eighth of the range of every hyperparameter has one."""

REHEARSAL_SECONDS = 20.0
"""Time after which no further configuration is rehearsed in the driver."""

GPU_REHEARSAL_SECONDS = 60.0
"""Time limit of a rehearsal on GPUs. It takes 10 to 20 s, unless the GPUs are busy."""


@dataclass(frozen=True)
class Rehearsal:
    """Measurement of a few steps of one configuration."""

    config: dict[str, Any]
    step_seconds: float = 0.0
    epoch_seconds: float = 0.0
    checkpoint_bytes: int = 0
    """Bytes of the saved checkpoint; 0 without one."""
    error: str = ""
    """Error that ended it, such as lack of memory; the other fields are then 0."""


SHORT_STEP_SECONDS = 5.0
"""Seconds below which a first step is followed by a second one, which imports nothing."""

STEP_SECONDS = 60.0
"""Time limit of a measured step in seconds, including its process and its imports."""


def rehearse(study: Study, *, step: bool) -> list[Rehearsal]:
    """Measure a few steps; return nothing if that is not possible, or not yet.

    Nothing is measured where trials of another study with the same configurations have shown it.

    Args:
        study: study that has not begun; for a resumed one without `measure`, its own epochs count.
        step: whether to try a step of a trainable without `measure`.
    """
    if study.searcher.costs:
        return [
            Rehearsal(
                dict(cost.config),
                epoch_seconds=cost.epoch_seconds,
                checkpoint_bytes=cost.checkpoint_bytes,
            )
            for cost in study.searcher.costs
        ]
    if hasattr(study.trainable, "measure"):
        return _rehearse(study, study.trainable.measure)
    if done := [trial for trial in study.trials.values() if trial.results and trial.seconds]:
        return [
            Rehearsal(trial.config, epoch_seconds=trial.seconds / len(trial.results))
            for trial in done
        ]
    return _try_step(study) if step else []


def _try_step(study: Study) -> list[Rehearsal]:
    """Run a step of the trainable where trials will run, in a process of its own, and save."""
    cpus, gpus = study.options.cpus_per_trial, study.options.gpus_per_trial
    if not any(fitting(node, cpus, gpus) for node in free_resources_by_node().values()):
        return []
    config = SobolSearch(study.space, seed=0).suggest(0)
    settings = TrialSettings(
        study.objective,
        "",
        seed=study.options.seed,
        sequential=True,
        working_directory=job_directory(),
    )
    # Its process ends with it, since a function would continue in a thread.
    task: Any = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0, max_calls=1)(_stepped)
    run = task.remote(study.trainable_class, config, settings)
    return [Rehearsal(config, **fields) for fields in _results([run], STEP_SECONDS)]


def _stepped(
    trainable: type[tune.Trainable], config: dict[str, Any], settings: TrialSettings
) -> dict[str, Any]:
    """Return the fields of a `Rehearsal`."""
    with scratch() as folder:
        trials = Path(folder, "trials")
        trials.mkdir()
        here = replace(settings, checkpoints=str(trials))
        trial = tune_trainable(trainable, here)(config, storage=storage_in(folder, dirname_of(0)))
        for _ in range(2):
            began = time.monotonic()
            report = TrialReport.from_result(trial.train())
            seconds = time.monotonic() - began
            if report.status is not None or seconds > SHORT_STEP_SECONDS:
                break
        saved = checkpoint_sizes(LocalStore(trials / dirname_of(0))).values()
    if report.status in ("failed", "diverged"):
        return {"error": report.reason}
    return {"epoch_seconds": seconds, "checkpoint_bytes": max(saved, default=0)}


def _rehearse(study: Study, measure: Callable[..., Mapping[str, float]]) -> list[Rehearsal]:
    """Let the trainable `measure` points of the space.

    On a CPU this runs in the driver, where torch is imported already (a worker would cost 5 s, and
    Tune's trials could not use it). On GPUs it runs where trials will run, in as many processes at
    once as will share one; it is skipped if the GPUs are busy.
    """
    strategy = SobolSearch(study.space, seed=0)
    points = [strategy.suggest(index) for index in range(REHEARSED_CONFIGS)]
    configs = [point for at, point in enumerate(points) if point not in points[:at]]
    data = {} if study.dataset is None else {"data": study.dataset.search}
    cpus, gpus = study.options.cpus_per_trial, study.options.gpus_per_trial
    if gpus == 0:
        return _measured(measure, configs, cpus, on_gpu=False, **data)
    nodes = free_resources_by_node().values()
    free = max((fitting(node, cpus, gpus) for node in nodes), default=0)
    sharing = min(study.max_concurrent, max(1, int(1 / gpus + 1e-9)), free)
    if sharing == 0:
        # A waiting task would make an autoscaler start a machine before the user has agreed.
        return []
    # Ray's types allow no function with a keyword-only argument.
    task: Any = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(cast(Any, _measured))
    shared = {name: ray.put(value) for name, value in data.items()}
    runs = [task.remote(measure, configs, cpus, on_gpu=True, **shared) for _ in range(sharing)]
    results = _results(runs, GPU_REHEARSAL_SECONDS)
    return [_slowest(of_one) for of_one in zip(*results, strict=True)]


def _results(runs: Sequence[Any], seconds: float) -> list[Any]:
    """Return the results of those tasks that end in time, the others are killed; none if one was
    lost."""
    done, late = ray.wait([*runs], num_returns=len(runs), timeout=seconds)
    for run in late:
        ray.cancel(run, force=True)
    try:
        return [*ray.get(done)]
    except RayError:
        # The process was lost, maybe with its node: nothing is known, and a trial is retried.
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
        # Lack of memory must show now, without harm to trials beside it.
        limit_gpu_memory(assigned_gpus())
    rehearsals: list[Rehearsal] = []
    began = time.monotonic()
    for config in configs:
        # On GPUs several processes rehearse the same configurations.
        if rehearsals and not on_gpu and time.monotonic() - began > REHEARSAL_SECONDS:
            break
        with scratch() as folder:
            try:
                measured = measure(config, folder, cpus=cpus, on_gpu=on_gpu, **data)
                seconds = measured["step_seconds"], measured["epoch_seconds"]
            except Exception as error:
                reason = str(error).partition("\n")[0]
                rehearsals.append(Rehearsal(config, error=f"{type(error).__name__}: {reason}"))
                continue
            size = bytes_in(Path(folder))
        rehearsals.append(Rehearsal(config, *seconds, checkpoint_bytes=size))
    return rehearsals


def _slowest(rehearsals: Sequence[Rehearsal]) -> Rehearsal:
    """Return the slowest of several rehearsals of one configuration in parallel processes: the
    first ones had the GPU for themselves."""
    failed = [rehearsal for rehearsal in rehearsals if rehearsal.error]
    slowest = max(rehearsals, key=lambda rehearsal: rehearsal.epoch_seconds)
    return failed[0] if failed else slowest
