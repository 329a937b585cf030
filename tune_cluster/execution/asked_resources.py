"""The resources that a trainable asks for itself, held against those that its trials have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ray import tune


def check_resources(
    trainable: Any, configs: Iterable[Mapping[str, Any]], *, cpus: float, gpus: float
) -> None:
    """Refuses what `tune.with_resources` or `default_resource_request` asks for and trials lack.

    All trials of a study have the same, by which it is planned before the first of them: so it is
    a flag that decides.

    Raises:
        ValueError: it asks for other resources than `cpus` and `gpus`.
    """
    for config in configs:
        asked = _asked(trainable, dict(config))
        if asked is None:
            continue
        filled = [bundle for bundle in asked.bundles if any(bundle.values())]
        if len(filled) > 1:
            raise ValueError(
                f"the trainable asks for {len(filled)} bundles of resources, and a trial here is "
                "one process: ask for one bundle, of CPU and GPU"
            )
        flags = {"CPU": ("--cpus-per-trial", cpus), "GPU": ("--gpus-per-trial", gpus)}
        for name, amount in asked.required_resources.items():
            if name not in flags:
                raise ValueError(
                    f"the trainable asks for {amount:g} of {name}: trials here have CPUs and GPUs"
                )
            flag, has = flags[name]
            if amount != has:
                raise ValueError(
                    f"the trainable asks for {amount:g} {name} a trial, and {flag} is {has:g}: "
                    f"give {flag} {amount:g}, or change what it asks for"
                )


def _asked(trainable: Any, config: dict[str, Any]) -> tune.PlacementGroupFactory | None:
    # A class has the one, `tune.with_resources` gives a function the other.
    asked: Any = getattr(trainable, "_resources", None)
    asked = getattr(trainable, "default_resource_request", asked)
    if asked is None or isinstance(asked, tune.PlacementGroupFactory):
        return asked
    return asked(config)
