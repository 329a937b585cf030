"""The events that searchers and schedulers are told, and what schedulers decide.

An event is one class, whose fields are those of its line in a study's journal: `to_json` leaves out
a field that has its default, and `from_json` refuses unknown fields and values of another type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import AfterValidator, ConfigDict, Field, Strict, StrictBool, TypeAdapter
from typing_extensions import Self

from search_spaces.objective import shown_value
from search_spaces.values import short

LARGEST = 2**53
"""The largest whole number that every reader of JSON knows to the last digit."""

Count: TypeAlias = Annotated[int, Field(strict=True, ge=0, le=LARGEST)]

Index: TypeAlias = Count
"""Of a trial."""


def _no_whole_number(epoch: float) -> float:
    if epoch.is_integer():
        raise ValueError("a whole epoch is written without a point")
    return epoch


Part: TypeAlias = Annotated[
    float, Field(strict=True, gt=0, le=LARGEST), AfterValidator(_no_whole_number)
]
"""Of an epoch, or one and a part: of a trainable that reports more than once an epoch."""

Epoch: TypeAlias = Annotated[int, Field(strict=True, ge=1, le=LARGEST)] | Part

Epochs: TypeAlias = Count | Part
"""That a trial has had, 0 before its first."""

Number: TypeAlias = (
    Annotated[int, Field(strict=True, ge=-(2**1000), le=2**1000)] | Annotated[float, Strict()]
)
"""That can be computed with."""

EndStatus: TypeAlias = Literal["finished", "stopped", "diverged", "failed"]


@dataclass(frozen=True, kw_only=True)
class Event:
    """What has happened in a study."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", allow_inf_nan=False)

    name: ClassVar[str]
    """Stands in a line of the journal under `event`."""

    time: Number | None = None
    """Seconds since 1970 at which it was written to the journal; None before."""

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> Self:
        """The event that `to_json` has written.

        Raises:
            ValueError: a field is missing, unknown or of another type (pydantic's ValidationError).
        """
        kind: Any = cls
        event: Self = _adapter(kind).validate_python({k: line[k] for k in line if k != "event"})
        return event

    def to_json(self) -> dict[str, Any]:
        """A line of the journal, without a field that has its default; the time comes last."""
        line: dict[str, Any] = {"event": self.name}
        kind: Any = type(self)
        for field_name, default in _defaults(kind):
            value = getattr(self, field_name)
            if default is MISSING or value != default:
                line[field_name] = value
        if self.time is not None:
            line["time"] = self.time
        return line

    def line(self, metric: str) -> str:
        """One line for a person; empty where a person need not know."""
        return ""


@cache
def _adapter(kind: type[Event]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


@cache
def _defaults(kind: type[Event]) -> tuple[tuple[str, Any], ...]:
    return tuple((field.name, field.default) for field in fields(kind) if field.name != "time")


@dataclass(frozen=True, kw_only=True)
class TrialEvent(Event):
    """What has happened to one trial."""

    trial: Index


@dataclass(frozen=True, kw_only=True)
class Earlier(Event):
    """A trial of an earlier study that the searcher was told."""

    name = "earlier"

    study: str
    config: dict[str, Any]
    values: dict[Annotated[str, Field(pattern=r"^[0-9]{1,16}(\.[0-9]{1,16})?(e-0[1-9])?$")], Number]
    """Of the metric, by epoch as text."""
    status: EndStatus


@dataclass(frozen=True, kw_only=True)
class StartPoint(Event):
    """A configuration that the study tries before what its searcher suggests."""

    name = "start_point"

    study: str
    """An earlier one, one of whose best trials had it."""
    config: dict[str, Any]
    """As far as it is searched; the rest has its default."""


@dataclass(frozen=True, kw_only=True)
class StartPointsLeftOut(TrialEvent):
    """The start points of earlier studies are not good here: no further one is tried."""

    name = "start_points_left_out"

    better_than: list[Index]
    """The trials that began with their first configurations, all worse than `trial`, whose
    configuration is the searcher's own."""
    points: Count
    """That are left out."""

    def line(self, metric: str) -> str:
        """What is left out, and why."""
        theirs = ", ".join(map(str, self.better_than))
        points = "1 start point" if self.points == 1 else f"{self.points} start points"
        return (
            f"left out   {points} of earlier studies: trial {self.trial}, whose configuration is "
            f"not theirs, is better than trials {theirs} with theirs"
        )


@dataclass(frozen=True, kw_only=True)
class Suggested(TrialEvent):
    """A trial has its configuration; the next index."""

    name = "suggested"

    config: dict[str, Any]
    origin: Index | None = None
    """The trial of another study that it continues."""
    start_epoch: Epochs = 0
    """That the other one has a checkpoint of."""

    def line(self, metric: str) -> str:
        """What it continues."""
        if self.origin is None:
            return ""
        start = f"after epoch {self.start_epoch}" if self.start_epoch else "from its beginning"
        return f"continues  trial {self.trial}: trial {self.origin} of the other study, {start}"


@dataclass(frozen=True, kw_only=True)
class TrainedEpoch(TrialEvent):
    """What a trial has reported after an epoch."""

    epoch: Epoch
    node: str | None = None
    """That it ran on."""
    metrics: dict[str, StrictBool | Number | None]
    step_losses: list[Annotated[list[Number], Field(min_length=2, max_length=2)]] | None = None
    """Pairs of a step and its loss, where the trainable reports them."""


@dataclass(frozen=True, kw_only=True)
class Result(TrainedEpoch):
    """A trial has ended an epoch: once an epoch, unless that one is lost."""

    name = "result"


@dataclass(frozen=True, kw_only=True)
class EpochsLost(TrialEvent):
    """A trial has begun again, or has gone on from an earlier checkpoint: its results from epoch
    `first` to `last` are void. What a rung has decided by them stands."""

    name = "epochs_lost"

    first: Epoch
    last: Epoch
    unread: Epoch | None = None
    """The epoch of its checkpoint, if it has not read it."""

    def line(self, metric: str) -> str:
        """Which epochs, and why."""
        one = self.first == self.last
        which = f"epoch {self.first}" if one else f"epochs {self.first} to {self.last}"
        why = f"it is at epoch {self.first} once more"
        if self.unread is not None:
            asked = "it has not asked tune.get_checkpoint() for its checkpoint"
            why = f"it began again: {asked} of epoch {self.unread}"
        return f"lost       trial {self.trial}: {which} of before, not counted any more: {why}"


@dataclass(frozen=True, kw_only=True)
class Decision(TrialEvent):
    """A rung has compared a trial."""

    name = "decision"

    rung: Epoch
    """Epochs after which trials are compared. The trial may have had more."""
    value: Number
    """Of the metric."""
    cutoff: Number | None
    """The worst value that goes on at that moment; None where nobody does."""
    rank: Count
    """1 is the best."""
    of: Count
    """Trials that had reached the rung, this one and the failed ones included."""
    stop: StrictBool

    def line(self, metric: str) -> str:
        """Where and why the trial was stopped."""
        if not self.stop:
            return ""
        cutoff = "no cut-off yet" if self.cutoff is None else f"cut-off {shown_value(self.cutoff)}"
        return (
            f"stopped    trial {self.trial} at rung {self.rung}: {metric} "
            f"{shown_value(self.value)}, {cutoff}, rank {self.rank} of {self.of}"
        )


@dataclass(frozen=True, kw_only=True)
class Promoted(TrialEvent):
    """A trial that a rung had stopped is among the best there by now, and goes on."""

    name = "promoted"

    rung: Epoch
    value: Number
    """That it had there."""
    rank: Count
    """It has now."""
    of: Count
    """Trials that have reached the rung by now."""

    def line(self, metric: str) -> str:
        """From where it goes on, and why."""
        return (
            f"promoted   trial {self.trial} from rung {self.rung}: {metric} "
            f"{shown_value(self.value)}, now rank {self.rank} of {self.of}"
        )


AGREEMENT = 2 / 3
"""The least share of pairs of trials that a rung has to rank as the next one does, to be used."""


@dataclass(frozen=True, kw_only=True)
class RungJudged(Event):
    """It is known how well a rung ranks trials: from here on it is used, or left out."""

    name = "rung_judged"

    rung: Epoch
    next: Epoch
    """That it was held against: the rung above, or the last epoch."""
    pairs: Annotated[int, Field(strict=True, ge=1, le=LARGEST)]
    """Of trials with a value at both."""
    agreement: Annotated[Number, Field(ge=0, le=1)]
    """The share of the pairs whose order is the same at both."""
    used: StrictBool
    """Whether that is enough; a rung that is left out lets all trials pass."""

    def line(self, metric: str) -> str:
        """What became of the rung, and by which number."""
        same = round(self.agreement * self.pairs)
        pairs = "of 1 pair" if self.pairs == 1 else f"of {self.pairs} pairs"
        return (
            f"judged     rung {self.rung} is {'used' if self.used else 'left out'}: {pairs} of "
            f"trials {same} {'has' if same == 1 else 'have'} the same order at epoch {self.next} "
            f"({self.agreement:.0%}, at least {AGREEMENT:.0%} is asked)"
        )


@dataclass(frozen=True, kw_only=True)
class Exploited(TrialEvent):
    """A population's member goes on from the donor's weights after that epoch."""

    name = "exploited"

    epoch: Epoch
    """That the donor's weights are of."""
    donor: Index
    value: Number
    """Of the metric, the member's own when it took over."""
    donor_value: Number
    changes: dict[str, Annotated[list[Any], Field(min_length=2, max_length=2)]]
    """The member's values before and after, None where there is none. The donor's seed comes with
    its weights, so that one seed repeats a whole lineage."""
    absent: list[str] | None = None
    """Those that it no longer has; None, as in old studies: those whose value after is None."""

    def line(self, metric: str) -> str:
        """Whose weights it took over, and what changed."""
        changes = "".join(
            f", {name} {short(before)} -> {short(after)}"
            for name, (before, after) in self.changes.items()
            if name != "seed"
        )
        value, donor_value = shown_value(self.value), shown_value(self.donor_value)
        return (
            f"exploited  trial {self.trial} ({metric} {value}) after epoch {self.epoch}: "
            f"weights of trial {self.donor} ({donor_value}){changes}"
        )


@dataclass(frozen=True, kw_only=True)
class NotExploited(TrialEvent):
    """The donor's weights could not be had, and the member goes on with its own."""

    name = "not_exploited"

    epoch: Epoch
    donor: Index
    reason: str

    def line(self, metric: str) -> str:
        """Whose weights could not be had, and why."""
        return (
            f"kept       trial {self.trial} after epoch {self.epoch}: its own weights, those of "
            f"trial {self.donor} could not be had: {self.reason}"
        )


@dataclass(frozen=True, kw_only=True)
class TrialEnd(TrialEvent):
    """How a trial has ended."""

    epoch: Epochs
    status: EndStatus
    reason: str = ""
    """Why it diverged or failed."""
    blameless: StrictBool = False
    """Whether it lacked memory that it shared: its configuration may be good."""
    traceback: str = ""
    log: str = ""
    """The last 20 lines that a failed trial printed."""

    @property
    def failed(self) -> bool:
        """Whether it ended by an error, or diverged."""
        return self.status in ("diverged", "failed")

    @property
    def blamed(self) -> bool:
        """Whether its configuration is to blame for its end."""
        return self.failed and not self.blameless


@dataclass(frozen=True, kw_only=True)
class Ended(TrialEnd):
    """A trial has ended, unless it is promoted."""

    name = "ended"

    rung: Epoch | None = None
    """That stopped it."""

    def line(self, metric: str) -> str:
        """What became of it; a stop is told by its `Decision`."""
        if self.failed:
            return f"{self.status:<10} trial {self.trial} in epoch {self.epoch}: {self.reason}"
        if self.status == "finished":
            return f"finished   trial {self.trial} after epoch {self.epoch}"
        return ""
