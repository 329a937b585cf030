"""What the contract suite needs to know of a task."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainables.data.dataset import Dataset, SearchData


@dataclass(frozen=True, kw_only=True)
class Member:
    """A task of `trainables.tasks.TASKS` in the contract suite."""

    config: dict[str, Any]
    """A small network that learns from `classes` in three epochs."""
    classes: Callable[[], SearchData[Any]]
    """At least 100 samples in several classes, in a moment."""
    numbers: Callable[[], SearchData[Any]]
    """The same with numbers as targets."""
    load: Callable[[Path], Dataset[Any]]
    """Read data of a person's own, as its jobs do by default."""
    own: Callable[[Path], Path]
    """Write a person's own data into an empty folder, and return its path."""
    bad: Mapping[str, tuple[Callable[[Path], Path], str]]
    """For each fault of own data: what writes it into an empty folder and returns the path that is
    given to `load`, and a pattern of the file, row and rule that the message must name."""
    networks: tuple[dict[str, Any], ...]
    """Changes of `config` that give each architecture and each preparation of the task."""
    written: Callable[[Path, Any], list[Path]]
    """Write samples into an empty folder, as the files that its `predict.py` takes."""
    job: str
    """A job of the task in `tune_jobs/`, which takes `--dataset PATH`."""


FAULTS = (
    "no such file",
    "empty file",
    "missing column",
    "one class",
    "label not in training",
    "sample without content",
    "not finite",
)
"""Faults that every task has to meet."""
