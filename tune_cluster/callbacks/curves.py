"""The trials' curves for TensorBoard: one run a trial, the epoch on the x axis, none twice.

Beside the curves each run has its line of HPARAMS, of which `hparams` says what it shows.
"""

from __future__ import annotations

import ctypes
import math
from pathlib import Path
from typing import Any, TypeAlias

from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.text.metadata import create_summary_metadata
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util import tensor_util

from tune_cluster.callbacks.event_files import (
    STEP_LOSS,
    Run,
    empty_event_files,
    event_of,
    new_event_file,
    read_run,
    restart_at,
    write_event_file,
)
from tune_cluster.callbacks.hparams import NO_VALUE, SESSION_END, SESSION_START, Columns, is_column
from tune_cluster.execution.controls import control_dirname
from tune_cluster.execution.ray_tune.searcher import dirname_of
from tune_cluster.plain_text import in_markdown, json_in_markdown, one_line
from tune_cluster.storage.retry import StorageRetry
from tune_cluster.storage.store import LocalStore
from tune_cluster.study.journal import Epoch, Event, TrialRecord

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

Results: TypeAlias = dict[Epoch, dict[str, float | None]]

NOT_CURVES = ("epoch", "epoch_seconds")


class Curves:
    """Writes each epoch of each trial as it ends, and what became of the trial so far.

    Args:
        trials_dir: the study's `trials/`; trial 12 is the run `0012` in it, and `0012-control`
            where it goes on as a control, which has no line in HPARAMS.
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

    def on_event(self, event: Event, trial: TrialRecord) -> None:
        """Writes starts, results, decisions and exploits; an end closes the trial's file."""
        kind = event["event"]
        if kind in ("control", "control_ended"):
            self._on_control(event, trial)
            return
        run = dirname_of(trial.index)
        if kind == "epochs_lost":
            self._begin_again(run, trial.step(event["first"]))
            self.complete(trial)
            return
        if kind in ("started", "result", "promoted", "ended"):
            self._open(run, trial)
        elif kind not in ("decision", "exploited") or run not in self._writers:
            # Of no concern here; or the storage was lost with the result before it.
            return
        values: dict[int, list[Summary.Value]] = {}
        if kind == "result":
            values[trial.step(event["epoch"])] = scalars(event["metrics"])
            self._steps(run, event.get("step_losses", []))
        elif kind in ("promoted", "decision"):
            self._text(run, kind, json_in_markdown(event), event["rung"])
        elif kind == "exploited":
            self._text(run, kind, json_in_markdown(event), event["epoch"])
        self._update(run, trial, values)
        if kind == "ended":
            self._writers.pop(run).close()
        else:
            self._writers[run].flush()

    def complete(self, trial: TrialRecord) -> None:
        """Writes the epochs that the journal has and the event files lack, after a kill, and what
        became of the trial."""
        run, control = dirname_of(trial.index), control_dirname(trial.index)
        self._missing(run, trial, trial.results)
        self._update(run, trial, {})
        self._missing(control, trial, trial.control_results)
        for name, ended in ((run, trial.ended), (control, not trial.control_left)):
            if ended and name in self._writers:
                self._writers.pop(name).close()

    def close(self) -> None:
        """Closes what is open."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _on_control(self, event: Event, trial: TrialRecord) -> None:
        run = control_dirname(trial.index)
        if event["event"] == "control":
            self._open(run, trial)
            self._add(run, trial.step(event["epoch"]), scalars(event["metrics"]))
            self._steps(run, event.get("step_losses", []))
            self._writers[run].flush()
        elif run in self._writers:
            self._writers.pop(run).close()

    def _begin_again(self, run: str, step: int) -> None:
        """Removes what the run has shown; a TensorBoard that has read it drops all from `step`."""
        if run in self._writers:
            self._writers.pop(run).close()
        empty_event_files(self._trials_dir / run)
        self._lost[run] = step, [tag for tag in self._known(run).last if is_column(tag)]
        self._runs[run] = Run()

    def _missing(self, run: str, trial: TrialRecord, results: Results) -> None:
        steps = {trial.step(epoch): epoch for epoch in sorted(results)}
        if surplus := self._known(run).epochs - set(steps):
            # Lost since: the driver was killed before it was told.
            self._begin_again(run, min(surplus))
        for step in sorted(set(steps) - self._known(run).epochs):
            epoch = steps[step]
            self._open(run, trial)
            self._add(run, step, scalars(results[epoch]))
            self._steps(run, trial.step_losses.get(epoch, []))

    def _known(self, run: str) -> Run:
        if run not in self._runs:
            self._runs[run] = read_run(self._trials_dir / run)
        return self._runs[run]

    def _open(self, run: str, trial: TrialRecord) -> None:
        if run in self._writers:
            return
        tags = self._known(run).tags
        self._writers[run] = new_event_file(self._trials_dir / run, self._retry)
        if run in self._lost:
            step, columns = self._lost.pop(run)
            # TensorBoard takes the first that it reads of a run for the run's beginning.
            for _ in range(2):
                self._writers[run].write(restart_at(step))
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

    def _update(self, run: str, trial: TrialRecord, values: dict[int, list[Summary.Value]]) -> None:
        """Writes `values` by step, and what the trial's line of HPARAMS lacks."""
        known = self._known(run)
        for tag, (step, value) in self._columns.cells(trial).items():
            shown = known.last.get(tag, NO_VALUE)
            now = NO_VALUE if value is None else as_written(value)
            if now != shown and not (math.isnan(now) and math.isnan(shown)):
                values.setdefault(step, []).append(Summary.Value(tag=tag, simple_value=now))
        if SESSION_START not in known.tags:
            values.setdefault(0, []).append(self._columns.start(trial))
        end = None if SESSION_END in known.tags else self._columns.end(trial)
        if end is not None:
            values.setdefault(trial.step(trial.epochs), []).append(end)
        for step, told in values.items():
            self._open(run, trial)
            self._add(run, step, told)

    def _steps(self, run: str, losses: list[list[float]]) -> None:
        for step, loss in losses:
            self._add(run, int(step), [Summary.Value(tag=STEP_LOSS, simple_value=loss)])

    def _text(self, run: str, tag: str, text: str, epoch: int) -> None:
        metadata: SummaryMetadata = create_summary_metadata(tag, "")
        tensor = tensor_util.make_tensor_proto([text.encode()])
        self._add(run, epoch, [Summary.Value(tag=tag, metadata=metadata, tensor=tensor)])

    def _add(self, run: str, step: int, values: list[Summary.Value]) -> None:
        self._writers[run].write(event_of(step, *values))
        for value in values:
            self._known(run).note(step, value)


def write_experiment(directory: Path, columns: Columns, retry: StorageRetry) -> None:
    """Tells TensorBoard the columns of a study, in a run that is the study itself; in the place of
    what an earlier session has told, since TensorBoard keeps the first that it finds."""
    event = event_of(0, columns.experiment())
    write_event_file(directory, "columns", event, retry)


def scalars(metrics: dict[str, Any]) -> list[Summary.Value]:
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


def as_written(value: float) -> float:
    """A value as an event file has it, in 32 bits."""
    return ctypes.c_float(value).value


def epochs_in(run: Path) -> set[int]:
    """The epochs that have scalars in a run's event files."""
    return read_run(run).epochs
