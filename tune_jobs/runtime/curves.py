"""The trials' curves for TensorBoard: one run a trial, the epoch on the x axis, none twice."""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from contextlib import suppress
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

from tune_jobs.runtime.controls import control_dirname
from tune_jobs.runtime.journal import Event, TrialRecord
from tune_jobs.runtime.searcher import dirname_of
from tune_jobs.runtime.storage.appended import AppendedFile
from tune_jobs.runtime.storage.inside import opened
from tune_jobs.runtime.storage.outage import Outages
from tune_jobs.runtime.storage.places import Folder
from tune_jobs.runtime.storage.regular import open_regular

TAGS = {
    "train_loss": "loss/train",
    "val_loss": "loss/validation",
    "train_accuracy": "accuracy/train",
    "val_accuracy": "accuracy/validation",
    "samples_per_second": "throughput/samples_per_second",
}
"""The tag of a metric; another metric goes by its own name."""

STEP_LOSS = "loss/step"
"""The losses of single steps, whose number is on the x axis."""

NOT_CURVES = ("epoch", "epoch_seconds")


class Curves:
    """Writes each epoch of each trial as it ends.

    Args:
        trials_dir: the study's `trials/`; trial 12 is the run `0012` in it, and `0012-control`
            where it goes on as a control.
        notice: said in every trial's text, if there is one: a dataset that is not the default, or
            GPUs that are not there.
        outages: of the storage that they are on.
    """

    def __init__(self, trials_dir: Path, notice: str = "", outages: Outages | None = None) -> None:
        self._trials_dir = trials_dir
        self._outages = Outages(Folder(trials_dir)) if outages is None else outages
        self._notice = notice
        self._writers: dict[str, RecordWriter] = {}
        self._lost_from: dict[str, int] = {}
        """Of runs that begin again, the step that they do so at."""

    def on_event(self, event: Event, trial: TrialRecord) -> None:
        """Writes results, decisions and exploits; an end closes the trial's file."""
        kind = event["event"]
        run = dirname_of(trial.index)
        if kind in ("control", "control_ended"):
            run = control_dirname(trial.index)
        if kind in ("result", "control"):
            writer = self._writer(run, trial)
            self._scalars(run, trial.step(event["epoch"]), event["metrics"])
            self._step_losses(run, event.get("step_losses", []))
            writer.flush()
        elif kind == "epochs_lost":
            self._begin_again(run, trial.step(event["first"]))
            self.complete(trial)
        elif kind == "promoted":
            self._writer(run, trial)
            self._text(run, kind, json.dumps(event), event["rung"])
        elif run not in self._writers:
            # The storage was lost with the result before it; or there has been none.
            return
        elif kind == "decision":
            self._text(run, kind, json.dumps(event), event["rung"])
        elif kind == "exploited":
            self._text(run, kind, json.dumps(event), event["epoch"])
        elif kind in ("ended", "control_ended"):
            self._writers.pop(run).close()

    def complete(self, trial: TrialRecord) -> None:
        """Writes the epochs that the journal has and the event files lack, after a kill."""
        runs = (
            (dirname_of(trial.index), trial.results, trial.ended),
            (control_dirname(trial.index), trial.control_results, not trial.control_left),
        )
        for run, results, ended in runs:
            steps = {trial.step(epoch): epoch for epoch in sorted(results)}
            there = epochs_in(self._trials_dir / run)
            if there - set(steps):
                # Lost since: the driver was killed before it was told.
                self._begin_again(run, min(there - set(steps)))
                there = set()
            missing = sorted(set(steps) - there)
            if not missing:
                continue
            self._writer(run, trial)
            for step in missing:
                epoch = steps[step]
                self._scalars(run, step, results[epoch])
                self._step_losses(run, trial.step_losses.get(epoch, []))
            if ended:
                self._writers.pop(run).close()

    def close(self) -> None:
        """Closes what is open."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _begin_again(self, run: str, step: int) -> None:
        """Removes what the run has shown; a TensorBoard that has read it drops all from `step`."""
        if run in self._writers:
            self._writers.pop(run).close()
        for path in (self._trials_dir / run).glob("events.out.tfevents.*"):
            path.unlink()
        self._lost_from[run] = step

    def _writer(self, run: str, trial: TrialRecord) -> RecordWriter:
        if run not in self._writers:
            directory = self._trials_dir / run
            first = not epochs_in(directory)
            self._writers[run] = new_event_file(directory, self._outages)
            if run in self._lost_from:
                restart = SessionLog(status=SessionLog.START)
                event = FileEvent(step=self._lost_from.pop(run), session_log=restart)
                self._writers[run].write(event.SerializeToString())
            if first:
                config = "".join(f"| {key} | {value} |\n" for key, value in trial.config.items())
                self._text(run, "config", f"| | |\n|---|---|\n{config}", 0)
                if self._notice:
                    self._text(run, "notice", self._notice, 0)
        return self._writers[run]

    def _scalars(self, run: str, step: int, metrics: dict[str, Any]) -> None:
        values = [
            Summary.Value(tag=TAGS.get(name, name), simple_value=value)
            for name, value in metrics.items()
            if name not in NOT_CURVES and value is not None
        ]
        self._add(run, step, values)

    def _step_losses(self, run: str, losses: list[list[float]]) -> None:
        for step, loss in losses:
            self._add(run, int(step), [Summary.Value(tag=STEP_LOSS, simple_value=loss)])

    def _text(self, run: str, tag: str, text: str, epoch: int) -> None:
        metadata: SummaryMetadata = create_summary_metadata(tag, "")
        tensor = tensor_util.make_tensor_proto([text.encode()])
        self._add(run, epoch, [Summary.Value(tag=tag, metadata=metadata, tensor=tensor)])

    def _add(self, run: str, epoch: int, values: list[Summary.Value]) -> None:
        event = FileEvent(step=epoch, wall_time=time.time(), summary=Summary(value=values))
        self._writers[run].write(event.SerializeToString())


def new_event_file(run: Path, outages: Outages) -> RecordWriter:
    """A new event file in a run's folder. Written at once, by this thread: TensorBoard's own writer
    starts one for each file, which for 200 short trials costs more than their epochs."""
    study = run.parents[1]

    def make() -> None:
        with opened(study, run, make=True):
            pass

    outages(make)
    now = time.time()
    # TensorBoard reads a run's files in the order of their names.
    stem = f"events.out.tfevents.{int(now):010d}.{socket.gethostname()}.{os.getpid()}"
    path = run / f"{stem}.{time.monotonic_ns()}.{secrets.token_hex(8)}"
    writer = RecordWriter(AppendedFile(path, outages, study=study, new=True))
    writer.write(FileEvent(wall_time=now, file_version="brain.Event:2").SerializeToString())
    return writer


def epochs_in(run: Path) -> set[int]:
    """The epochs that have scalars in a run's event files; what a kill left half-written is not
    counted, nor what follows damage in a file."""
    epochs = set()
    for path in run.glob("events.out.tfevents.*"):
        with suppress(OSError, ValueError, DecodeError):
            # TensorBoard's reader would wait for a FIFO.
            open_regular(path).close()
            for record in RawEventFileLoader(str(path)).Load():
                event = FileEvent.FromString(record)
                values = [value for value in event.summary.value if value.tag != STEP_LOSS]
                if any(value.HasField("simple_value") for value in values):
                    epochs.add(event.step)
    return epochs
