"""Messages between a trial's process, its trainable and the driver."""

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
    """Settings that the processes of all trials of a study share."""

    objective: Objective
    checkpoints: str
    """Address of the checkpoints of all trials, which all nodes share."""
    seed: int
    """Seed of the study."""
    sequential: bool
    """Whether trials run one at a time."""
    working_directory: str | None = None
    """Working directory of a trial, if its node has it; None if Tune chooses one."""
    admission: Callable[[], Sequence[str]] | None = None
    """Returns the problems of a node that has joined later; None if no node can join."""
    in_bucket: bool = False
    """Whether the study is in a bucket: its journal may lose epochs that a checkpoint has, which
    then stores all of them."""
    journaled_epochs: Mapping[int, Epochs] | None = None
    """Epochs by trial that the journal of such a study had when it was resumed."""
    origins: Mapping[int, Origin] = field(default_factory=dict)
    """Trials of another study that trials continue, by trial."""
    quota: Quota | None = None
    """Quota of checkpoints in bytes, divided before the first trial begins."""
    storage_retry: RetryPolicy = field(default_factory=lambda: retry.RETRY_POLICY)
    """Times of the retries of failing storage."""


TRIAL_SEED = "tune_cluster_seed"
"""Key in the configuration of a trial of Tune that takes its own seed to its process, as Ray passes
names of files."""


@dataclass(frozen=True)
class Assignment:
    """The trial assigned to a process."""

    directory: str
    """Name of its directory, from its index, such as `0012`."""
    config: Mapping[str, Any]
    used_process: bool = False
    """Whether another trial has used the process before."""
    seed: int | None = None
    """Seed of the process; None for the one that the index gives it."""

    @property
    def index(self) -> int:
        """Index of the trial in its study."""
        return int(self.directory)


RETURNED = object()
"""Result of `Trainable.step` when a function has returned by itself."""


class Trainable(Protocol):
    """The interface of a trainable to its runner. Each method may raise any error of user code."""

    def setup(self) -> None:
        """Start the trial; also called again after `discard`."""

    def reset(self) -> None:
        """Start the trial in a process that another one has used.

        Raises:
            ValueError: the trainable cannot be reset.
        """

    def discard(self) -> None:
        """Release the resources of a failed attempt."""

    def step(self) -> Any:
        """Return the report of the next epoch, a dictionary if the user's code is correct;
        `RETURNED` if a function has returned by itself."""

    def saver(self) -> Callable[[str], object] | None:
        """Return a function that writes the checkpoint of that epoch to a folder; None without
        one."""

    def load(self, checkpoint: Checkpoint, files: AbstractContextManager[Path]) -> None:
        """Resume from a checkpoint, whose files exist while `files` is open."""

    def ignores_checkpoint(self) -> bool:
        """Return whether it was offered a checkpoint and has not read it so far."""

    def discard_checkpoint(self) -> None:
        """Delete the files of the checkpoint that was reported with the last epoch, if any."""

    def progress(self) -> tuple[int, float]:
        """Return the number of steps that Tune has counted, and their seconds."""

    def set_progress(self, steps: int, seconds: float) -> None:
        """Let Tune continue to count from these values."""


BAD_VALUE = 1e9
"""Substitute for a value that is missing or not finite, with the sign that makes it bad. Models of
schedulers and searchers rank values, so that its size does not matter."""

REPORT = "trial_report"
"""Key of the report in a result of Tune."""


@dataclass(frozen=True)
class Retry:
    """An error after which the trial was started again, in the same process."""

    epoch: Epochs
    """Epoch that failed."""
    reason: str


@dataclass(frozen=True)
class Restored:
    """The checkpoint that the trial resumed from."""

    epoch: Epochs
    """Epoch of the checkpoint; 0 if none was readable."""
    unreadable: Sequence[str]
    """Folders of newer, unreadable checkpoints."""


@dataclass(frozen=True)
class Unsaved:
    """A checkpoint that does not fit into its quota; both sizes in bytes."""

    needed: int
    allowed: int


@dataclass(frozen=True)
class FreshProcess:
    """Asks the driver to start the trial in another process; it has not failed.

    `share`: it ran out of memory on a share of a GPU. `reset`: the process was used by another
    trial, and its reset failed. `node`: the node has joined later, and is unsuitable.
    """

    cause: Literal["share", "reset", "node"]
    gpus: float = 0.0
    """Share of a GPU that was not enough."""
    reason: str = ""
    """Reason why the reset failed."""
    node: str = ""
    """Ray's id of the unsuitable node."""
    problems: Sequence[str] = ()
    """Problems of that node, each with what to do."""


@dataclass(frozen=True)
class InterimReport:
    """Metrics of an epoch without the study's metric."""

    epoch: Epochs
    metrics: Mapping[str, Number | None]


@dataclass(frozen=True, kw_only=True)
class TrialReport:
    """A completed epoch, the end of the trial, or both; or a request for another process."""

    epoch: Epochs
    metrics: Mapping[str, Number | None] = field(default_factory=dict)
    """Metrics of the epoch, `None` for a non-finite value; empty without a completed epoch."""
    step_losses: Sequence[Sequence[Number]] = ()
    """Pairs of a step and its loss."""
    step_scores: Mapping[str, Sequence[Sequence[Number]]] = field(default_factory=dict)
    """Pairs of a step and another value, by name."""
    node: str = ""
    """First characters of Ray's id of the trial's node."""
    status: Literal["finished", "diverged", "failed"] | None = None
    """Status with which the trial has ended; None if it continues."""
    reason: str = ""
    traceback: str = ""
    log: str = ""
    """Last lines of output of a failed trial."""
    infrastructure_failure: bool = False
    """Whether it failed for lack of shared resources: its configuration may be good."""
    interim: Sequence[InterimReport] = ()
    """Reports since the last one, without the study's metric."""
    checkpoint: str | None = None
    """Name of the checkpoint folder that was written, if any."""
    unsaved: Unsaved | None = None
    restored: Restored | None = None
    retried: Sequence[Retry] = ()
    """Retries since the last report."""
    first: bool = False
    """Whether it is the first epoch since the trial began or resumed: earlier results of this epoch
    and later ones are lost."""
    ignored_checkpoint: Epochs | None = None
    """Epoch of a checkpoint that a function was offered and did not read."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Types, by name, of reported values that are no numbers, when they occur first."""
    fresh_process: FreshProcess | None = None

    def to_result(self, objective: Objective) -> dict[str, Any]:
        """Return the result for Tune, with a finite bad value if the trial did not succeed."""
        result: dict[str, Any] = {**self.metrics, "epoch": self.epoch, REPORT: self}
        if self.fresh_process is None:
            result["done"] = self.status is not None
            result.setdefault(objective.metric, math.copysign(BAD_VALUE, objective.worst))
        return result

    @classmethod
    def from_result(cls, result: Mapping[str, Any]) -> TrialReport:
        """Return the report in a result, even a flattened one: Tune flattens dictionaries, and a
        report is none."""
        report = result[REPORT]
        assert isinstance(report, cls)
        return report
