"""Checkpoints that a command saves and resumes from."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tune_cluster.trial.command.printed import EPOCH

CHECKPOINT_SECONDS = 5.0
"""Seconds to wait for the checkpoint of an epoch after its metric: a script may save it a moment
later."""

POLL_SECONDS = 0.05

STORED = "command.json"
"""File in a checkpoint with the command's name for it, and the command's epoch."""

RESUMED = "resumed"
"""Folder, in that of the trial, of the checkpoint that a command resumes from."""


class SavedFiles:
    """Checkpoints that a command writes.

    Args:
        pattern: their path, with `*` if there are several.
    """

    def __init__(self, pattern: Path) -> None:
        self._pattern = pattern
        self._last = self._newest()

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
        return None if newest is None else newest[2]

    def _newest(self) -> tuple[float, int, Path] | None:
        """Return time of the last change, bytes and path."""
        anchor = Path(self._pattern.anchor or ".")
        found = []
        for path in anchor.glob(str(self._pattern.relative_to(self._pattern.anchor))):
            # The command may delete it meanwhile.
            with suppress(OSError):
                files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
                states = [file.stat() for file in files]
                if states and RESUMED not in path.parts:
                    changed = max(state.st_mtime for state in states)
                    found.append((changed, sum(state.st_size for state in states), path))
        return max(found, default=None)


def keep(newest: Path, epoch: float | None, folder: str) -> None:
    """Write a command's checkpoint into a folder of the study."""
    _copy(newest, Path(folder, newest.name))
    Path(folder, STORED).write_text(json.dumps({"name": newest.name, EPOCH: epoch}))


def restore(saved: Path, files: Path) -> tuple[str, float | None]:
    """Copy a checkpoint to the files of a trial; return its path there, and its epoch."""
    stored = json.loads((saved / STORED).read_text())
    shutil.rmtree(files / RESUMED, ignore_errors=True)
    _copy(saved / stored["name"], files / RESUMED / stored["name"])
    return str(files / RESUMED / stored["name"]), stored[EPOCH]


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy2(source, target)
