"""A hyperparameter search cluster for PyTorch on Ray Tune: the public names.

`import tune_cluster as tune` instead of `from ray import tune` is the only change that an existing
Ray Tune script needs: names without a counterpart here are Ray's.
"""

from __future__ import annotations

import importlib
import logging
import sys
import warnings
from types import ModuleType
from typing import TYPE_CHECKING, Any

if sys.platform != "linux":
    raise ImportError(
        f"tune-cluster needs Linux, this is {sys.platform}: studies are locked by fcntl, and the "
        "output of trials is read from /proc"
    )

if TYPE_CHECKING:
    from tune_cluster.callbacks.base import Callback as Callback
    from tune_cluster.ensembles.ensemble import Ensemble as Ensemble
    from tune_cluster.execution.launcher import main as main
    from tune_cluster.execution.launcher import run as run
    from tune_cluster.execution.options import Options as Options
    from tune_cluster.execution.ray_tune.domains import int as int
    from tune_cluster.execution.ray_tune.domains import log as log
    from tune_cluster.execution.ray_tune.domains import logint as logint
    from tune_cluster.execution.result import StudyResult as StudyResult
    from tune_cluster.execution.search import search as search
    from tune_cluster.execution.tuner import RunConfig as RunConfig
    from tune_cluster.execution.tuner import TuneConfig as TuneConfig
    from tune_cluster.execution.tuner import Tuner as Tuner
    from tune_cluster.trial.script import arguments as arguments
    from tune_cluster.trial.script import device as device
    from tune_cluster.trial.script import epochs as epochs
    from tune_cluster.trial.script import parameters as parameters
    from tune_cluster.trial.script import report as report

    # The names above take precedence over Ray's.
    # isort: split
    from ray.tune import *  # type: ignore[assignment]  # noqa: F403

_OURS = {
    "Callback": "tune_cluster.callbacks.base",
    "Ensemble": "tune_cluster.ensembles.ensemble",
    "Options": "tune_cluster.execution.options",
    "RunConfig": "tune_cluster.execution.tuner",
    "StudyResult": "tune_cluster.execution.result",
    "TuneConfig": "tune_cluster.execution.tuner",
    "Tuner": "tune_cluster.execution.tuner",
    "arguments": "tune_cluster.trial.script",
    "device": "tune_cluster.trial.script",
    "epochs": "tune_cluster.trial.script",
    "int": "tune_cluster.execution.ray_tune.domains",
    "log": "tune_cluster.execution.ray_tune.domains",
    "logint": "tune_cluster.execution.ray_tune.domains",
    "main": "tune_cluster.execution.launcher",
    "parameters": "tune_cluster.trial.script",
    "report": "tune_cluster.trial.script",
    "run": "tune_cluster.execution.launcher",
    "search": "tune_cluster.execution.search",
}
"""Modules by name, imported on first use: reading a study needs no Ray."""

_WITHOUT_A_STUDY = ("Experiment", "ExperimentAnalysis", "run_experiments")
"""Names of Ray Tune that run or read trials without a study; left out here."""


def __getattr__(name: str) -> Any:
    if name in _OURS:
        return getattr(_imported(_OURS[name]), name)
    if name in ("schedulers", "stopper"):
        return _imported(f"ray.tune.{name}")
    if not name.startswith("_") and name in _rays():
        return getattr(_imported("ray.tune"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *_OURS, *_rays()]


def _rays() -> set[str]:
    return {*_imported("ray.tune").__all__} - {*_WITHOUT_A_STUDY}


def _imported(module: str) -> ModuleType:
    """Import a module. In a notebook without ipywidgets, tqdm and Ray would ask for that package,
    which nothing here uses."""
    logging.getLogger("ray.widgets").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="IProgress not found")
        return importlib.import_module(module)
