"""Event files of TensorBoard: reading, creating and emptying those of a study.

Each process that writes to a run has its own event file in it.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event as FileEvent
from tensorboard.compat.proto.event_pb2 import SessionLog
from tensorboard.summary.writer.record_writer import RecordWriter

from tune_cluster.storage.append_only import AppendOnlyFile
from tune_cluster.storage.inside import check_regular, open_to_append, opened
from tune_cluster.storage.retry import StorageRetry

EVENT_FILE_PREFIX, FILE_VERSION = "events.out.tfevents", "brain.Event:2"


def paths_of(folder: Path) -> list[Path]:
    """Return the event files of a run, in the order in which TensorBoard reads them."""
    return sorted(folder.glob(f"{EVENT_FILE_PREFIX}.*"))


def events_in(path: Path) -> Iterator[FileEvent]:
    """Yield the events of a file, up to the first damaged one; none if it is no file."""
    with suppress(OSError, ValueError, DecodeError):
        check_regular(path, path.lstat().st_mode)
        for record in RawEventFileLoader(str(path)).Load():
            yield FileEvent.FromString(record)


def new_event_file(study: Path, folder: Path, retry: StorageRetry) -> RecordWriter:
    """Create a new event file in the folder of a run below the study's directory.

    This thread writes it: TensorBoard's own writer starts a thread for each file, which for 200
    short trials costs more than their epochs.
    """

    def make() -> None:
        with opened(study, folder, make=True):
            pass

    retry(make)
    stem = f"{EVENT_FILE_PREFIX}.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}"
    path = folder / f"{stem}.{time.monotonic_ns()}.{secrets.token_hex(8)}"
    # Not synced to the disk: a later session restores lost events from the journal.
    writer = RecordWriter(AppendOnlyFile(path, retry, study=study, new=True, kept=False))
    writer.write(file_event(file_version=FILE_VERSION))
    return writer


def empty_event_files(study: Path, folder: Path) -> None:
    """Empty the files of a run. If they were deleted, TensorBoard's slower reader would stay at a
    deleted file that it has begun, and never read the next."""
    for path in paths_of(folder):
        number = open_to_append(study, path)
        try:
            os.ftruncate(number, 0)
        finally:
            os.close(number)


def file_event(time_of: float | None = None, **content: Any) -> bytes:
    """Return an event in the format of the file.

    Args:
        time_of: its time, in seconds since 1970; now if None.
        content: its other fields.
    """
    wall_time = time.time() if time_of is None else time_of
    return bytes(FileEvent(wall_time=wall_time, **content).SerializeToString())


def restart(step: int) -> bytes:
    """Return the event at which a running TensorBoard drops what it has read of a run from a step
    on. It treats the first one that it reads as the beginning of the run: write two."""
    return file_event(step=step, session_log=SessionLog(status=SessionLog.START))
