"""What passes between a trial's process, its trainable and the driver."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from search_spaces.objective import Objective, Origin
from search_spaces.trial_events import Epochs
from tune_cluster.storage import retry
from tune_cluster.storage.checkpoints import Checkpoint
from tune_cluster.storage.quota import Quota
from tune_cluster.storage.retry import RetryPolicy
from tune_cluster.trial.results import Number


@dataclass(frozen=True)
class TrialSettings:
    """What the processes of all trials of a study must know of it."""

    objective: Objective
    checkpoints: str
    """The address of all trials' checkpoints, which all nodes share."""
    seed: int
    """The study's."""
    sequential: bool
    """Whether no other trial runs at the same time."""
    working_directory: str | None = None
    """Of a trial, where its node has it; None where Tune chooses one."""
    admission: Callable[[], Sequence[str]] | None = None
    """Returns the problems of a node that has joined later; None where none can join."""
    in_bucket: bool = False
    """Whether the journal may lose epochs that a checkpoint has, which then keeps all of them."""
    journaled_epochs: Mapping[int, Epochs] | None = None
    """By trial, the epochs that the journal of such a study had when it was resumed."""
    origins: Mapping[int, Origin] = field(default_factory=dict)
    """By trial, the trial of another study that it continues."""
    quota: Quota | None = None
    """Bytes that checkpoints may take; divided before the first trial begins."""
    storage_retry: RetryPolicy = field(default_factory=lambda: retry.RETRY_POLICY)
    """How long storage that fails is waited for."""


@dataclass(frozen=True)
class Assignment:
    """The trial that a process runs."""

    directory: str
    """The name of its directory, which is its index, such as `0012`."""
    config: Mapping[str, Any]
    used_process: bool = False
    """Whether another trial has used the process."""

    @property
    def index(self) -> int:
        """The index of the trial in its study."""
        return int(self.directory)


RETURNED = object()
"""What `Trainable.step` returns where a function has returned by itself."""


class Trainable(Protocol):
    """What a runner runs. Each method may raise whatever the person's code raises."""

    def setup(self) -> None:
        """Start the trial; also called again after `discard`."""

    def reset(self) -> None:
        """Start the trial in a process that another one has used.

        Raises:
            ValueError: the trainable refuses.
        """

    def discard(self) -> None:
        """Release what an attempt that failed has left."""

    def step(self) -> Any:
        """Return the report of the next epoch, a dictionary if the person's code has kept to that;
        `RETURNED` where a function has returned by itself."""

    def saver(self) -> Callable[[str], object] | None:
        """Return what writes the checkpoint of that epoch to a folder; None without one."""

    def load(self, checkpoint: Checkpoint, files: AbstractContextManager[Path]) -> None:
        """Resume from a checkpoint, whose files are there while `files` is open."""

    def ignores_checkpoint(self) -> bool:
        """Return whether it was offered a checkpoint and has not read it so far."""

    def discard_checkpoint(self) -> None:
        """Delete the checkpoint that was reported with the last epoch, if it lies anywhere."""

    def progress(self) -> tuple[int, float]:
        """Return the steps that Tune has counted, and their seconds."""

    def set_progress(self, steps: int, seconds: float) -> None:
        """Let Tune count on from here."""


BAD_VALUE = 1e9
"""Stands for a value that is missing or not finite, with the sign that makes it bad. The models of
schedulers and searchers rank values, so that its size does not matter."""

REPORT = "trial_report"
"""The key under which a result of Tune's has it."""


@dataclass(frozen=True)
class Retry:
    """An error after which the trial was started again, in the same process."""

    epoch: Epochs
    """That was under way."""
    reason: str


@dataclass(frozen=True)
class Restored:
    """The checkpoint that the trial went on from."""

    epoch: Epochs
    """0 where none could be read."""
    unreadable: Sequence[str]
    """The folders of the newer ones."""


@dataclass(frozen=True)
class Unsaved:
    """A checkpoint that its quota has no room for; both in bytes."""

    needed: int
    allowed: int


@dataclass(frozen=True)
class FreshProcess:
    """Asks the driver to start the trial in another process; it has not failed.

    `share`: it ran out of memory on a share of a GPU. `reset`: the process was used by another
    trial, and its reset failed. `node`: the node has joined later, and is no good.
    """

    cause: Literal["share", "reset", "node"]
    gpus: float = 0.0
    """The share that was not enough."""
    reason: str = ""
    """Why the reset failed."""
    node: str = ""
    """Ray's id of the node that is no good."""
    problems: Sequence[str] = ()
    """Of that node, each with what to do."""


@dataclass(frozen=True)
class InterimReport:
    """The metrics of an epoch in which the study's was not reported."""

    epoch: Epochs
    metrics: Mapping[str, Number | None]


@dataclass(frozen=True, kw_only=True)
class TrialReport:
    """An epoch that went well, the end of the trial, or both; or a request for a fresh process."""

    epoch: Epochs
    metrics: Mapping[str, Number | None] = field(default_factory=dict)
    """Of the epoch, `None` where a value is not finite; empty where no epoch went well."""
    step_losses: Sequence[Sequence[Number]] = ()
    """Pairs of a step and its loss."""
    node: str = ""
    """The first characters of Ray's id of the node that the trial runs on."""
    status: Literal["finished", "diverged", "failed"] | None = None
    """With which the trial has ended; None where it goes on."""
    reason: str = ""
    traceback: str = ""
    log: str = ""
    """The last lines that a failed trial has printed."""
    infrastructure_failure: bool = False
    """Whether it failed for want of what it shares with others: its configuration may be good."""
    interim: Sequence[InterimReport] = ()
    """Reports since the last one, without the study's metric."""
    checkpoint: str | None = None
    """The name of the folder that was written."""
    unsaved: Unsaved | None = None
    restored: Restored | None = None
    retried: Sequence[Retry] = ()
    """Since the last report."""
    first: bool = False
    """Whether it is the first epoch since the trial began or resumed: what is known of this epoch
    and later ones is lost."""
    ignored_checkpoint: Epochs | None = None
    """The epoch of a checkpoint that a function was offered and did not read."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """What it reported for the first time and is no number: the type by name."""
    fresh_process: FreshProcess | None = None

    def to_result(self, objective: Objective) -> dict[str, Any]:
        """Return the result for Tune; it has a finite bad value where the trial did not go well."""
        result: dict[str, Any] = {**self.metrics, "epoch": self.epoch, REPORT: self}
        if self.fresh_process is None:
            result["done"] = self.status is not None
            result.setdefault(objective.metric, math.copysign(BAD_VALUE, objective.worst))
        return result

    @classmethod
    def from_result(cls, result: Mapping[str, Any]) -> TrialReport:
        """Return the report in a result, be it flattened: Tune flattens dictionaries, and this is
        none."""
        report = result[REPORT]
        assert isinstance(report, cls)
        return report
