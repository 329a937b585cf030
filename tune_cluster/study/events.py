"""The events of a study's journal: one class each, whose fields are those of a line.

A line is a JSON object with the name of the `event`, the fields of its class, and

- `time`: seconds since 1970;
- `n` and `crc`: the number of the line, and the CRC-32 of everything before it in the line. They
  reveal lost, repeated and changed lines. Journals of earlier versions have neither.

The events that searchers and schedulers receive are in `search_spaces.trial_events`, all others are
here. A new event is a class here, and its name in `KINDS`. Their valid order and their meaning are
defined by `tune_cluster.study.state`.
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
    """A driver has begun."""

    name = "session"

    command: list[str] | None = None
    """Command as typed."""
    resumed: StrictBool | None = None
    notices: list[str] | None = None
    """Notices that it has shown."""


@dataclass(frozen=True, kw_only=True)
class Started(TrialEvent):
    """A trial has started; emitted again after each resume or recovery."""

    name = "started"


@dataclass(frozen=True, kw_only=True)
class Retried(TrialEvent):
    """A trial was started again in its process after an error; or its process or node was lost, and
    it continues in another one."""

    name = "retried"

    epoch: Epoch
    """Epoch that failed."""
    reason: str
    lost: StrictBool = False
    """Whether the trial's process was lost."""
    traceback: str = ""
    """Ray's message about a lost process."""

    def line(self, metric: str) -> str:
        """Return the epoch and the reason."""
        return f"retried    trial {self.trial} in epoch {self.epoch}: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class ResetFailed(TrialEvent):
    """A trial got a used process that could not be reset, and starts in a new one."""

    name = "reset_failed"

    reason: str

    def line(self, metric: str) -> str:
        """Return why the process could not be reset."""
        return (
            f"not reset  the used process that trial {self.trial} was given: {self.reason}; it "
            "starts in a new one, which takes seconds (shown once; journal.jsonl has each)"
        )


@dataclass(frozen=True, kw_only=True)
class Share(TrialEvent):
    """A trial starts again with a larger share of a GPU."""

    name = "share"

    epoch: Epochs
    gpus: Annotated[list[Number], Field(min_length=2, max_length=2)]
    """Share of a GPU whose memory was not enough, and the new share."""

    def line(self, metric: str) -> str:
        """Return both shares."""
        before, after = self.gpus
        return (
            f"share      trial {self.trial} is out of the memory of {before:g} GPU after epoch "
            f"{self.epoch}: continues with {after:g}"
        )


@dataclass(frozen=True, kw_only=True)
class Restored(TrialEvent):
    """A trial was restored from a checkpoint."""

    name = "restored"

    epoch: Epochs
    """Epoch of the checkpoint; 0 for a start without one."""
    unreadable: list[str]
    """Names of unreadable checkpoints."""

    def line(self, metric: str) -> str:
        """Return the epoch, and the unreadable checkpoints."""
        unreadable = ", ".join(self.unreadable)
        if self.epoch == 0:
            return f"unreadable trial {self.trial}: {unreadable}; it restarts from the beginning"
        note = f"; unreadable: {unreadable}" if unreadable else ""
        return f"restored   trial {self.trial} at epoch {self.epoch}{note}"


@dataclass(frozen=True, kw_only=True)
class LeftOut(TrialEvent):
    """Metrics that a trial reports but that are no numbers; once per name and session."""

    name = "left_out"

    metrics: dict[str, str]
    """Type of each, by name."""

    def line(self, metric: str) -> str:
        """Return each name with its type."""
        metrics = ", ".join(f"{name} ({kind})" for name, kind in self.metrics.items())
        return (
            f"left out   of the reports of trial {self.trial}, since it is no number (shown once): "
            f"{metrics}"
        )


@dataclass(frozen=True, kw_only=True)
class Interim(TrialEvent):
    """A trial has reported an epoch without the study's metric: it decides nothing."""

    name = "interim"

    epoch: Epoch
    metrics: dict[str, StrictBool | Number | None]


@dataclass(frozen=True, kw_only=True)
class SavedCheckpoint(TrialEvent):
    """A checkpoint was saved."""

    name = "checkpoint"

    epoch: Epoch
    path: str
    """Path within the study."""


@dataclass(frozen=True, kw_only=True)
class Unsaved(TrialEvent):
    """A checkpoint did not fit into a trial's share of the quota, beside a better one; once per
    trial and session."""

    name = "unsaved"

    epoch: Epoch
    needed: Count
    """Size of the checkpoint in bytes."""
    allowed: Count
    """Share of the trial in bytes."""

    def line(self, metric: str) -> str:
        """Return its size, and the share."""
        return (
            f"unsaved    trial {self.trial} after epoch {self.epoch}: its checkpoint of "
            f"{decimal(self.needed)} does not fit beside a better one into the "
            f"{decimal(self.allowed)} that --checkpoint-budget leaves a trial: it keeps its best "
            "alone"
        )


@dataclass(frozen=True, kw_only=True)
class Unkept(TrialEvent):
    """A trial ended as the best one, and its best checkpoint was deleted because it did not fit
    into the quota of ended trials."""

    name = "unkept"

    needed: Count
    """Size of the checkpoint in bytes."""
    allowed: Count
    """Share of the ended trials in bytes."""

    def line(self, metric: str) -> str:
        """Return its size, and the share."""
        return (
            f"unkept     trial {self.trial}, the best: its checkpoint of {decimal(self.needed)} "
            f"does not fit into the {decimal(self.allowed)} that --checkpoint-budget leaves for "
            "trials that have ended, and is deleted"
        )


@dataclass(frozen=True, kw_only=True)
class SlotsChanged(Event):
    """The number of trials that may run at once has changed: nodes have joined or left, or for a
    `reason`, such as a trial that was killed repeatedly for memory used by others."""

    name = "width"

    trials: Count
    reason: str = ""

    def line(self, metric: str, before: int | None = None) -> str:
        """Return the number, the number before if it is known, and the reason."""
        trials = f"{self.trials} trial{'' if self.trials == 1 else 's'} at once"
        known = "" if before is None else f", {before} before"
        return f"width      {trials}{known}: {self.reason or 'nodes have joined or left'}"


@dataclass(frozen=True, kw_only=True)
class NodeRefused(Event):
    """A node that has joined is unsuitable for trials."""

    name = "node_refused"

    node: str
    reasons: list[str]

    def line(self, metric: str) -> str:
        """Return the node and its problems."""
        return (
            f"refused    node {self.node}, which has joined: it {'; it '.join(self.reasons)}. No "
            "trial runs there"
        )


@dataclass(frozen=True, kw_only=True)
class Repaired(Event):
    """The study is a copy of the intact part of a damaged one."""

    name = "repaired"

    of: str
    """Address of the damaged study."""
    left_out: Count
    """Number of lines of its journal that are left out."""


@dataclass(frozen=True, kw_only=True)
class RoundJudged(Event):
    """All candidates of a confirmation were trained with one more seed, and compared."""

    name = "round_judged"

    round: Annotated[int, Field(strict=True, ge=1)]
    """Number of rounds so far, of one seed each."""
    of: Annotated[int, Field(strict=True, ge=1)]
    """Planned number of rounds."""
    best: str
    """Candidate with the best mean."""
    tied: list[str]
    """Candidates that cannot be told from the best."""
    continuing: list[str]
    """Candidates of the next round; empty if the verdict is final."""

    def line(self, metric: str) -> str:
        """Return who continues, or the verdict."""
        if self.continuing:
            found = f"{self.best} leads; the next round has {', '.join(self.continuing)}"
        elif self.tied:
            found = f"a tie of {', '.join((self.best, *self.tied))}"
        else:
            found = f"{self.best} is better than all others"
        return f"round      {self.round} of {self.of}: {found}"


@dataclass(frozen=True, kw_only=True)
class Closed(Event):
    """The driver has ended."""

    name = "closed"

    why: str


# For journals from before an audit was a study of its own: trials that a rung had stopped were
# finished as controls, in the directory `0012-control` of the study itself. Only `reports.audit`
# reads these events; the state of a study ignores them.


@dataclass(frozen=True, kw_only=True)
class ControlStarted(TrialEvent):
    """A stopped trial continues as a control."""

    name = "control_started"


@dataclass(frozen=True, kw_only=True)
class Control(TrainedEpoch):
    """A control has completed an epoch."""

    name = "control"


@dataclass(frozen=True, kw_only=True)
class ControlEnded(TrialEnd):
    """A control has ended."""

    name = "control_ended"


@dataclass(frozen=True, kw_only=True)
class Drawn(Ended):
    """A trial has ended, with the decision whether to finish it as a control."""

    control: StrictBool


@dataclass(frozen=True, kw_only=True)
class ControlRetried(Retried):
    """A control, or a trial, was started again."""

    control: StrictBool


@dataclass(frozen=True, kw_only=True)
class ControlRestored(Restored):
    """A control, or a trial, was restored from a checkpoint."""

    control: StrictBool


WITH_CONTROL: Mapping[str, type[Event]] = {
    kind.name: kind for kind in (Drawn, ControlRetried, ControlRestored)
}
"""Classes of events that have the field `control`, by name."""

KINDS: Mapping[str, type[Event]] = {
    kind.name: kind
    for kind in (
        *(Session, Earlier, StartPoint, Suggested, Started, Retried, ResetFailed, Share),
        *(Restored, EpochsLost, LeftOut, Interim, Result, SavedCheckpoint, Unsaved, Unkept),
        *(Decision, Promoted, Exploited, NotExploited, RungJudged, Ended, SlotsChanged),
        *(NodeRefused, StartPointsLeftOut, Repaired, Closed, ControlStarted, Control),
        *(ControlEnded, RoundJudged),
    )
}
"""Classes of all events, by name."""


def read_event(content: Any) -> Event:
    """Return the event of a line, from its JSON without `n` and `crc`; raise a ValueError that
    names the wrong field."""
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
