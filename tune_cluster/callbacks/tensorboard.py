"""The trials' curves for TensorBoard: one run a trial, the epoch on the x axis, none twice.

Beside the curves each run has its line of HPARAMS, of which `hparams` says what it shows. Each
process that writes a run has an event file of its own in it.
"""

from __future__ import annotations

import ctypes
import io
import math
import os
import secrets
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event as FileEvent
from tensorboard.compat.proto.event_pb2 import SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.text.metadata import create_summary_metadata
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util import tensor_util

from search_spaces.trial_events import (
    Decision,
    Ended,
    Epoch,
    EpochsLost,
    Event,
    Exploited,
    Promoted,
    Result,
    TrialEvent,
)
from tune_cluster.callbacks.base import Callback
from tune_cluster.callbacks.hparams import (
    NO_VALUE,
    SESSION_END,
    SESSION_START,
    Columns,
    is_column,
)
from tune_cluster.plain_text import in_markdown, json_in_markdown, one_line
from tune_cluster.storage.append_only import AppendOnlyFile
from tune_cluster.storage.checkpoints import dirname_of
from tune_cluster.storage.inside import check_regular, open_to_append, opened, write_file
from tune_cluster.storage.retry import StorageRetry
from tune_cluster.storage.store import LocalStore
from tune_cluster.study.events import Closed, Session, Started
from tune_cluster.study.state import Metrics, StudyState, TrialState

EVENT_FILE_PREFIX, FILE_VERSION = "events.out.tfevents", "brain.Event:2"

STEP_LOSS = "loss/step"
"""The losses of single steps, whose number is on the x axis."""

TAGS = {
    "train_loss": "loss/train",
    "val_loss": "loss/validation",
    "train_accuracy": "accuracy/train",
    "val_accuracy": "accuracy/validation",
    "samples_per_second": "throughput/samples_per_second",
}
"""The tag of a metric; another metric goes by its own name."""

TEXTS = ("config", "notice", "decision", "promoted", "exploited")
"""The tags of texts."""

NOT_CURVES = ("epoch", "epoch_seconds")


@dataclass
class Run:
    """What the event files of a run have; what a kill left half-written is not counted."""

    epochs: set[int] = field(default_factory=set)
    """That have scalars."""
    last: dict[str, float] = field(default_factory=dict)
    """The last value of each scalar."""
    tags: set[str] = field(default_factory=set)
    """Of anything, scalars or not."""

    def add(self, step: int, value: Summary.Value) -> None:
        """Take in a value."""
        self.tags.add(value.tag)
        if value.HasField("simple_value"):
            self.last[value.tag] = value.simple_value
            if value.tag != STEP_LOSS and not is_column(value.tag):
                self.epochs.add(step)


class TensorBoard(Callback):
    """Writes each epoch of each trial as it ends, and what became of the trial so far.

    Args:
        trials_dir: the study's `trials/`; trial 12 is the run `0012` in it.
        columns: of HPARAMS.
        notice: said in every trial's text, if there is one: a dataset that is not the default, or
            GPUs that are not there.
        retry: of the storage that they are on.
    """

    def __init__(
        self,
        trials_dir: Path,
        columns: Columns,
        notice: str = "",
        retry: StorageRetry | None = None,
    ) -> None:
        self._trials_dir = trials_dir
        self._columns = columns
        self._retry = StorageRetry(LocalStore(trials_dir)) if retry is None else retry
        self._notice = notice
        self._writers: dict[str, RecordWriter] = {}
        self._runs: dict[str, Run] = {}
        """What the event files have, of each run that was looked at."""
        self._lost: dict[str, tuple[int, list[str]]] = {}
        """Of runs that begin again, the step that they do so at, and the columns that they had."""

    def on_event(self, event: Event, state: StudyState, replay: bool) -> None:
        """Write starts, results, decisions and exploits; an end closes the trial's file. As a
        session begins, write what the files lack of earlier ones."""
        if replay:
            return
        if isinstance(event, Session):
            write_experiment(self._trials_dir.parent, self._columns, self._retry)
            for trial in state.trials.values():
                self._complete(trial)
        elif isinstance(event, Closed):
            for writer in self._writers.values():
                writer.close()
            self._writers.clear()
        elif isinstance(event, TrialEvent):
            self._on_trial(event, state.trials[event.trial])

    def _on_trial(self, event: TrialEvent, trial: TrialState) -> None:
        run = dirname_of(trial.index)
        if isinstance(event, EpochsLost):
            self._begin_again(run, trial.step(event.first))
            self._complete(trial)
            return
        if isinstance(event, (Started, Result, Promoted, Ended)):
            self._open(run, trial)
        elif not isinstance(event, (Decision, Exploited)) or run not in self._writers:
            # Of no concern here; or the storage was lost with the result before it.
            return
        values: dict[int, list[Summary.Value]] = {}
        if isinstance(event, Result):
            values[trial.step(event.epoch)] = scalars(event.metrics)
            self._steps(run, event.step_losses or ())
        elif isinstance(event, (Promoted, Decision)):
            self._text(run, event.name, json_in_markdown(event.to_json()), event.rung)
        elif isinstance(event, Exploited):
            self._text(run, event.name, json_in_markdown(event.to_json()), event.epoch)
        self._update(run, trial, values)
        if isinstance(event, Ended):
            self._writers.pop(run).close()
            # What its files have can be read again, should it be promoted.
            del self._runs[run]
        else:
            self._writers[run].flush()

    def _complete(self, trial: TrialState) -> None:
        """Writes the epochs that the journal has and the event files lack, after a kill, and what
        became of the trial."""
        run = dirname_of(trial.index)
        steps = {trial.step(epoch): epoch for epoch in sorted(trial.results)}
        if surplus := self._known(run).epochs - set(steps):
            # Lost since: the driver was killed before it was journaled.
            self._begin_again(run, min(surplus))
        for step in sorted(set(steps) - self._known(run).epochs):
            epoch = steps[step]
            self._open(run, trial)
            self._add(run, step, scalars(trial.results[epoch]))
            self._steps(run, trial.step_losses.get(epoch, ()))
        self._update(run, trial, {})
        if trial.ended and run in self._writers:
            self._writers.pop(run).close()

    def _begin_again(self, run: str, step: int) -> None:
        """Removes what the run has shown; a TensorBoard that has read it drops all from `step`."""
        if run in self._writers:
            self._writers.pop(run).close()
        empty_event_files(self._trials_dir / run)
        self._lost[run] = step, [tag for tag in self._known(run).last if is_column(tag)]
        self._runs[run] = Run()

    def _known(self, run: str) -> Run:
        if run not in self._runs:
            self._runs[run] = read_run(self._trials_dir / run)
        return self._runs[run]

    def _open(self, run: str, trial: TrialState) -> None:
        if run in self._writers:
            return
        tags = self._known(run).tags
        self._writers[run] = new_event_file(self._trials_dir / run, self._retry)
        if run in self._lost:
            step, columns = self._lost.pop(run)
            # TensorBoard takes the first that it reads of a run for the run's beginning.
            restart = file_event(step=step, session_log=SessionLog(status=SessionLog.START))
            for _ in range(2):
                self._writers[run].write(restart)
            self._add(run, step, [Summary.Value(tag=t, simple_value=NO_VALUE) for t in columns])
        if "config" not in tags:
            config = "".join(
                f"| {in_markdown(key)} | {in_markdown(value)} |\n"
                for key, value in trial.config.items()
            )
            self._text(run, "config", f"| | |\n|---|---|\n{config}", 0)
        if self._notice and "notice" not in tags:
            notice = "\n".join(map(in_markdown, self._notice.split("\n")))
            self._text(run, "notice", notice, 0)

    def _update(self, run: str, trial: TrialState, values: dict[int, list[Summary.Value]]) -> None:
        """Writes `values` by step, and what the trial's line of HPARAMS lacks."""
        known = self._known(run)
        for tag, (step, value) in self._columns.cells(trial).items():
            shown = known.last.get(tag, NO_VALUE)
            # An event file has 32 bits for a value.
            now = NO_VALUE if value is None else ctypes.c_float(value).value
            if now != shown and not (math.isnan(now) and math.isnan(shown)):
                values.setdefault(step, []).append(Summary.Value(tag=tag, simple_value=now))
        if SESSION_START not in known.tags:
            values.setdefault(0, []).append(self._columns.start(trial))
        end = None if SESSION_END in known.tags else self._columns.end(trial)
        if end is not None:
            values.setdefault(trial.step(trial.epochs), []).append(end)
        for step, summaries in values.items():
            self._open(run, trial)
            self._add(run, step, summaries)

    def _steps(self, run: str, losses: Sequence[Sequence[float]]) -> None:
        for step, loss in losses:
            self._add(run, int(step), [Summary.Value(tag=STEP_LOSS, simple_value=loss)])

    def _text(self, run: str, tag: str, text: str, epoch: Epoch) -> None:
        metadata: SummaryMetadata = create_summary_metadata(tag, "")
        tensor = tensor_util.make_tensor_proto([text.encode()])
        self._add(run, int(epoch), [Summary.Value(tag=tag, metadata=metadata, tensor=tensor)])

    def _add(self, run: str, step: int, values: list[Summary.Value]) -> None:
        self._writers[run].write(file_event(step=step, summary=Summary(value=values)))
        for value in values:
            self._known(run).add(step, value)


def write_experiment(directory: Path, columns: Columns, retry: StorageRetry) -> None:
    """Tells TensorBoard the columns of a study, in a run that is the study itself: in a file that
    replaces that of an earlier session, since TensorBoard keeps the first that it finds."""
    content = io.BytesIO()
    writer = RecordWriter(content)
    writer.write(file_event(file_version=FILE_VERSION))
    writer.write(file_event(summary=Summary(value=[columns.experiment()])))
    path = directory / f"{EVENT_FILE_PREFIX}.columns"
    retry(lambda: write_file(directory, path, content.getvalue()))


def scalars(metrics: Metrics) -> list[Summary.Value]:
    """The points of an epoch."""
    return [
        Summary.Value(tag=tag_of(name), simple_value=value)
        for name, value in metrics.items()
        if name not in NOT_CURVES and value is not None
    ]


def tag_of(metric: str) -> str:
    """The tag of a metric's curve; one with a name that is taken goes by another."""
    tag = one_line(TAGS.get(metric, metric))
    taken = is_column(tag) or tag in (*TEXTS, STEP_LOSS)
    return f"reported/{tag}" if taken else tag


def read_run(folder: Path) -> Run:
    """What the event files in a run's folder have."""
    run = Run()
    # In the order in which TensorBoard reads them.
    for path in sorted(folder.glob(f"{EVENT_FILE_PREFIX}.*")):
        for event in events_in(path):
            for value in event.summary.value:
                run.add(event.step, value)
    return run


def events_in(path: Path) -> Iterator[FileEvent]:
    """The events of a file, up to what is damaged; of what is no file there are none."""
    with suppress(OSError, ValueError, DecodeError):
        check_regular(path, path.lstat().st_mode)
        for record in RawEventFileLoader(str(path)).Load():
            yield FileEvent.FromString(record)


def new_event_file(folder: Path, retry: StorageRetry) -> RecordWriter:
    """A new event file in the folder of a run, which is in the study's `trials/`. This thread
    writes it: TensorBoard's own writer starts a thread a file, which for 200 short trials costs
    more than their epochs."""
    study = folder.parents[1]

    def make() -> None:
        with opened(study, folder, make=True):
            pass

    retry(make)
    stem = f"{EVENT_FILE_PREFIX}.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}"
    path = folder / f"{stem}.{time.monotonic_ns()}.{secrets.token_hex(8)}"
    # The journal has it all, from which a session completes what a machine has lost.
    writer = RecordWriter(AppendOnlyFile(path, retry, study=study, new=True, kept=False))
    writer.write(file_event(file_version=FILE_VERSION))
    return writer


def empty_event_files(folder: Path) -> None:
    """Empties the files of a run: TensorBoard's slower reader would stay with a deleted file that
    it has begun, and never come to the next."""
    for path in folder.glob(f"{EVENT_FILE_PREFIX}.*"):
        number = open_to_append(folder.parents[1], path)
        try:
            os.ftruncate(number, 0)
        finally:
            os.close(number)


def file_event(**content: Any) -> bytes:
    """An event of now as a file has it."""
    return bytes(FileEvent(wall_time=time.time(), **content).SerializeToString())
