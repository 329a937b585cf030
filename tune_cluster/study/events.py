"""The events of a study's journal: one class each, which says what its line in the journal has.

A line is a JSON object with the `event`'s name, the fields of its class, and

- `time`: seconds since 1970;
- `n` and `crc`: the number of the line, and the CRC-32 of what stands before it in the line. What
  was lost, repeated or changed since it was written is known by them. Journals of earlier versions
  have neither.

What searchers and schedulers are told is in `search_spaces.trial_events`, all else is here. To add
an event is to add its class, and its name to `KINDS`. Which events may follow each other, and what
they mean, is up to `tune_cluster.study.state`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, StrictBool, ValidationError
from rich.filesize import decimal

from search_spaces.trial_events import (
    Count,
    Decision,
    Earlier,
    Ended,
    Epoch,
    Epochs,
    EpochsLost,
    Event,
    Exploited,
    NotExploited,
    Number,
    Promoted,
    Result,
    RungJudged,
    StartPoint,
    StartPointsLeftOut,
    Suggested,
    TrainedEpoch,
    TrialEnd,
    TrialEvent,
)
from tune_cluster.storage.integrity import described


@dataclass(frozen=True, kw_only=True)
class Session(Event):
    """A driver began."""

    name = "session"

    command: list[str] | None = None
    """As typed."""
    resumed: StrictBool | None = None
    notices: list[str] | None = None
    """That it has shown."""


@dataclass(frozen=True, kw_only=True)
class Started(TrialEvent):
    """A trial runs. Again after each resume or recovery."""

    name = "started"


@dataclass(frozen=True, kw_only=True)
class Retried(TrialEvent):
    """After an error a trial was started again in its process; or its process or node was lost, and
    it goes on in another."""

    name = "retried"

    epoch: Epoch
    """That it did not come through."""
    reason: str
    lost: StrictBool = False
    """Whether its process was."""
    traceback: str = ""
    """All that Ray tells of a lost process."""

    def line(self, metric: str) -> str:
        """In which epoch, and why."""
        return f"retried    trial {self.trial} in epoch {self.epoch}: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class ResetFailed(TrialEvent):
    """A trial was given a used process that could not be reset, and starts in a fresh one."""

    name = "reset_failed"

    reason: str

    def line(self, metric: str) -> str:
        """Why the process could not be reset."""
        return (
            f"not reset  the used process that trial {self.trial} was given: {self.reason}; it "
            "starts in a fresh one, which takes seconds (told once; journal.jsonl has each)"
        )


@dataclass(frozen=True, kw_only=True)
class Share(TrialEvent):
    """A trial starts again with a larger share of a GPU."""

    name = "share"

    epoch: Epochs
    gpus: Annotated[list[Number], Field(min_length=2, max_length=2)]
    """The share whose memory was not enough, and the one that it starts again with."""

    def line(self, metric: str) -> str:
        """The shares before and after."""
        before, after = self.gpus
        return (
            f"share      trial {self.trial} is out of the memory of {before:g} GPU after epoch "
            f"{self.epoch}: goes on with {after:g}"
        )


@dataclass(frozen=True, kw_only=True)
class Restored(TrialEvent):
    """A trial went on from a checkpoint."""

    name = "restored"

    epoch: Epochs
    """That the checkpoint is of; 0: its start."""
    unreadable: list[str]
    """Checkpoints."""

    def line(self, metric: str) -> str:
        """From which epoch on, and which checkpoints could not be read."""
        unreadable = ", ".join(self.unreadable)
        if self.epoch == 0:
            return f"unreadable trial {self.trial}: {unreadable}; it begins again"
        note = f"; unreadable: {unreadable}" if unreadable else ""
        return f"restored   trial {self.trial} at epoch {self.epoch}{note}"


@dataclass(frozen=True, kw_only=True)
class LeftOut(TrialEvent):
    """What a trial reports and is no number; told once a name and session."""

    name = "left_out"

    metrics: dict[str, str]
    """By name, its type."""

    def line(self, metric: str) -> str:
        """Each name with its type."""
        metrics = ", ".join(f"{name} ({kind})" for name, kind in self.metrics.items())
        return (
            f"left out   of the reports of trial {self.trial}, since it is no number (told once): "
            f"{metrics}"
        )


@dataclass(frozen=True, kw_only=True)
class SavedCheckpoint(TrialEvent):
    """A checkpoint was saved."""

    name = "checkpoint"

    epoch: Epoch
    path: str
    """Within the study."""


@dataclass(frozen=True, kw_only=True)
class Unsaved(TrialEvent):
    """A checkpoint did not fit into what the quota allows a trial, beside a better one; told once a
    trial and session."""

    name = "unsaved"

    epoch: Epoch
    needed: Count
    """Bytes."""
    allowed: Count
    """Bytes."""

    def line(self, metric: str) -> str:
        """Its size, and the room that there is."""
        return (
            f"unsaved    trial {self.trial} after epoch {self.epoch}: its checkpoint of "
            f"{decimal(self.needed)} does not fit beside a better one into the "
            f"{decimal(self.allowed)} that --checkpoint-budget leaves a trial: it keeps its best "
            "alone"
        )


@dataclass(frozen=True, kw_only=True)
class Unkept(TrialEvent):
    """A trial ended as the best one, and its best checkpoint was deleted: it did not fit into what
    the quota leaves for those that have ended."""

    name = "unkept"

    needed: Count
    """Bytes."""
    allowed: Count
    """Bytes."""

    def line(self, metric: str) -> str:
        """Its size, and the room that there is."""
        return (
            f"unkept     trial {self.trial}, the best: its checkpoint of {decimal(self.needed)} "
            f"does not fit into the {decimal(self.allowed)} that --checkpoint-budget leaves for "
            "trials that have ended, and is deleted"
        )


@dataclass(frozen=True, kw_only=True)
class SlotsChanged(Event):
    """So many trials may run at once from here on, since nodes have come or gone, or for a
    `reason`: one was killed again and again for memory that others had."""

    name = "width"

    trials: Count
    reason: str = ""

    def line(self, metric: str, before: int | None = None) -> str:
        """How many, how many before where that is known, and why."""
        trials = f"{self.trials} trial{'' if self.trials == 1 else 's'} at once"
        known = "" if before is None else f", {before} before"
        return f"width      {trials}{known}: {self.reason or 'nodes have come or gone'}"


@dataclass(frozen=True, kw_only=True)
class NodeRefused(Event):
    """A node that has joined is no good."""

    name = "node_refused"

    node: str
    reasons: list[str]

    def line(self, metric: str) -> str:
        """Which node, and what is wrong with it."""
        return (
            f"refused    node {self.node}, which has joined: it {'; it '.join(self.reasons)}. No "
            "trial runs there"
        )


@dataclass(frozen=True, kw_only=True)
class Repaired(Event):
    """The study is a copy of a damaged one, with what was whole of it."""

    name = "repaired"

    of: str
    """The damaged study."""
    left_out: Count
    """Lines of its journal."""


@dataclass(frozen=True, kw_only=True)
class Closed(Event):
    """The driver ended."""

    name = "closed"

    why: str


# Of journals from before an audit was a study of its own: trials that a rung had stopped were
# finished as controls, in the directory `0012-control` of the study itself. Only `reports.audit`
# reads what became of them; the state of a study ignores it.


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
class ControlRetried(Retried):
    """A control, or a trial, was started again."""

    control: StrictBool


@dataclass(frozen=True, kw_only=True)
class ControlRestored(Restored):
    """A control, or a trial, went on from a checkpoint."""

    control: StrictBool


WITH_CONTROL: Mapping[str, type[Event]] = {
    kind.name: kind for kind in (Drawn, ControlRetried, ControlRestored)
}
"""By its name, what an event is that has the field `control`."""

KINDS: Mapping[str, type[Event]] = {
    kind.name: kind
    for kind in (
        *(Session, Earlier, StartPoint, Suggested, Started, Retried, ResetFailed, Share),
        *(Restored, EpochsLost, LeftOut, Result, SavedCheckpoint, Unsaved, Unkept, Decision),
        *(Promoted, Exploited, NotExploited, RungJudged, Ended, SlotsChanged, NodeRefused),
        *(StartPointsLeftOut, Repaired, Closed, ControlStarted, Control, ControlEnded),
    )
}
"""All events by their names."""


def read_event(content: Any) -> Event:
    """The event of a line of a journal, its JSON without `n` and `crc`; a ValueError says the field
    and what is wrong with it."""
    if not isinstance(content, dict):
        raise ValueError("no JSON object")
    name = content.get("event")
    if not isinstance(name, str):
        raise ValueError("event is missing, or no text")
    if name not in KINDS:
        raise ValueError(
            f"the event {name[:40]!r} is unknown to this version; a newer one may have written it"
        )
    kinds = WITH_CONTROL if "control" in content else {}
    try:
        return kinds.get(name, KINDS[name]).from_json(content)
    except ValidationError as error:
        raise ValueError(f"{name}.{described(error)}") from None
