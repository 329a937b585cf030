"""Curves of the trials for TensorBoard: one run per trial, epochs on the x axis, each only once.

Each run also has its line of HPARAMS, whose content `hparams` determines.
"""

from __future__ import annotations

import ctypes
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

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
from tune_cluster.callbacks.event_files import (
    EVENT_FILE_PREFIX,
    FILE_VERSION,
    empty_event_files,
    events_in,
    file_event,
    new_event_file,
    paths_of,
    restart,
)
from tune_cluster.callbacks.hparams import (
    NO_VALUE,
    SESSION_END,
    SESSION_START,
    Columns,
    is_column,
)
from tune_cluster.plain_text import in_markdown, json_in_markdown, one_line
from tune_cluster.storage.checkpoints import dirname_of
from tune_cluster.storage.inside import write_file
from tune_cluster.storage.retry import StorageRetry
from tune_cluster.storage.store import LocalStore
from tune_cluster.study.events import Closed, Interim, Session, Started
from tune_cluster.study.state import Metrics, StudyState, TrialState

OF_STEPS = "/step"
"""End of the tags of single steps, with the step on the x axis: `loss/step`, `accuracy/step`."""

REPORTED = "reported/"
"""Start of the tag of a metric whose own name would be another thing's tag."""

TAGS = {
    "train_loss": "loss/train",
    "val_loss": "loss/validation",
    "train_accuracy": "accuracy/train",
    "val_accuracy": "accuracy/validation",
    "samples_per_second": "throughput/samples_per_second",
}
"""Tag of a metric; any other metric has its own name as its tag."""

TEXTS = ("config", "notice", "decision", "promoted", "exploited")
"""Tags of texts."""

NOT_CURVES = ("epoch", "epoch_seconds")


@dataclass
class Run:
    """Content of the event files of a run, without records that a kill left incomplete."""

    epochs: set[int] = field(default_factory=set)
    """Epochs that have scalars."""
    last: dict[str, float] = field(default_factory=dict)
    """Last value of each scalar, by tag."""
    tags: set[str] = field(default_factory=set)
    """All tags, of scalars and others."""

    def add(self, step: int, value: Summary.Value) -> None:
        """Take in a value."""
        self.tags.add(value.tag)
        if value.HasField("simple_value"):
            self.last[value.tag] = value.simple_value
            if not is_of_steps(value.tag) and not is_column(value.tag):
                self.epochs.add(step)


class TensorBoard(Callback):
    """Writes each epoch of each trial when it ends, and the outcome of the trial so far.

    Args:
        trials_dir: the study's `trials/`; trial 12 is the run `0012` in it.
        columns: columns of HPARAMS.
        notice: notice in every trial's text, such as a dataset that is not the default, or missing
            GPUs; may be empty.
        retry: retries of the storage.
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
        """Content of the event files, by run; only runs that were read."""
        self._lost: dict[str, tuple[int, list[str]]] = {}
        """Runs that restart: the step of the restart, and the columns that they had."""

    def on_event(self, event: Event, state: StudyState, replay: bool) -> None:
        """Write starts, results, decisions and exploits; close a trial's file at its end. At the
        beginning of a session, write what the files lack of earlier ones."""
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
        if isinstance(event, (Started, Interim, Result, Promoted, Ended)):
            self._open(run, trial)
        elif not isinstance(event, (Decision, Exploited)) or run not in self._writers:
            # Not written here; or the storage was lost with the result before it.
            return
        values: dict[int, list[Summary.Value]] = {}
        if isinstance(event, Result):
            values[trial.step(event.epoch)] = scalars(event.metrics)
            self._steps(run, event.step_losses or (), event.step_scores or {})
        elif isinstance(event, Interim):
            values[trial.step(event.epoch)] = scalars(event.metrics)
        elif isinstance(event, (Promoted, Decision)):
            self._text(run, event.name, json_in_markdown(event.to_json()), event.rung)
        elif isinstance(event, Exploited):
            self._text(run, event.name, json_in_markdown(event.to_json()), event.epoch)
        self._update(run, trial, values)
        if isinstance(event, Ended):
            self._writers.pop(run).close()
            # The files can be read again if the trial is promoted.
            del self._runs[run]
        else:
            self._writers[run].flush()

    def _complete(self, trial: TrialState) -> None:
        """Write the epochs of the journal that the event files lack after a kill, and the outcome
        of the trial."""
        run = dirname_of(trial.index)
        metrics = {**trial.interim, **trial.results}
        steps = {trial.step(epoch): epoch for epoch in sorted(metrics)}
        if surplus := self._known(run).epochs - set(steps):
            # The driver was killed before it could write them to the journal.
            self._begin_again(run, min(surplus))
        for step in sorted(set(steps) - self._known(run).epochs):
            epoch = steps[step]
            self._open(run, trial)
            self._add(run, step, scalars(metrics[epoch]))
            self._steps(run, trial.step_losses.get(epoch, ()), trial.step_scores.get(epoch, {}))
        self._update(run, trial, {})
        if trial.ended and run in self._writers:
            self._writers.pop(run).close()

    def _begin_again(self, run: str, step: int) -> None:
        """Remove the content of a run; a running TensorBoard drops everything from `step` on."""
        if run in self._writers:
            self._writers.pop(run).close()
        empty_event_files(self._trials_dir.parent, self._trials_dir / run)
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
        folder = self._trials_dir / run
        self._writers[run] = new_event_file(self._trials_dir.parent, folder, self._retry)
        if run in self._lost:
            step, columns = self._lost.pop(run)
            for _ in range(2):
                self._writers[run].write(restart(step))
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
        """Write `values` by step, and the cells that the trial's line of HPARAMS lacks."""
        known = self._known(run)
        for tag, (step, value) in self._columns.cells(trial).items():
            shown = known.last.get(tag, NO_VALUE)
            # An event file stores a value in 32 bits.
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

    def _steps(
        self,
        run: str,
        losses: Sequence[Sequence[float]],
        scores: Mapping[str, Sequence[Sequence[float]]],
    ) -> None:
        values: dict[int, list[Summary.Value]] = {}
        for name, pairs in {"loss": losses, **scores}.items():
            for step, value in pairs:
                values.setdefault(int(step), []).append(
                    Summary.Value(tag=step_tag_of(name), simple_value=value)
                )
        for step, found in sorted(values.items()):
            self._add(run, step, found)

    def _text(self, run: str, tag: str, text: str, epoch: Epoch) -> None:
        metadata: SummaryMetadata = create_summary_metadata(tag, "")
        tensor = tensor_util.make_tensor_proto([text.encode()])
        self._add(run, int(epoch), [Summary.Value(tag=tag, metadata=metadata, tensor=tensor)])

    def _add(self, run: str, step: int, values: list[Summary.Value]) -> None:
        self._writers[run].write(file_event(step=step, summary=Summary(value=values)))
        for value in values:
            self._known(run).add(step, value)


def write_experiment(directory: Path, columns: Columns, retry: StorageRetry) -> None:
    """Write the columns of a study to a run of the study itself, in a file that replaces the one of
    an earlier session, since TensorBoard keeps the first that it finds."""
    content = io.BytesIO()
    writer = RecordWriter(content)
    writer.write(file_event(file_version=FILE_VERSION))
    writer.write(file_event(summary=Summary(value=[columns.experiment()])))
    path = directory / f"{EVENT_FILE_PREFIX}.columns"
    retry(lambda: write_file(directory, path, content.getvalue()))


def scalars(metrics: Metrics) -> list[Summary.Value]:
    """Return the points of an epoch."""
    return [
        Summary.Value(tag=tag_of(name), simple_value=value)
        for name, value in metrics.items()
        if name not in NOT_CURVES and value is not None
    ]


def tag_of(metric: str) -> str:
    """Return the tag of a metric's curve; a name that is already used gets another tag."""
    tag = one_line(TAGS.get(metric, metric))
    taken = is_column(tag) or tag in TEXTS or is_of_steps(tag)
    return f"{REPORTED}{tag}" if taken else tag


def step_tag_of(name: str) -> str:
    """Return the tag of the values of single steps under this name, a curve beside that of the
    epochs."""
    shared = TAGS.get(f"train_{name}", TAGS.get(name, name)).removesuffix("/train")
    return f"{one_line(shared).removeprefix(REPORTED)}{OF_STEPS}"


def is_of_steps(tag: str) -> bool:
    """Return whether a curve has steps on its x axis, not epochs."""
    return tag.endswith(OF_STEPS) and not tag.startswith(REPORTED)


def read_run(folder: Path) -> Run:
    """Return the content of the event files in a run's folder."""
    run = Run()
    for path in paths_of(folder):
        for event in events_in(path):
            for value in event.summary.value:
                run.add(event.step, value)
    return run
