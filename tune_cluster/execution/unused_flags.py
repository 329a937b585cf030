"""Refuses flags that were given and would change nothing."""

from __future__ import annotations

import inspect

from tune_cluster.execution.flags import Command, flag
from tune_cluster.execution.ray_tune.capabilities import overrides
from tune_cluster.execution.ray_tune.study import Study


def refuse_unused_flags(command: Command, study: Study) -> None:
    """Holds the shared flags that were given against the job that has built its Tuner.

    Raises:
        ValueError: one of them has no effect.
    """
    trainable = study.parts.trainable
    # Whether a function reports checkpoints shows only when it runs.
    saves = not inspect.isclass(trainable) or overrides(trainable, "save_checkpoint")
    unused = {}
    if study.parts.dataset is None:
        unused = dict.fromkeys(("dataset", "data_dir"), "this job takes no dataset")
    if not saves:
        why = f"{trainable.__name__} has no save_checkpoint, so that there are none"
        unused.update(dict.fromkeys(("keep_best", "checkpoint_budget"), why))
    if command.flags.gpus_per_trial == 0:
        unused["price_per_gpu_hour"] = "a trial has no GPU; give --gpus-per-trial too"
    if command.flags.max_epochs != study.max_epochs:
        unused["max_epochs"] = f"this job trains for {study.max_epochs}, whatever the flag says"
    for name, why in unused.items():
        if name in command.given:
            raise ValueError(f"{flag(name)} {getattr(command.flags, name)}: {why}")
