"""What the process of a trial is told of its study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from search_spaces.mode import Mode
from tune_cluster.cluster.joining import Admission
from tune_cluster.storage import retry
from tune_cluster.storage.quota import Budget
from tune_cluster.storage.retry import RetryPolicy


@dataclass(frozen=True)
class TrialSettings:
    """It travels with the wrapper around the trainable."""

    metric: str
    mode: Mode
    checkpoints: str
    """The place of all trials' checkpoints, which all nodes share."""
    seed: int
    """The study's."""
    alone: bool
    """Whether no other trial runs at the same time."""
    working_directory: str | None = None
    """Of a trial, where its node has it; None where Tune chooses one."""
    admission: Admission | None = None
    """What a node that joins later must have; None where none can."""
    in_bucket: bool = False
    """Whether the study lies in a bucket, and its journal may lose what a checkpoint then keeps."""
    reported: Mapping[int, int | float] | None = None
    """By trial, the epochs that the journal of such a study had when it was resumed."""
    budget: Budget | None = None
    """Bytes that checkpoints may take; divided before the first trial begins."""
    waits: RetryPolicy = field(default_factory=lambda: retry.RETRY_POLICY)
    """How long storage that fails is waited for."""
