"""A hyperparameter search cluster for PyTorch on Ray Tune: the public names.

`import tune_cluster as tune` in the place of `from ray import tune` is all that an existing Ray
Tune script has to change: names that a study has no mechanism of its own for are Ray's.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if sys.platform != "linux":
    raise ImportError(
        f"tune-cluster needs Linux, this is {sys.platform}: studies are locked by fcntl, and the "
        "output of trials is read from /proc"
    )

if TYPE_CHECKING:
    from ray.tune import Checkpoint as Checkpoint
    from ray.tune import CheckpointConfig as CheckpointConfig
    from ray.tune import FailureConfig as FailureConfig
    from ray.tune import PlacementGroupFactory as PlacementGroupFactory
    from ray.tune import ResultGrid as ResultGrid
    from ray.tune import Trainable as Trainable
    from ray.tune import choice as choice
    from ray.tune import create_scheduler as create_scheduler
    from ray.tune import create_searcher as create_searcher
    from ray.tune import get_checkpoint as get_checkpoint
    from ray.tune import get_context as get_context
    from ray.tune import grid_search as grid_search
    from ray.tune import lograndint as lograndint
    from ray.tune import loguniform as loguniform
    from ray.tune import qlograndint as qlograndint
    from ray.tune import qloguniform as qloguniform
    from ray.tune import qrandint as qrandint
    from ray.tune import qrandn as qrandn
    from ray.tune import quniform as quniform
    from ray.tune import randint as randint
    from ray.tune import randn as randn
    from ray.tune import report as report
    from ray.tune import sample_from as sample_from
    from ray.tune import uniform as uniform
    from ray.tune import with_parameters as with_parameters
    from ray.tune import with_resources as with_resources

    from tune_cluster.callbacks.base import Callback as Callback
    from tune_cluster.execution.launcher import main as main
    from tune_cluster.execution.launcher import run as run
    from tune_cluster.execution.options import Options as Options
    from tune_cluster.execution.result import StudyResult as StudyResult
    from tune_cluster.execution.tuner import RunConfig as RunConfig
    from tune_cluster.execution.tuner import TuneConfig as TuneConfig
    from tune_cluster.execution.tuner import Tuner as Tuner

_OURS = {
    "Callback": "tune_cluster.callbacks.base",
    "Options": "tune_cluster.execution.options",
    "RunConfig": "tune_cluster.execution.tuner",
    "StudyResult": "tune_cluster.execution.result",
    "TuneConfig": "tune_cluster.execution.tuner",
    "Tuner": "tune_cluster.execution.tuner",
    "main": "tune_cluster.execution.launcher",
    "run": "tune_cluster.execution.launcher",
}
"""By name, the module, imported when it is asked for: what only reads a study needs no Ray."""

_RAYS = (
    *("Checkpoint", "CheckpointConfig", "FailureConfig", "PlacementGroupFactory", "ResultGrid"),
    *("Trainable", "choice", "create_scheduler", "create_searcher", "get_checkpoint"),
    *("get_context", "grid_search", "lograndint", "loguniform", "qlograndint", "qloguniform"),
    *("qrandint", "qrandn", "quniform", "randint", "randn", "report", "sample_from", "uniform"),
    *("with_parameters", "with_resources"),
)

__all__ = sorted([*_OURS, *_RAYS])


def __getattr__(name: str) -> Any:
    if name in _OURS:
        return getattr(importlib.import_module(_OURS[name]), name)
    if name in _RAYS:
        return getattr(importlib.import_module("ray.tune"), name)
    if name in ("schedulers", "search", "stopper"):
        return importlib.import_module(f"ray.tune.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
