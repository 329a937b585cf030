"""The events of a study's journal: one class each, which says what its line in the journal has.

A line is a JSON object with the `event`'s name, what its class says below, and

- `time`: seconds since 1970;
- `n` and `crc`: the number of the line, and the CRC-32 of what stands before it in the line. What
  was lost, repeated or changed since it was written is known by them. Journals of earlier versions
  have neither.

A trial is named by its index. `check_event` holds an event against its class; to add an event is to
add its class, in `AnyEvent` too. Whether events go together is up to `tune_cluster.study.order`.

Needs neither Ray nor torch.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias, get_args, get_type_hints

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter
from typing_extensions import NotRequired, TypedDict

from tune_cluster.storage.integrity import check

Event: TypeAlias = dict[str, Any]
"""Of whatever kind, as it is read and written."""

STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

LARGEST = 2**53
"""The largest whole number that every reader of JSON knows to the last digit."""

Index: TypeAlias = Annotated[int, Field(ge=0, le=LARGEST)]
"""Of a trial."""


def _no_whole_number(epoch: float) -> float:
    if epoch.is_integer():
        raise ValueError("a whole epoch is written without a point")
    return epoch


Part: TypeAlias = Annotated[float, Field(gt=0, le=LARGEST), AfterValidator(_no_whole_number)]
"""Of an epoch, or one and a part: of a trainable that reports more than once an epoch."""

Epoch: TypeAlias = Annotated[int, Field(ge=1, le=LARGEST)] | Part

Epochs: TypeAlias = Annotated[int, Field(ge=0, le=LARGEST)] | Part
"""That a trial has had, 0 before its first."""

Count: TypeAlias = Annotated[int, Field(ge=0, le=LARGEST)]

Number: TypeAlias = Annotated[int, Field(ge=-(2**1000), le=2**1000)] | float
"""That can be computed with."""

EndStatus: TypeAlias = Literal["finished", "stopped", "diverged", "failed"]


class _Line(TypedDict):
    __pydantic_config__ = STRICT  # type: ignore[misc]

    time: NotRequired[Number]
    n: NotRequired[Count]
    crc: NotRequired[Count]


class Session(_Line):
    """A driver began."""

    event: Literal["session"]
    command: NotRequired[list[str]]
    """As typed."""
    resumed: NotRequired[bool]
    notices: NotRequired[list[str]]
    """That it has shown."""


class Earlier(_Line):
    """A trial of an earlier study that the searcher was told."""

    event: Literal["earlier"]
    study: str
    config: dict[str, Any]
    values: dict[Annotated[str, Field(pattern=r"^[0-9]{1,16}(\.[0-9]{1,16})?(e-0[1-9])?$")], Number]
    """Of the metric, by epoch."""
    status: EndStatus


class _OfTrial(_Line):
    trial: Index


class Suggested(_OfTrial):
    """A trial has its configuration; the next index."""

    event: Literal["suggested"]
    config: dict[str, Any]


class Started(_OfTrial):
    """It runs. Again after each resume or recovery."""

    event: Literal["started"]


class Retried(_OfTrial):
    """After an error it was started again in its process; or its process or node was lost, and it
    goes on in another."""

    event: Literal["retried"]
    epoch: Epoch
    """That it did not come through."""
    reason: str
    lost: NotRequired[bool]
    """Whether its process was."""
    traceback: NotRequired[str]
    """All that Ray tells of a lost process."""
    control: NotRequired[bool]


class ResetFailed(_OfTrial):
    """It was given a used process that could not be reset, and starts in a fresh one."""

    event: Literal["reset_failed"]
    reason: str


class Share(_OfTrial):
    """It starts again with a larger share of a GPU."""

    event: Literal["share"]
    epoch: Epochs
    gpus: Annotated[list[Number], Field(min_length=2, max_length=2)]
    """The share whose memory was not enough, and the one that it starts again with."""


class Restored(_OfTrial):
    """It went on from a checkpoint."""

    event: Literal["restored"]
    epoch: Epochs
    """That the checkpoint is of; 0: its start."""
    unreadable: list[str]
    """Checkpoints."""
    control: NotRequired[bool]


class EpochsLost(_OfTrial):
    """It has begun again, or has gone on from an earlier checkpoint, and comes to the epoch `first`
    once more: what it had from there to `last` is not its own any more. What was decided by them
    stands: a rung compares a trial once."""

    event: Literal["epochs_lost"]
    first: Epoch
    last: Epoch
    unread: NotRequired[Epoch]
    """The epoch of the checkpoint that it was offered, and did not read."""


class LeftOut(_OfTrial):
    """What it reports and is no number; told once a name and session."""

    event: Literal["left_out"]
    metrics: dict[str, str]
    """By name, its type."""


class _Epoch(_OfTrial):
    epoch: Epoch
    node: NotRequired[str]
    """That it ran on."""
    metrics: dict[str, bool | Number | None]
    step_losses: NotRequired[list[Annotated[list[Number], Field(min_length=2, max_length=2)]]]
    """Where the trainable reports them, pairs of a step and its loss."""


class Result(_Epoch):
    """Once an epoch, unless that one is lost."""

    event: Literal["result"]


class SavedCheckpoint(_OfTrial):
    """A checkpoint was saved."""

    event: Literal["checkpoint"]
    epoch: Epoch
    path: str
    """Within the study."""


class Unsaved(_OfTrial):
    """A checkpoint did not fit into what a budget allows a trial, beside a better one; told once a
    trial and session."""

    event: Literal["unsaved"]
    epoch: Epoch
    needed: Count
    """Bytes."""
    allowed: Count


class Unkept(_OfTrial):
    """It ended as the best one, and its best checkpoint was deleted: it did not fit into what a
    budget leaves for those that have ended."""

    event: Literal["unkept"]
    needed: Count
    """Bytes."""
    allowed: Count


class RungDecision(_OfTrial):
    """A rung has compared it (`search_spaces.schedulers.rungs.Decision`)."""

    event: Literal["decision"]
    rung: Epoch
    value: Number
    cutoff: Number | None
    rank: Count
    of: Count
    stop: bool


class Promoted(_OfTrial):
    """It was stopped at a rung, and goes on after all."""

    event: Literal["promoted"]
    rung: Epoch
    value: Number
    rank: Count
    of: Count


class Exploited(_OfTrial):
    """A population's member goes on from the donor's weights after that epoch. Until then it
    waited for the others: that is no event."""

    event: Literal["exploited"]
    epoch: Epoch
    donor: Index
    value: Number
    donor_value: Number
    changes: dict[str, Annotated[list[Any], Field(min_length=2, max_length=2)]]
    """The values before and after of what changed in its configuration."""
    absent: NotRequired[list[str]]
    """Which of them it no longer has; without it those that are null after."""


class NotExploited(_OfTrial):
    """The donor's weights could not be had, and the member goes on with its own."""

    event: Literal["not_exploited"]
    epoch: Epoch
    donor: Index
    reason: str


class _End(_OfTrial):
    epoch: Epochs
    status: EndStatus
    reason: NotRequired[str]
    traceback: NotRequired[str]
    log: NotRequired[str]
    """The last 20 lines that a failed trial printed."""
    blameless: NotRequired[bool]
    """It lacked memory that it shared with others."""


class Ended(_End):
    """It has ended, unless it is promoted."""

    event: Literal["ended"]
    rung: NotRequired[Epoch]
    """That stopped it."""
    control: NotRequired[bool]
    """It is to be finished later, to see what the rungs have cost."""


class ControlStarted(_OfTrial):
    """The same trial is finished later. The events of a control are `started`, `result` (only of
    epochs that it had not had) and `ended`, apart from them because searcher and scheduler never
    know of them."""

    event: Literal["control_started"]


class Control(_Epoch):
    """An epoch of a control."""

    event: Literal["control"]


class ControlEnded(_End):
    """A control has ended."""

    event: Literal["control_ended"]


class WidthChanged(_Line):
    """So many trials may run at once from here on, since nodes have come or gone, or for a
    `reason`: one was killed again and again for memory that others had."""

    event: Literal["width"]
    trials: Count
    reason: NotRequired[str]


class NodeRefused(_Line):
    """A node that has joined is no good."""

    event: Literal["node_refused"]
    node: str
    reasons: list[str]


class Repaired(_Line):
    """The study is a copy of a damaged one, with what was whole of it."""

    event: Literal["repaired"]
    of: str
    """The damaged study."""
    left_out: Count
    """Lines of its journal."""


class Closed(_Line):
    """The driver ended."""

    event: Literal["closed"]
    why: str


AnyEvent: TypeAlias = (
    Session
    | Earlier
    | Suggested
    | Started
    | Retried
    | ResetFailed
    | Share
    | Restored
    | EpochsLost
    | LeftOut
    | Result
    | SavedCheckpoint
    | Unsaved
    | Unkept
    | RungDecision
    | Promoted
    | Exploited
    | NotExploited
    | Ended
    | ControlStarted
    | Control
    | ControlEnded
    | WidthChanged
    | NodeRefused
    | Repaired
    | Closed
)

_ANY: TypeAdapter[AnyEvent] = TypeAdapter(Annotated[AnyEvent, Field(discriminator="event")])

KINDS = frozenset(get_args(get_type_hints(kind)["event"])[0] for kind in get_args(AnyEvent))
"""The names of all events."""


def check_event(event: Any) -> None:
    """Refuse what is no event of a journal.

    Raises:
        ValueError: the field and what is wrong with it.
    """
    if not isinstance(event, dict):
        raise ValueError("no JSON object")
    name = event.get("event")
    if not isinstance(name, str):
        raise ValueError("event is missing, or no text")
    if name not in KINDS:
        raise ValueError(
            f"the event {name[:40]!r} is unknown to this version; a newer one may have written it"
        )
    check(_ANY, event)
