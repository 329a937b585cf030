"""TensorBoard's event files: a new one for each process that writes a run, and what a run has."""

from __future__ import annotations

import io
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf.message import DecodeError
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event as FileEvent
from tensorboard.compat.proto.event_pb2 import SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from tune_cluster.callbacks.hparams import is_column
from tune_cluster.storage.append_only import AppendOnlyFile
from tune_cluster.storage.inside import check_regular, open_to_append, opened, write_file
from tune_cluster.storage.retry import StorageRetry

PREFIX = "events.out.tfevents"

STEP_LOSS = "loss/step"
"""The losses of single steps, whose number is on the x axis."""


@dataclass
class Run:
    """What the event files of a run have; what a kill left half-written is not counted."""

    epochs: set[int] = field(default_factory=set)
    """That have scalars."""
    last: dict[str, float] = field(default_factory=dict)
    """The last value of each scalar."""
    tags: set[str] = field(default_factory=set)
    """Of anything, scalars or not."""

    def note(self, step: int, value: Summary.Value) -> None:
        """Takes in a value."""
        self.tags.add(value.tag)
        if value.HasField("simple_value"):
            self.last[value.tag] = value.simple_value
            if value.tag != STEP_LOSS and not is_column(value.tag):
                self.epochs.add(step)


def read_run(folder: Path) -> Run:
    """What the event files in a run's folder have."""
    run = Run()
    # In the order in which TensorBoard reads them.
    for path in sorted(folder.glob(f"{PREFIX}.*")):
        for event in events_in(path):
            for value in event.summary.value:
                run.note(event.step, value)
    return run


def events_in(path: Path) -> Iterator[FileEvent]:
    """The events of a file, up to what is damaged; of what is no file there are none."""
    with suppress(OSError, ValueError, DecodeError):
        check_regular(path, path.lstat().st_mode)
        for record in RawEventFileLoader(str(path)).Load():
            yield FileEvent.FromString(record)


def new_event_file(folder: Path, retry: StorageRetry) -> RecordWriter:
    """A new event file in the folder of a run, which is in the study's `trials/`. Written at once,
    by this thread: TensorBoard's own writer starts one for each file, which for 200 short trials
    costs more than their epochs."""
    study = folder.parents[1]

    def make() -> None:
        with opened(study, folder, make=True):
            pass

    retry(make)
    stem = f"{PREFIX}.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}"
    path = folder / f"{stem}.{time.monotonic_ns()}.{secrets.token_hex(8)}"
    # The journal has it all, from which a session completes what a machine has lost.
    writer = RecordWriter(AppendOnlyFile(path, retry, study=study, new=True, kept=False))
    writer.write(first_event())
    return writer


def empty_event_files(folder: Path) -> None:
    """Empties what a run has. Not deleted: the slower of TensorBoard's readers would stay with a
    file that it has begun, and never come to the next."""
    for path in folder.glob(f"{PREFIX}.*"):
        number = open_to_append(folder.parents[1], path)
        try:
            os.ftruncate(number, 0)
        finally:
            os.close(number)


def write_event_file(study: Path, name: str, event: bytes, retry: StorageRetry) -> None:
    """Writes an event file with one event, whole, in the place of one that was there."""
    content = io.BytesIO()
    writer = RecordWriter(content)
    writer.write(first_event())
    writer.write(event)
    retry(lambda: write_file(study, study / f"{PREFIX}.{name}", content.getvalue()))


def first_event() -> bytes:
    """What each file begins with."""
    event = FileEvent(wall_time=time.time(), file_version="brain.Event:2")
    return bytes(event.SerializeToString())


def restart_at(step: int) -> bytes:
    """Tells a TensorBoard that has read the run to drop all that it has from that step on."""
    event = FileEvent(step=step, session_log=SessionLog(status=SessionLog.START))
    return bytes(event.SerializeToString())


def event_of(step: int, *values: Summary.Value) -> bytes:
    """An event as a file has it, of now."""
    event = FileEvent(step=step, wall_time=time.time(), summary=Summary(value=values))
    return bytes(event.SerializeToString())
