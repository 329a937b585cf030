"""What a trial's process tells the driver beside metrics: a part of each result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ray

from search_spaces.mode import sign_of
from tune_cluster.study.journal import Epoch
from tune_cluster.trial.gpu_share import gpus_of_process
from tune_cluster.trial.reported import BAD_VALUE, metrics_of

REPORT = "trial_report"
"""The key of a result under which it is."""


def told(result: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The result of an epoch.

    Args:
        result: numbers by name, `step_losses` and `done`.
        more: `checkpoint`, `restored`, `retried`, `unsaved`, and as `first_report` has them.
    """
    report = {
        "node": ray.get_runtime_context().get_node_id()[:8],
        "metrics": metrics_of(result),
        "step_losses": result.get("step_losses", []),
        "status": "finished" if result.get("done") else None,
    }
    return {**result, REPORT: {**report, **more}}


def bad_end(metric: str, mode: str, epoch: Epoch, **more: Any) -> dict[str, Any]:
    """The result of a trial that diverged or failed in `epoch`: a finite bad value."""
    value = -sign_of(mode) * BAD_VALUE
    report = {"metrics": {}, "checkpoint": None, **more}
    return {metric: value, "epoch": epoch, "done": True, REPORT: report}


def again(
    epoch: Epoch, why: str, retried: Sequence[dict[str, Any]], *, reason: str = ""
) -> dict[str, Any]:
    """Asks for a fresh process after `epoch`: for a larger share, or since the reset failed, for
    that `reason`."""
    asked = {"again": why, "gpus": gpus_of_process(), "retried": retried, "reason": reason}
    return {"epoch": epoch, REPORT: asked}


def elsewhere(harms: Sequence[Any]) -> dict[str, Any]:
    """Asks for a process on another node, before the first epoch on this one."""
    node = ray.get_runtime_context().get_node_id()
    return {"epoch": 0, REPORT: {"again": "node", "node": node, "harms": harms}}
