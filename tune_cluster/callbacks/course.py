"""Curves of a whole study for TensorBoard: the run `course` beside those of the trials.

It has no configuration, so that HPARAMS has no line for it.
"""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from search_spaces.objective import Objective
from search_spaces.trial_events import Event
from tune_cluster.callbacks.base import Callback
from tune_cluster.callbacks.event_files import (
    empty_event_files,
    events_in,
    file_event,
    new_event_file,
    paths_of,
    restart,
)
from tune_cluster.storage.retry import StorageRetry
from tune_cluster.storage.store import LocalStore
from tune_cluster.study.course import Course, Point
from tune_cluster.study.events import Closed
from tune_cluster.study.state import StudyState

RUN = "course"
"""Name of the run, and of its folder in the study."""


class CourseCurves(Callback):
    """Writes the curves of the study while it runs, each point once, whatever a kill has left.

    Args:
        study: directory of the study.
        objective: objective of the study.
        retry: retries of the storage.
    """

    def __init__(
        self, study: Path, objective: Objective, retry: StorageRetry | None = None
    ) -> None:
        self._study = study
        self._retry = StorageRetry(LocalStore(study)) if retry is None else retry
        self._course = Course(objective)
        self._earlier: list[Point] | None = []
        """Points of earlier sessions; None once this one has begun."""
        self._writer: RecordWriter | None = None

    def on_event(self, event: Event, state: StudyState, replay: bool) -> None:
        """Write the points that an event completes; at the beginning of a session, those of earlier
        ones that the files lack."""
        points = self._course.apply(event)
        if self._earlier is not None:
            self._earlier += points
            if replay:
                return
            points, self._earlier = self._lacking(self._earlier), None
        self._write(points)
        if isinstance(event, Closed) and self._writer is not None:
            self._writer.close()
            self._writer = None

    def _lacking(self, points: list[Point]) -> list[Point]:
        """Return the points that the files lack; all of them, with a run that begins again, unless
        each curve in the files is the beginning of what it should be."""
        folder = self._study / RUN
        written, whole = read_curves(folder), curves_of(points)
        if all(whole.get(name, [])[: len(known)] == known for name, known in written.items()):
            known_points = Counter({name: len(known) for name, known in written.items()})
            lacking = []
            for point in points:
                if known_points[point.curve]:
                    known_points[point.curve] -= 1
                else:
                    lacking.append(point)
            return lacking
        empty_event_files(self._study, folder)
        for _ in range(2):
            self._opened.write(restart(0))
        return points

    @property
    def _opened(self) -> RecordWriter:
        if self._writer is None:
            self._writer = new_event_file(self._study, self._study / RUN, self._retry)
        return self._writer

    def _write(self, points: Sequence[Point]) -> None:
        if not points:
            return
        for point in points:
            summary = Summary(value=[Summary.Value(tag=point.curve, simple_value=point.value)])
            self._opened.write(file_event(point.time, step=point.step, summary=summary))
        self._opened.flush()


def read_curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return step and value of each point in the event files of a run, by curve."""
    found: dict[str, list[tuple[int, float]]] = {}
    for path in paths_of(folder):
        for event in events_in(path):
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def curves_of(points: Iterable[Point]) -> dict[str, list[tuple[int, float]]]:
    """Return the same for points; an event file stores a value in 32 bits."""
    found: dict[str, list[tuple[int, float]]] = {}
    for point in points:
        stored = ctypes.c_float(point.value).value
        found.setdefault(point.curve, []).append((point.step, stored))
    return found
