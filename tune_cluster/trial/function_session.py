"""Tune's session of a function: what the function is offered, and what it reports.

Many a function saves checkpoints and never reads one, as Ray's callbacks for Lightning and for
Transformers do: started again it begins anew, and nobody else knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ray import tune
from ray.train._internal.session import get_session
from ray.tune.result import RESULT_DUPLICATE

METRICS = "metrics"


class OfferedCheckpoint(tune.Checkpoint):
    """What `tune.get_checkpoint()` gives a function.

    Args:
        folder: where its files are.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder))
        self.used = False
        """Whether the function has done anything with it."""

    def __getattribute__(self, name: str) -> Any:
        if name not in ("used", "__class__", "__dict__"):
            self.used = True
        return super().__getattribute__(name)


class StoppedExit(SystemExit):
    """A function is stopped by Tune, in its report."""


@dataclass(frozen=True)
class _Unseen:
    """What a function has reported, and Ray does not look into: it refuses tensors."""

    metrics: Mapping[Any, Any]


def offer(folder: Path) -> OfferedCheckpoint:
    """Offers the function that is to be called the checkpoint in a folder."""
    offered = OfferedCheckpoint(folder)
    get_session().loaded_checkpoint = offered
    return offered


def take_reports() -> None:
    """Takes whatever the function that is to be called reports, tensors too."""
    session = get_session()
    session.report = partial(_report, partial(type(session).report, session))


def reported_metrics(result: Mapping[str, Any]) -> Mapping[Any, Any]:
    """What a function has reported, from Tune's result."""
    return result[METRICS].metrics if METRICS in result else result


def _report(report: Any, metrics: Mapping[Any, Any], *args: Any, **kwargs: Any) -> None:
    ends = RESULT_DUPLICATE in metrics
    try:
        report(metrics if ends else {METRICS: _Unseen(metrics)}, *args, **kwargs)
    except SystemExit as error:
        raise StoppedExit(error.code) from None
