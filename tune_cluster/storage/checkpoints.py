"""Checkpoints of one trial: written completely or not at all; the best and the latest are kept.

A checkpoint is a folder `checkpoint_000007` with the files that the trainable saved after epoch 7,
and `result.json`: the metrics of that epoch, and the sizes and checksums of the other files. So a
trial that was killed between checkpoint and report is not trained again but reports the stored
metrics, and no trial resumes from a damaged checkpoint.

It is saved to the node's own disk and copied from there: an error of the copy is one of the
storage, for which the trial waits, while torch's message about a full disk only says that something
failed.

A member of a population may continue from the weights of another one: from a copy of its
checkpoint, `checkpoint_000008_from_0003`. That is never the member's best one, since it is the
donor's.
"""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field
from typing_extensions import NotRequired, TypedDict

from search_spaces.objective import Mode, Objective
from tune_cluster.storage.inside import bytes_in
from tune_cluster.storage.integrity import check, check_sums, crc_of, parse, sums_of
from tune_cluster.storage.retry import StorageLostError, StorageRetry
from tune_cluster.storage.store import FULL_BYTES, RESULT_FILE, UNFINISHED, Store, scratch

CHECKPOINT_PREFIX = "checkpoint_"

OF_CHECKPOINTS = (CHECKPOINT_PREFIX, UNFINISHED)
"""Prefixes of the names of all folders that a quota counts."""

TRIAL_FILES = "files"
"""Folder, in the directory of a trial, for its own files."""


def dirname_of(index: int) -> str:
    """Return the name of a trial's directory, such as `0012`: names sort in the order of trials."""
    return f"{index:04d}"


class _Record(TypedDict):
    """Content of `result.json`; `Checkpoint` explains the fields."""

    __pydantic_config__ = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)  # type: ignore[misc]

    epoch: float
    value: float
    result: dict[str, Any]
    """Reported result; its values may be non-finite."""
    donor: NotRequired[Annotated[int, Field(ge=0)]]
    past: NotRequired[list[dict[str, Any]]]
    config: NotRequired[dict[str, Any]]
    iteration: NotRequired[float]
    time_total: NotRequired[float]
    from_zero: NotRequired[bool]
    files: NotRequired[dict[str, Annotated[list[int], Field(min_length=2, max_length=2)]]]
    crc: NotRequired[int]
    """CRC-32 of the other fields; absent in files of an earlier version."""


class NoRoomError(Exception):
    """A checkpoint was not written because it needs more bytes than allowed."""

    def __init__(self, needed: int, allowed: int) -> None:
        super().__init__(f"{needed} bytes are needed, and {allowed} allowed")
        self.needed = needed
        self.allowed = allowed


@dataclass(frozen=True)
class Checkpoint:
    """A stored checkpoint."""

    store: Store
    """Store of the trial."""
    name: str
    """Name of its folder."""
    epoch: float
    value: float
    """Value of the study's metric."""
    result: dict[str, Any]
    """Result that the trial reported with it."""
    donor: int | None = None
    """Trial that it was copied from, if any."""
    past: list[dict[str, Any]] = field(default_factory=list)
    """Earlier reports of the trial, by epoch, if they are kept."""
    config: dict[str, Any] | None = None
    """Configuration that it was trained with, if it is kept."""
    iteration: int = 0
    """Number of Tune's steps so far, which a trainable may use for its learning rate."""
    time_total: float = 0.0
    """Seconds of these steps."""
    from_zero: bool = False
    """Whether the trial counts its own epochs from 0."""
    files: Mapping[str, list[int]] = field(default_factory=dict)
    """Sizes and checksums of its files (`checksums`); empty in those of an earlier version."""

    @contextmanager
    def whole(self) -> Iterator[Path]:
        """Provide a local folder with the unchanged files within the `with` block.

        Raises:
            ValueError: the files are damaged.
            OSError: the files cannot be read.
        """
        with self.store.reading(self.name) as folder:
            check_sums(folder, self.files)
            yield folder

    def copy_to(self, folder: Path) -> None:
        """Copy the files, checked as in `whole`, to an empty local folder."""
        self.store.copy_to(self.name, folder)
        check_sums(folder, self.files)


class TrialCheckpoints:
    """The checkpoints of one trial.

    Args:
        store: store of the trial, shared by all nodes; created at the first write.
        mode: "max" or "min": which value is the best.
        retry: retries of the storage.
        allowance: bytes of all checkpoints, including one that is being written; None for no limit.
    """

    def __init__(
        self,
        store: Store,
        mode: Mode,
        retry: StorageRetry | None = None,
        allowance: int | None = None,
    ) -> None:
        self.store = store
        self._allowance = allowance
        self._objective = Objective("value", mode)
        self._retry = StorageRetry(store) if retry is None else retry

    def write(
        self,
        epoch: float,
        value: float,
        result: dict[str, Any],
        save: Callable[[str], object],
        **more: Any,
    ) -> str:
        """Write the checkpoint of `epoch` with `save(folder)`; return the name of its folder.

        All checkpoints but the best and the latest are deleted.

        Args:
            epoch: epoch after which it is saved.
            value: value of the study's metric.
            result: reported result.
            save: saves the trainable's state to a folder.
            more: `iteration`, `time_total`, `past`, `config` and `from_zero`, if they are to be
                stored with it.

        Raises:
            NoRoomError: it is no better than the best one, and both exceed the allowance.
            StorageLostError: the storage failed permanently.
        """
        record = {"epoch": epoch, "value": value, "result": result, **more}
        name = name_of(epoch)
        self._write(name, record, save, value)
        self._keep_best_and_latest()
        return name

    def adopt(self, checkpoint: Checkpoint, donor: int) -> str:
        """Copy a checkpoint of trial `donor`, from which this trial continues; return the name of
        its folder.

        Raises:
            NoRoomError: it and the best one exceed the allowance.
            ValueError, OSError: it is damaged, or cannot be copied.
        """
        copied = ("epoch", "value", "result", "iteration", "time_total", "from_zero")
        record = {**{name: getattr(checkpoint, name) for name in copied}, "donor": donor}
        name = f"{checkpoint.name}_from_{donor:04d}"
        self._write(name, record, lambda folder: checkpoint.copy_to(Path(folder)), None)
        return name

    def make_room(self, needed: int, value: float | None = None) -> None:
        """Delete checkpoints until `needed` bytes fit: first all but the best and the latest, then
        the latest, and the best only for one with a better `value`.

        Raises:
            NoRoomError: that is not enough.
        """
        if self._allowance is None:
            return
        sizes, best = self._retry(self.sizes), self.best()
        ways = [set(sizes), set() if best is None else {best.name}]
        if best is None or (value is not None and self._objective.better(value, best.value)):
            ways.append(set())
        for kept in ways:
            if needed + sum(sizes[name] for name in kept) <= self._allowance:
                for name in sizes:
                    if name not in kept:
                        self.store.drop(name)
                return
        raise NoRoomError(needed, self._allowance)

    def sizes(self) -> dict[str, int]:
        """Return the bytes of checkpoints and of unfinished ones, by name; other files there are
        the trial's own."""
        found = self.store.sizes().items()
        return {name: size for name, size in found if name.startswith(OF_CHECKPOINTS)}

    def names(self) -> list[str]:
        """Return the folders with a checkpoint, the newest first, readable or not."""
        names = [
            name for name in self._retry(self.store.folders) if name.startswith(CHECKPOINT_PREFIX)
        ]
        return sorted(names, reverse=True)

    def read(self, name: str) -> Checkpoint:
        """Return the checkpoint in the folder `name`, without its tensors.

        Raises:
            OSError, ValueError: it is damaged.
        """
        record = read_record(self._retry(lambda: self.store.read(f"{name}/{RESULT_FILE}")))
        # Missing in a file of an earlier version.
        record.setdefault("iteration", record["epoch"])
        known = (key for key in _Record.__annotations__ if key in record and key != "crc")
        return Checkpoint(self.store, name, **{key: record[key] for key in known})

    def drop_from(self, epoch: float) -> None:
        """Delete the checkpoints of `epoch` and later, readable or not: the trial has reached that
        epoch again, and must not resume from its earlier state there."""
        for name in self.names():
            if name >= name_of(epoch):
                self.store.drop(name)

    def newest_first(self) -> list[Checkpoint]:
        """Return all readable checkpoints; a damaged folder is left out, and not deleted.

        Raises:
            StorageLostError: the storage failed permanently.
        """
        found = []
        for name in self.names():
            try:
                found.append(self.read(name))
            except StorageLostError:
                # Its state is unknown: a caller that treats it as damaged may delete the best one.
                raise
            except (OSError, ValueError):
                continue
        return found

    def of_epoch(self, epoch: float) -> Checkpoint | None:
        """Return the trial's own checkpoint after `epoch`, if it exists and is readable."""
        own = (c for c in self.newest_first() if c.donor is None)
        return next((c for c in own if c.epoch == epoch), None)

    def best(self) -> Checkpoint | None:
        """Return the trial's own checkpoint with the best value, the earliest of equal ones."""
        return self.best_of(self.newest_first())

    def best_of(self, found: list[Checkpoint]) -> Checkpoint | None:
        """Return the best of the given checkpoints, as `best` does."""
        own = (c for c in found if c.donor is None)
        return min(own, key=lambda c: (self._objective.key(c.value), c.epoch), default=None)

    def _write(
        self,
        name: str,
        record: dict[str, Any],
        save: Callable[[str], object],
        value: float | None,
    ) -> None:
        with self._retry(lambda: saved(save)) as local:
            folder = Path(local)
            result = folder / RESULT_FILE

            def describe() -> None:
                # One of a donor, or an incomplete one.
                result.unlink(missing_ok=True)
                described = {**record, "files": sums_of(folder)}
                read_back = json.loads(json.dumps(described))
                result.write_text(
                    json.dumps({**read_back, "crc": crc_of(read_back, without=("crc",))})
                )

            def put() -> None:
                # At each attempt: while the mount point was away nothing could be listed or
                # deleted.
                self.make_room(bytes_in(folder), value)
                # Only a damaged one can have the name already: the trial resumed from an earlier
                # one.
                self.store.put(folder, name)

            self._retry(describe)
            self._retry(put)

    def _keep_best_and_latest(self) -> None:
        newest = self.newest_first()
        best = self.best_of(newest)
        kept = {checkpoint.name for checkpoint in (best, *newest[:1]) if checkpoint is not None}
        for checkpoint in newest:
            if checkpoint.name not in kept:
                self.store.drop(checkpoint.name)


def checkpoint_sizes(store: Store) -> dict[str, int]:
    """Return the bytes of a trial's checkpoints by name; other files are the trial's own."""
    found = store.sizes().items()
    return {name: size for name, size in found if name.startswith(CHECKPOINT_PREFIX)}


def name_of(epoch: float) -> str:
    """Return the folder of the checkpoint after `epoch`, such as `checkpoint_000007`, or
    `checkpoint_000007.5` for a trial that reports twice an epoch: names sort as epochs."""
    whole = math.floor(epoch)
    part = f"{epoch - whole:.6f}".rstrip("0")[1:] if epoch > whole else ""
    return f"{CHECKPOINT_PREFIX}{whole:06d}{part}"


def read_record(data: bytes) -> dict[str, Any]:
    """Return the content of a `result.json`; raise a ValueError if it is damaged."""
    record: dict[str, Any] = parse(data, finite=False)
    check(_Record, record)
    if "crc" in record and record["crc"] != crc_of(record):
        raise ValueError(f"{RESULT_FILE} was changed since it was written")
    return record


def saved(save: Callable[[str], object]) -> tempfile.TemporaryDirectory[str]:
    """Create a folder on this node's own disk and let `save` write to it.

    Raises:
        OSError: the disk is full, whatever error `save` has raised.
    """
    folder = scratch()
    try:
        save(folder.name)
    except Exception as error:
        full = shutil.disk_usage(folder.name).free < FULL_BYTES
        folder.cleanup()
        if full:
            # Named here, since the disk has space again once the folder is deleted.
            reason = os.strerror(errno.ENOSPC)
            raise OSError(errno.ENOSPC, reason, tempfile.gettempdir()) from error
        raise
    return folder
