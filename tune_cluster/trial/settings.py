"""What the process of a trial gets from the driver: of its study, and which trial it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from search_spaces.objective import Objective
from search_spaces.trial_events import Epochs
from tune_cluster.storage import retry
from tune_cluster.storage.quota import Quota
from tune_cluster.storage.retry import RetryPolicy


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
    quota: Quota | None = None
    """Bytes that checkpoints may take; divided before the first trial begins."""
    storage_retry: RetryPolicy = field(default_factory=lambda: retry.RETRY_POLICY)
    """How long storage that fails is waited for."""


@dataclass(frozen=True)
class Assignment:
    """The trial that a process runs."""

    directory: str
    """The name of its directory, which begins with its index, such as `0012`."""
    config: Mapping[str, Any]
    used_process: bool = False
    """Whether another trial has used the process."""
    continues: str | None = None
    """The directory of a trial whose checkpoints it resumes from where it has none."""

    @property
    def index(self) -> int:
        """The index of the trial in its study."""
        return int(self.directory.partition("-")[0])
