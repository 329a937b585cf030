"""Checkpoints that a command saves and resumes from."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from tune_cluster.trial.command.printed import EPOCH

CHECKPOINT_SECONDS = 5.0
"""Seconds to wait for the checkpoint of an epoch after its metric: a script may save it a moment
later."""

POLL_SECONDS = 0.05

STORED = "command.json"
"""File in a checkpoint with the command's name for it, and the command's epoch."""

PLACE = "path"
"""Name of the path at which the command has saved it, from its folder of files."""

RESUMED = "resumed"
"""Folder, in that of the trial, of the checkpoint that a command resumes from."""


class SavedFiles:
    """Checkpoints that a command writes.

    Args:
        pattern: their path, with `*` if there are several.
    """

    def __init__(self, pattern: Path) -> None:
        self._pattern = pattern
        self._before = self._last = self._newest()
        """What was there before the command: of an earlier process, or of another trial."""

    def next(self, ended: Callable[[], bool]) -> Path | None:
        """Return the newest checkpoint once it is complete.

        It waits up to `CHECKPOINT_SECONDS` for one that is newer than at the last call; without
        any, it returns None.

        Args:
            ended: returns whether the command has ended, after which no checkpoint comes.
        """
        deadline = time.monotonic() + CHECKPOINT_SECONDS
        # The first look has nothing to compare with: a file may be written just now.
        newest = None
        while True:
            over = ended() or time.monotonic() > deadline
            before, newest = newest, self._newest()
            if over or (newest is not None and newest != self._last and newest == before):
                break
            time.sleep(POLL_SECONDS)
        self._last = newest
        return None if newest is None or newest == self._before else newest[2]

    def _newest(self) -> tuple[float, int, Path] | None:
        """Return time of the last change, bytes and path."""
        return max(_matching(self._pattern), default=None)


def keep(newest: Path, epoch: float | None, folder: str, files: Path) -> None:
    """Write a command's checkpoint into a folder of the study.

    Args:
        newest: the checkpoint, a file or a folder.
        epoch: the command's epoch.
        folder: folder of the study.
        files: folder of the command's files.
    """
    _copy(newest, Path(folder, newest.name))
    place = os.path.relpath(newest, files)
    stored = {"name": newest.name, EPOCH: epoch, PLACE: place}
    Path(folder, STORED).write_text(json.dumps(stored))


def restore(saved: Path, files: Path, pattern: str = "") -> tuple[str, float | None]:
    """Copy a checkpoint to the files of a trial; return its path there, and its epoch.

    Args:
        saved: folder of the study with the checkpoint.
        files: folder of the command's files.
        pattern: path of the command's checkpoints, if it resumes from where it has saved. Later
            ones, of epochs that are trained again, are removed.
    """
    stored = json.loads((saved / STORED).read_text())
    target = files / RESUMED / stored["name"]
    shutil.rmtree(files / RESUMED, ignore_errors=True)
    if pattern:
        target = files / stored[PLACE]
        changed = _changed(_states(saved / stored["name"]))
        for other in [*_matching(Path(pattern))]:
            if other[0] > changed or other[2] == target:
                _remove(other[2])
    _copy(saved / stored["name"], target)
    return str(target), stored[EPOCH]


def _matching(pattern: Path) -> Iterator[tuple[float, int, Path]]:
    """Yield time of the last change, bytes and path of each checkpoint."""
    anchor = Path(pattern.anchor or ".")
    for path in anchor.glob(str(pattern.relative_to(pattern.anchor))):
        # The command may delete it meanwhile.
        with suppress(OSError):
            states = _states(path)
            if states and RESUMED not in path.parts:
                yield _changed(states), sum(state.st_size for state in states), path


def _states(path: Path) -> list[os.stat_result]:
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return [file.stat() for file in files]


def _changed(states: list[os.stat_result]) -> float:
    return max(state.st_mtime for state in states)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy2(source, target)
