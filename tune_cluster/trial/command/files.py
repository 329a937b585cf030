"""Metrics in files that a command writes while it runs: CSV, JSON lines, event files."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")


class MetricFiles(Protocol):
    """A source of metrics that a command writes."""

    def new(self) -> Iterator[dict[str, Any]]:
        """Yield the metrics since the last call, by name."""


def metric_files(path: str) -> MetricFiles:
    """Return the reader of a file, by its suffix, or of a folder with TensorBoard's event files;
    existing content is skipped."""
    if path.endswith(".csv"):
        return CsvFile(Path(path))
    if path.endswith(JSON_SUFFIXES):
        return JsonLines(Path(path))
    return EventFiles(Path(path))


class _GrowingFile:
    """The complete lines of a growing file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        """Number of bytes read."""
        for _ in self.lines():
            pass

    def lines(self) -> Iterator[str]:
        """Yield the lines since the last call; all lines, if the file was rewritten."""
        with suppress(FileNotFoundError), self._path.open("rb") as file:
            if file.seek(0, 2) < self._read:
                self._read = 0
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                yield line.decode(errors="replace").strip()


class JsonLines:
    """A file with a JSON object per line."""

    def __init__(self, path: Path) -> None:
        self._file = _GrowingFile(path)

    def new(self) -> Iterator[dict[str, Any]]:
        """Yield the objects; invalid lines are skipped."""
        for line in self._file.lines():
            with suppress(ValueError):
                found = json.loads(line)
                if isinstance(found, dict):
                    yield found


class CsvFile:
    """A file whose first line names its columns; numeric cells of a row are metrics."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = _GrowingFile(path)

    def new(self) -> Iterator[dict[str, Any]]:
        """Yield the rows."""
        for line in self._file.lines():
            names, row = self._names(), next(csv.reader([line]), [])
            found: dict[str, Any] = {}
            for name, cell in zip(names, row, strict=False):
                with suppress(ValueError):
                    found[name.strip()] = float(cell)
            if found:
                yield found

    def _names(self) -> list[str]:
        with self._path.open(newline="", errors="replace") as file:
            return next(csv.reader(file), [])


class EventFiles:
    """Scalars in TensorBoard's event files, in a folder and its subfolders."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loaders: dict[Path, Any] = {}
        for _ in self.new():
            pass

    def new(self) -> Iterator[dict[str, Any]]:
        """Yield the scalars, in the order of their steps."""
        # The import takes a second, so only for trials that write such files.
        from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
        from tensorboard.util.tensor_util import make_ndarray

        found: list[tuple[int, dict[str, Any]]] = []
        for path in sorted(self._folder.rglob("*tfevents*")):
            loader = self._loaders.get(path) or EventFileLoader(str(path))
            self._loaders[path] = loader
            for event in loader.Load():
                for value in event.summary.value:
                    scalar = make_ndarray(value.tensor) if value.HasField("tensor") else None
                    if scalar is not None and scalar.size == 1 and scalar.dtype.kind in "fiu":
                        found.append((event.step, {value.tag: scalar.item()}))
        found.sort(key=lambda pair: pair[0])
        yield from (scalars for _, scalars in found)
