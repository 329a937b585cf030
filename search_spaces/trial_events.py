"""The events that searchers and schedulers receive, and the decisions of schedulers.

Each event is a class whose fields are those of its line in a study's journal: `to_json` leaves out
fields with their default value, and `from_json` refuses unknown fields and values of another type.
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
"""Largest whole number that every JSON reader represents exactly."""

Count: TypeAlias = Annotated[int, Field(strict=True, ge=0, le=LARGEST)]

Index: TypeAlias = Count
"""Index of a trial."""

SEEDS_OF_TRIALS = ("seed", "split_seed")
"""Names in a configuration that belong to one trial of it."""


def _no_whole_number(epoch: float) -> float:
    if epoch.is_integer():
        raise ValueError("a whole epoch is written without a point")
    return epoch


Part: TypeAlias = Annotated[
    float, Field(strict=True, gt=0, le=LARGEST), AfterValidator(_no_whole_number)
]
"""Number of epochs with a fraction, of a trainable that reports more than once an epoch."""

Epoch: TypeAlias = Annotated[int, Field(strict=True, ge=1, le=LARGEST)] | Part

Epochs: TypeAlias = Count | Part
"""Number of epochs that a trial has trained, 0 before its first."""

# A journal has a million fractions, and the first type that fits ends the search.
Number: TypeAlias = (
    Annotated[float, Strict()] | Annotated[int, Field(strict=True, ge=-(2**1000), le=2**1000)]
)
"""Finite or infinite number in arithmetic range."""

LATEST = 253_402_300_799
"""Last second of the year 9999, after which Python has no dates."""

UnixSeconds: TypeAlias = (
    Annotated[int, Field(strict=True, ge=0, le=LATEST)]
    | Annotated[float, Field(strict=True, ge=0, le=LATEST)]
)
"""Seconds since 1970."""

StepValue: TypeAlias = Annotated[list[Number], Field(min_length=2, max_length=2)]
"""A step within an epoch and its value."""

EndStatus: TypeAlias = Literal["finished", "stopped", "diverged", "failed"]


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened in a study."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", allow_inf_nan=False)

    name: ClassVar[str]
    """Value of the key `event` in a line of the journal."""

    time: UnixSeconds | None = None
    """When the event was written to the journal; None before."""

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> Self:
        """Return the event that `to_json` has written.

        Raises:
            ValueError: a field is missing, unknown or of another type (pydantic's ValidationError).
        """
        values = {**line}
        values.pop("event", None)
        kind: Any = cls
        event: Self = _validator(kind).validate_python(values)
        return event

    @classmethod
    def from_text(cls, fields: bytes) -> Self:
        """Return the same from the JSON text of the fields alone, without the event's name."""
        kind: Any = cls
        event: Self = _validator(kind).validate_json(fields)
        return event

    def to_json(self) -> dict[str, Any]:
        """Return a line of the journal without fields that have their default; time comes last."""
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
        """Return one line for the console; empty for an event that the user need not see."""
        return ""


@cache
def _validator(kind: type[Event]) -> Any:
    # Called for each line of a journal: the adapter around it takes as long as a short line.
    return TypeAdapter(kind).validator


@cache
def _defaults(kind: type[Event]) -> tuple[tuple[str, Any], ...]:
    return tuple((field.name, field.default) for field in fields(kind) if field.name != "time")


@dataclass(frozen=True, kw_only=True)
class TrialEvent(Event):
    """Something that happened to one trial."""

    trial: Index


@dataclass(frozen=True, kw_only=True)
class Earlier(Event):
    """A trial of an earlier study, passed to the searcher."""

    name = "earlier"

    study: str
    config: dict[str, Any]
    values: dict[Annotated[str, Field(pattern=r"^[0-9]{1,16}(\.[0-9]{1,16})?(e-0[1-9])?$")], Number]
    """Values of the metric, by epoch as text."""
    status: EndStatus


@dataclass(frozen=True, kw_only=True)
class StartPoint(Event):
    """A configuration that the study tries before those of its searcher."""

    name = "start_point"

    study: str
    """Name of the earlier study; one of its best trials had this configuration."""
    config: dict[str, Any]
    """Values of the searched hyperparameters; others have their default."""


@dataclass(frozen=True, kw_only=True)
class StartPointsLeftOut(TrialEvent):
    """The start points of earlier studies are not good in this study: the rest is left out."""

    name = "start_points_left_out"

    better_than: list[Index]
    """Trials with the first start points, all worse than `trial`, which has the searcher's own
    configuration."""
    points: Count
    """Number of start points that are left out."""

    def line(self, metric: str) -> str:
        """Return what is left out, and why."""
        theirs = ", ".join(map(str, self.better_than))
        points = "1 start point" if self.points == 1 else f"{self.points} start points"
        return (
            f"left out   {points} of earlier studies: trial {self.trial}, whose configuration is "
            f"the searcher's own, is better than trials {theirs}, which had start points"
        )


@dataclass(frozen=True, kw_only=True)
class Suggested(TrialEvent):
    """A trial has got its configuration and the next index."""

    name = "suggested"

    config: dict[str, Any]
    origin: Index | None = None
    """Trial of another study that this trial continues."""
    start_epoch: Epochs = 0
    """Epoch of the checkpoint that the trial continues from."""
    seed: Count | None = None
    """Seed of the trial's process; None for the one that its index gives it."""

    def line(self, metric: str) -> str:
        """Return the trial that it continues; empty without one."""
        if self.origin is None:
            return ""
        start = f"after epoch {self.start_epoch}" if self.start_epoch else "from its beginning"
        return f"continues  trial {self.trial}: trial {self.origin} of the other study, {start}"


@dataclass(frozen=True, kw_only=True)
class TrainedEpoch(TrialEvent):
    """Report of a trial after an epoch."""

    epoch: Epoch
    node: str | None = None
    """Node that the trial ran on."""
    metrics: dict[str, Number | StrictBool | None]
    step_losses: list[StepValue] | None = None
    """Pairs of a step and its loss, if the trainable reports them."""
    step_scores: dict[str, list[StepValue]] | None = None
    """Pairs of a step and another value, by name, if the trainable reports them."""


@dataclass(frozen=True, kw_only=True)
class Result(TrainedEpoch):
    """A trial has completed an epoch. There is one result per epoch, unless the epoch is lost."""

    name = "result"


@dataclass(frozen=True, kw_only=True)
class EpochsLost(TrialEvent):
    """A trial has restarted, or has resumed from an earlier checkpoint: its results of epochs
    `first` to `last` are void. Decisions of rungs that rest on them stand."""

    name = "epochs_lost"

    first: Epoch
    last: Epoch
    unread: Epoch | None = None
    """Epoch of the trial's checkpoint, if the trial has not read it."""

    def line(self, metric: str) -> str:
        """Return which epochs are lost, and why."""
        one = self.first == self.last
        which = f"epoch {self.first}" if one else f"epochs {self.first} to {self.last}"
        why = f"it is at epoch {self.first} again"
        if self.unread is not None:
            asked = "it has not called tune.get_checkpoint() to read its checkpoint"
            why = f"it restarted: {asked} of epoch {self.unread}"
        return f"lost       trial {self.trial}: {which} no longer counted: {why}"


@dataclass(frozen=True, kw_only=True)
class Decision(TrialEvent):
    """A rung has compared a trial with others."""

    name = "decision"

    rung: Epoch
    """Epochs of the rung. The trial may have trained more."""
    value: Number
    """Value of the metric."""
    cutoff: Number | None
    """Worst value that continues at that moment; None if no trial does."""
    rank: Count
    """Rank of the trial; 1 is the best."""
    of: Count
    """Number of trials that had reached the rung, this one and failed ones included."""
    stop: StrictBool

    def line(self, metric: str) -> str:
        """Return the rung and the reason if the trial was stopped; empty otherwise."""
        if not self.stop:
            return ""
        cutoff = "no cut-off yet" if self.cutoff is None else f"cut-off {shown_value(self.cutoff)}"
        return (
            f"stopped    trial {self.trial} at rung {self.rung}: {metric} "
            f"{shown_value(self.value)}, {cutoff}, rank {self.rank} of {self.of}"
        )


@dataclass(frozen=True, kw_only=True)
class Promoted(TrialEvent):
    """A trial that a rung had stopped is now among the best there and resumes."""

    name = "promoted"

    rung: Epoch
    value: Number
    """Value of the metric at the rung."""
    rank: Count
    """Rank of the trial now."""
    of: Count
    """Number of trials that have reached the rung by now."""

    def line(self, metric: str) -> str:
        """Return the rung that the trial resumes from, and the reason."""
        return (
            f"promoted   trial {self.trial} from rung {self.rung}: {metric} "
            f"{shown_value(self.value)}, now rank {self.rank} of {self.of}"
        )


AGREEMENT = 2 / 3
"""Least agreement of a usable rung: the share of pairs of trials that the next rung orders
alike."""


@dataclass(frozen=True, kw_only=True)
class RungJudged(Event):
    """A rung was tested for how well it ranks trials: from now on it is used, or left out."""

    name = "rung_judged"

    rung: Epoch
    next: Epoch
    """Epochs that it was compared with: those of the next rung, or the last epoch."""
    pairs: Annotated[int, Field(strict=True, ge=1, le=LARGEST)]
    """Number of pairs of trials with a value at both."""
    agreement: Annotated[Number, Field(ge=0, le=1)]
    """Share of the pairs that both order alike."""
    used: StrictBool
    """Whether the agreement is high enough; a rung that is left out lets all trials pass."""

    def line(self, metric: str) -> str:
        """Return whether the rung is used, and its agreement."""
        same = round(self.agreement * self.pairs)
        pairs = "of 1 pair" if self.pairs == 1 else f"of {self.pairs} pairs"
        return (
            f"judged     rung {self.rung} is {'used' if self.used else 'left out'}: {pairs} of "
            f"trials {same} {'has' if same == 1 else 'have'} the same order at epoch {self.next} "
            f"({self.agreement:.0%}, at least {AGREEMENT:.0%} is required)"
        )


@dataclass(frozen=True, kw_only=True)
class Exploited(TrialEvent):
    """A member of a population takes over the donor's weights after that epoch."""

    name = "exploited"

    epoch: Epoch
    """Epoch of the donor's weights."""
    donor: Index
    value: Number
    """Value of the metric of the member itself when it took over the weights."""
    donor_value: Number
    changes: dict[str, Annotated[list[Any], Field(min_length=2, max_length=2)]]
    """Values of the member before and after, None for a missing one. The donor's seed comes with
    its weights, so that one seed repeats a whole lineage."""
    absent: list[str] | None = None
    """Hyperparameters that the member no longer has; None, as in old studies, for those whose value
    after is None."""

    def line(self, metric: str) -> str:
        """Return the donor and the changed values."""
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
    """The donor's weights were not available, and the member continues with its own."""

    name = "not_exploited"

    epoch: Epoch
    donor: Index
    reason: str

    def line(self, metric: str) -> str:
        """Return the donor whose weights were not available, and the reason."""
        return (
            f"kept       trial {self.trial} after epoch {self.epoch}: its own weights, those of "
            f"trial {self.donor} are not available: {self.reason}"
        )


@dataclass(frozen=True, kw_only=True)
class TrialEnd(TrialEvent):
    """The end of a trial."""

    epoch: Epochs
    status: EndStatus
    reason: str = ""
    """Reason why it diverged or failed, or the stop condition that ended it."""
    blameless: StrictBool = False
    """Whether it lacked memory that it shared with other trials: its configuration may be good."""
    traceback: str = ""
    log: str = ""
    """Last 20 lines of output of a failed trial."""

    @property
    def failed(self) -> bool:
        """Whether the trial ended with an error or diverged."""
        return self.status in ("diverged", "failed")

    @property
    def blamed(self) -> bool:
        """Whether the configuration is to blame for the end."""
        return self.failed and not self.blameless


@dataclass(frozen=True, kw_only=True)
class Ended(TrialEnd):
    """A trial has ended, unless it is promoted later."""

    name = "ended"

    rung: Epoch | None = None
    """Rung that stopped the trial."""

    def line(self, metric: str) -> str:
        """Return how the trial ended; empty for a stop, which its `Decision` reports."""
        if self.failed:
            return f"{self.status:<10} trial {self.trial} in epoch {self.epoch}: {self.reason}"
        if self.status == "finished":
            why = f": {self.reason}" if self.reason else ""
            return f"finished   trial {self.trial} after epoch {self.epoch}{why}"
        return ""
