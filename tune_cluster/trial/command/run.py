"""One run of a user's command: a process group, and the epochs that it reports."""

from __future__ import annotations

import fcntl
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import termios
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, TypeAlias

from tune_cluster.storage.store import scratch
from tune_cluster.trial.command import process_group
from tune_cluster.trial.command.collected import CollectedEpochs
from tune_cluster.trial.command.command import STDOUT, Command
from tune_cluster.trial.command.config_file import with_values
from tune_cluster.trial.command.files import metric_files
from tune_cluster.trial.command.printed import PrintedMetrics, is_drawn
from tune_cluster.trial.command.saved import RESUMED, SavedFiles, keep, restore
from tune_cluster.trial.command.template import rendered
from tune_cluster.trial.failures import OUT_OF_MEMORY_MESSAGES, CommandFailedError

CONFIG_VARIABLE = "TUNE_CLUSTER_CONFIG"
"""Environment variable that names a JSON file with the searched values."""

TERM_SECONDS = 10
"""Seconds from SIGTERM to SIGKILL, so that a script can save its state."""

QUIET_SECONDS = 0.2
"""Seconds to wait for more metrics of an epoch after the study's."""

SETTLE_SECONDS = 0.02
"""Seconds after which what the command has printed is a line of the queue."""

TAIL_LINES = 20
"""Number of last lines that are searched for the reason of a failure."""

Report: TypeAlias = Callable[[dict[str, Any], "Callable[[str], object] | None"], None]
"""Function called with the metrics of an epoch, and a function that saves its checkpoint."""


_LINE_END = re.compile(rb"(?<=\n)|(?<=\r)(?!\n|\Z)")
"""After a line. One that ends in `\\r` may go on with `\\n`."""


@dataclass(frozen=True)
class _Line:
    text: str
    drawn: bool
    """Whether it may be drawn again."""
    ended: bool

    @classmethod
    def of(cls, line: bytes) -> _Line:
        text, ended = line.decode(errors="replace").rstrip("\r\n"), not line.endswith(b"\r")
        return cls(text, is_drawn(text, ended=ended), ended)


class OutOfMemoryError(CommandFailedError):
    """A command has run out of the memory of its GPU."""


def run_command(
    command: Command,
    config: Mapping[str, Any],
    files: Path,
    report: Report,
    saved: Path | None = None,
) -> None:
    """Run a command to its end.

    Args:
        command: command to run.
        config: searched values.
        files: folder for the command's files.
        report: called once per epoch; an exception in it ends the command.
        saved: folder of a checkpoint to resume from.

    Raises:
        CommandFailedError: the command has failed.
        OutOfMemoryError: it lacked memory of its GPU.
        MemoryError: it was killed.
        SystemExit: it has ended and never reported the metric.
    """
    values: dict[str, Any] = {**config, "trial_dir": str(files)}
    values["config_json"] = _written(files / "config.json", json.dumps(dict(config)))
    if command.config_file:
        copy = files / Path(command.config_file).name
        values["config_file"] = _written(copy, with_values(command.config_file, config))
    more: Sequence[str] = ()
    last = None
    if saved is not None:
        more = command.resume_words
        place = "".join(rendered([command.checkpoint], values)) if command.resumes_in_place else ""
        values["checkpoint"], last = restore(saved, files, place)
    run = _Run(command, values, CollectedEpochs(command.metric, last), report)
    try:
        run.to_its_end(rendered([*command.words, *more], values))
    finally:
        # The study has a copy.
        shutil.rmtree(files / RESUMED, ignore_errors=True)


class _Run:
    """The process of a command, and its output.

    Args:
        command: command that runs.
        values: values by the names in braces.
        epochs: collects the metrics.
        report: called with an epoch.
    """

    def __init__(
        self, command: Command, values: Mapping[str, Any], epochs: CollectedEpochs, report: Report
    ) -> None:
        self._metric, self._epochs, self._report = command.metric, epochs, report
        self._folder = Path(values["trial_dir"])
        self._resumed = "checkpoint" in values
        """Whether it may have no epoch left."""
        self._environment = {
            **os.environ,
            # Python buffers its output if it is a pipe.
            "PYTHONUNBUFFERED": "1",
            CONFIG_VARIABLE: values["config_json"],
        }
        self._printed = PrintedMetrics(command.patterns)
        path, pattern = (
            "".join(rendered([text], values)) for text in (command.metrics_from, command.checkpoint)
        )
        self._files = None if path == STDOUT else metric_files(path)
        self._checkpoints = SavedFiles(Path(pattern)) if pattern else None
        self._lines: queue.Queue[_Line | None] = queue.Queue()
        """Lines of its output; None is the end."""
        self._ahead: list[dict[str, Any]] = []
        """Metrics that were read from files, and are not collected yet."""
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)

    def to_its_end(self, words: Sequence[str]) -> None:
        """Run these words, report each epoch, and raise the error of the command, if any."""
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", process_group.__file__, str(TERM_SECONDS), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._environment,
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        reader = threading.Thread(target=self._read, args=[process.stdout], daemon=True)
        reader.start()
        reported = False
        try:
            for metrics in self._reports():
                self._report(metrics, self._saver(process))
                reported = True
        finally:
            # This ends the command, with all processes of its group.
            process.stdin.close()
            code = process.wait()
            reader.join()
        self._raise_for(code)
        if not reported and not self._resumed:
            seen = ", ".join(sorted(self._epochs.seen)) or "no metric at all"
            raise SystemExit(
                f"the command has ended without {self._metric}; it has reported {seen}"
            )

    def _read(self, stream: IO[bytes]) -> None:
        """Pass the output on to the log of this process, and its lines to `_reports`."""
        rest = b""
        while data := stream.read1(1 << 16):  # type: ignore[attr-defined]  # of a buffered reader
            _write_all(1, data)
            # A progress bar overwrites its line.
            *lines, rest = _LINE_END.split(rest + data)
            for line in lines:
                self._lines.put(_Line.of(line))
        stream.close()
        self._lines.put(_Line.of(rest))
        self._lines.put(None)

    def _reports(self) -> Iterator[dict[str, Any]]:
        deadline: float | None = None
        ended = False
        while not ended:
            wait = QUIET_SECONDS if deadline is None else deadline - time.monotonic()
            try:
                line = self._lines.get(timeout=max(wait, 0))
                ended = line is None
            except queue.Empty:
                line = None
            for metrics in self._new(line):
                if report := self._added(self._epochs, line, metrics):
                    yield report
                    deadline = None
            if not self._epochs.waits:
                deadline = None
            elif deadline is None:
                deadline = time.monotonic() + QUIET_SECONDS
            elif time.monotonic() >= deadline:
                deadline = None
                if report := self._epochs.take():
                    yield report
        if report := self._epochs.finish():
            yield report

    def _added(
        self, epochs: CollectedEpochs, line: _Line | None, metrics: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """Add metrics that were read from a file, or from this line."""
        if line is None or self._files is not None:
            return epochs.add(metrics)
        return epochs.add(metrics, drawn=line.drawn, ended=line.ended)

    def _new(self, line: _Line | None) -> Iterator[dict[str, Any]]:
        if line is not None:
            self._tail.append(line.text)
        if self._files is not None:
            self._ahead += self._files.new()
            read, self._ahead = self._ahead, []
            yield from read
        elif line is not None:
            yield self._printed.in_line(line.text)

    def _saver(self, process: subprocess.Popen[bytes]) -> Callable[[str], object] | None:
        """Return what writes the checkpoint of the epoch that is reported next; None where the
        command has none, or has run on meanwhile, so that its newest may be of a later epoch."""
        if self._checkpoints is None:
            return None
        newest = self._checkpoints.next(lambda: process.poll() is not None)
        if newest is None:
            return None
        assert process.stdout is not None
        copy = scratch()
        # The command may delete it for the next one.
        with suppress(FileNotFoundError):
            keep(newest, self._epochs.last, copy.name, self._folder)
            if not self._has_run_on(process.stdout):
                return partial(_move, copy)
        copy.cleanup()
        return None

    def _has_run_on(self, output: IO[bytes]) -> bool:
        """Return whether what the command has said meanwhile makes another report."""
        while not output.closed and _unread(output):
            time.sleep(SETTLE_SECONDS)
        # What was just taken out of the pipe is a line by then.
        time.sleep(SETTLE_SECONDS)
        epochs = deepcopy(self._epochs)
        if self._files is not None:
            self._ahead += self._files.new()
            reports = [epochs.add(metrics) for metrics in self._ahead]
        else:
            waiting = [line for line in list(self._lines.queue) if line is not None]
            reports = [
                self._added(epochs, line, self._printed.in_line(line.text)) for line in waiting
            ]
        return any(reports) or epochs.take() is not None

    def _raise_for(self, code: int) -> None:
        if code == 0:
            return
        said = [line.strip() for line in self._tail if line.strip()]
        texts = (OutOfMemoryError.__name__, *OUT_OF_MEMORY_MESSAGES)
        for line in reversed(said):
            if any(text in line for text in texts):
                raise OutOfMemoryError(line)
        if code == process_group.KILLED + 9:
            raise MemoryError("the command was killed by SIGKILL, as where memory is short")
        last = f": {said[-1]}" if said else ""
        raise CommandFailedError(f"the command has ended with code {code}{last}")


def _unread(pipe: IO[bytes]) -> bool:
    waiting = bytearray(4)
    try:
        fcntl.ioctl(pipe, termios.FIONREAD, waiting)
    except (OSError, ValueError):
        # The reader has closed it.
        return False
    return any(waiting)


def _move(copy: TemporaryDirectory[str], folder: str) -> None:
    with copy:
        for path in Path(copy.name).iterdir():
            shutil.move(path, folder)


def _written(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def _write_all(number: int, data: bytes) -> None:
    while data:
        data = data[os.write(number, data) :]
