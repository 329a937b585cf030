"""Events of journals from before an audit was a study of its own: it lay in the audited one.

Trials that a rung had stopped were finished as controls, in the directory `0012-control`. Only
`tune_cluster.reports.audit` still reads what became of them; the state of a study ignores it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import StrictBool

from search_spaces.trial_events import (
    Ended,
    Epoch,
    Epochs,
    Event,
    TrainedEpoch,
    TrialEnd,
    TrialEvent,
)


@dataclass(frozen=True, kw_only=True)
class ControlStarted(TrialEvent):
    """A stopped trial goes on as a control."""

    name = "control_started"


@dataclass(frozen=True, kw_only=True)
class Control(TrainedEpoch):
    """An epoch of a control."""

    name = "control"


@dataclass(frozen=True, kw_only=True)
class ControlEnded(TrialEnd):
    """A control has ended."""

    name = "control_ended"


@dataclass(frozen=True, kw_only=True)
class Drawn(Ended):
    """A trial has ended; whether it is to be finished as a control."""

    control: StrictBool


@dataclass(frozen=True, kw_only=True)
class ControlRetried(TrialEvent):
    """A control, or a trial, was started again."""

    name = "retried"

    epoch: Epoch
    reason: str
    lost: StrictBool = False
    traceback: str = ""
    control: StrictBool


@dataclass(frozen=True, kw_only=True)
class ControlRestored(TrialEvent):
    """A control, or a trial, went on from a checkpoint."""

    name = "restored"

    epoch: Epochs
    unreadable: list[str]
    control: StrictBool


KINDS = (ControlStarted, Control, ControlEnded)

MARKED: Mapping[str, type[Event]] = {
    kind.name: kind for kind in (Drawn, ControlRetried, ControlRestored)
}
"""By its name, what an event is that has the field `control`."""
