"""The checkpoints of one trial: written whole or not at all, its best and its latest kept.

A checkpoint is a folder `checkpoint_000007` that holds what the trainable saved after epoch 7, and
`result.json`: the metrics of that epoch, and what the other files must be. So a trial that was
killed after the checkpoint and before its report is not trained again, it reports what it finds;
and nothing goes on from what is damaged.

It is saved to the node's own disk and copied from there: an error of the copy is the storage's,
which is waited for, while torch says of a full disk only that something has failed.

A member of a population may go on from the weights of another one: from a copy of its checkpoint,
`checkpoint_000008_from_0003`. That is never the member's best, since the other one's it remains.
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
from tune_cluster.storage.store import FULL_BYTES, RESULT_FILE, Store, scratch

CHECKPOINT_PREFIX = "checkpoint_"


def dirname_of(index: int) -> str:
    """The name of a trial's directory, such as `0012`: they sort as the trials began."""
    return f"{index:04d}"


class _Record(TypedDict):
    """What `result.json` has: see `Checkpoint` for what its fields are."""

    __pydantic_config__ = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)  # type: ignore[misc]

    epoch: float
    value: float
    result: dict[str, Any]
    """Its values may be no finite numbers."""
    donor: NotRequired[Annotated[int, Field(ge=0)]]
    past: NotRequired[list[dict[str, Any]]]
    config: NotRequired[dict[str, Any]]
    iteration: NotRequired[float]
    time_total: NotRequired[float]
    from_zero: NotRequired[bool]
    files: NotRequired[dict[str, Annotated[list[int], Field(min_length=2, max_length=2)]]]
    crc: NotRequired[int]
    """The CRC-32 of the rest; an earlier version has written none."""


class NoRoomError(Exception):
    """A checkpoint was not written, since it needs more bytes than are allowed."""

    def __init__(self, needed: int, allowed: int) -> None:
        super().__init__(f"{needed} bytes are needed, and {allowed} allowed")
        self.needed = needed
        self.allowed = allowed


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint as it lies on the storage."""

    store: Store
    """The trial's."""
    name: str
    """Of its folder."""
    epoch: float
    value: float
    """Of the study's metric."""
    result: dict[str, Any]
    """What the trial reported with it."""
    donor: int | None = None
    """The trial that it was copied from."""
    past: list[dict[str, Any]] = field(default_factory=list)
    """What the trial reported before it, by epoch, where that is kept."""
    config: dict[str, Any] | None = None
    """That it was trained with, where that is kept."""
    iteration: int = 0
    """Steps of Tune that it took, which a trainable's learning rate may be computed from."""
    time_total: float = 0.0
    """Seconds of them."""
    from_zero: bool = False
    """Whether the trial counts its epochs from 0 itself."""
    files: Mapping[str, list[int]] = field(default_factory=dict)
    """What its files must be (`checksums`); one of an earlier version does not say it."""

    @contextmanager
    def whole(self) -> Iterator[Path]:
        """A local folder with its files as they were written, for as long as the context lasts; a
        ValueError if they are damaged, an OSError if they cannot be had."""
        with self.store.reading(self.name) as folder:
            check_sums(folder, self.files)
            yield folder

    def copy_to(self, folder: Path) -> None:
        """Copies its files, as `whole` has them, to an empty local folder."""
        self.store.copy_to(self.name, folder)
        check_sums(folder, self.files)


class TrialCheckpoints:
    """The checkpoints of one trial.

    Args:
        store: the trial's, shared by all nodes; made at the first write.
        mode: "max" or "min": which value is the best.
        allowance: bytes of all of them, one that is being written included; None without a limit.
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
        """Lets `save(folder)` write the checkpoint of `epoch`; the name of its folder.

        Those that are neither the best nor the latest are dropped.

        Args:
            more: `iteration`, `time_total`, `past`, `config` and `from_zero`, where they are to be
                kept with it.

        Raises:
            NoRoomError: it is no better than the best one, and both are more than is allowed.
            StorageLostError: the storage failed, and did not come back.
        """
        record = {"epoch": epoch, "value": value, "result": result, **more}
        name = name_of(epoch)
        self._write(name, record, save, value)
        self._keep_best_and_latest()
        return name

    def adopt(self, checkpoint: Checkpoint, donor: int) -> str:
        """Copies a checkpoint of trial `donor`, which this trial goes on from; the name of its
        folder.

        Raises:
            NoRoomError: it and the best one are more than is allowed.
            ValueError, OSError: it is damaged, or cannot be copied.
        """
        copied = ("epoch", "value", "result", "iteration", "time_total", "from_zero")
        record = {**{name: getattr(checkpoint, name) for name in copied}, "donor": donor}
        name = f"{checkpoint.name}_from_{donor:04d}"
        self._write(name, record, lambda folder: checkpoint.copy_to(Path(folder)), None)
        return name

    def make_room(self, needed: int, value: float | None = None) -> None:
        """Drops what has to go before so many bytes are written: what is neither the best nor the
        latest, then the latest, and the best for one with a better `value` only; a NoRoomError if
        that is not enough."""
        if self._allowance is None:
            return
        sizes, best = self._retry(self.store.sizes), self.best()
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

    def names(self) -> list[str]:
        """The folders that hold a checkpoint, the newest first, readable or not."""
        names = [
            name for name in self._retry(self.store.folders) if name.startswith(CHECKPOINT_PREFIX)
        ]
        return sorted(names, reverse=True)

    def read(self, name: str) -> Checkpoint:
        """What is known of the checkpoint in the folder `name`, without its tensors; an OSError or
        a ValueError if it is damaged."""
        record = read_record(self._retry(lambda: self.store.read(f"{name}/{RESULT_FILE}")))
        # One of an earlier version does not say it.
        record.setdefault("iteration", record["epoch"])
        known = (key for key in _Record.__annotations__ if key in record and key != "crc")
        return Checkpoint(self.store, name, **{key: record[key] for key in known})

    def drop_from(self, epoch: float) -> None:
        """Drops those of `epoch` and later, readable or not: the trial has come to that epoch
        again, and is not to go on from what it had there before."""
        for name in self.names():
            if name >= name_of(epoch):
                self.store.drop(name)

    def newest_first(self) -> list[Checkpoint]:
        """All that can be read; a damaged folder is left out, and stays where it is. Storage that
        does not come back is a StorageLostError."""
        found = []
        for name in self.names():
            try:
                found.append(self.read(name))
            except StorageLostError:
                # Nothing is known of it: who takes it for damaged may delete the best one.
                raise
            except (OSError, ValueError):
                continue
        return found

    def of_epoch(self, epoch: float) -> Checkpoint | None:
        """The trial's own after `epoch`, if it is there and can be read."""
        own = (c for c in self.newest_first() if c.donor is None)
        return next((c for c in own if c.epoch == epoch), None)

    def best(self) -> Checkpoint | None:
        """The trial's own with the best value, the earlier of equals."""
        return self.best_of(self.newest_first())

    def best_of(self, found: list[Checkpoint]) -> Checkpoint | None:
        """The same of those that were found."""
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
                # A donor's, or the first part of it.
                result.unlink(missing_ok=True)
                described = {**record, "files": sums_of(folder)}
                read_back = json.loads(json.dumps(described))
                result.write_text(
                    json.dumps({**read_back, "crc": crc_of(read_back, without=("crc",))})
                )

            def put() -> None:
                # Each time: where the mount point was away nothing was seen, and nothing dropped.
                self.make_room(bytes_in(folder), value)
                # Only a damaged one can have the name already: the trial went on from an earlier
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


def name_of(epoch: float) -> str:
    """The folder of the checkpoint after `epoch`, such as `checkpoint_000007`, or
    `checkpoint_000007.5` of a trial that reports twice an epoch: they sort as the epochs do."""
    whole = math.floor(epoch)
    part = f"{epoch - whole:.6f}".rstrip("0")[1:] if epoch > whole else ""
    return f"{CHECKPOINT_PREFIX}{whole:06d}{part}"


def read_record(data: bytes) -> dict[str, Any]:
    """The content of a `result.json`; a ValueError says that it is damaged."""
    record: dict[str, Any] = parse(data, finite=False)
    check(_Record, record)
    if "crc" in record and record["crc"] != crc_of(record):
        raise ValueError(f"{RESULT_FILE} was changed since it was written")
    return record


def saved(save: Callable[[str], object]) -> tempfile.TemporaryDirectory[str]:
    """A folder on this node's own disk with what `save` writes to it; an OSError says that the disk
    is full, whatever `save` has made of it."""
    folder = scratch()
    try:
        save(folder.name)
    except Exception as error:
        full = shutil.disk_usage(folder.name).free < FULL_BYTES
        folder.cleanup()
        if full:
            # Named here: it has room again, now that the folder is gone.
            reason = os.strerror(errno.ENOSPC)
            raise OSError(errno.ENOSPC, reason, tempfile.gettempdir()) from error
        raise
    return folder
