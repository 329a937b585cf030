"""The checkpoints of one trial: written whole or not at all, its best and its latest kept.

A checkpoint is a folder `checkpoint_000007` that holds what the trainable saved after epoch 7, and
`result.json`: the metrics of that epoch. So a trial that was killed after the checkpoint and before
its report is not trained again: it reports what it finds.

A member of a population may go on from the weights of another one: from a copy of its checkpoint,
`checkpoint_000008_from_0003`. That is never the member's best, since the other one's it remains.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search_spaces.mode import sign_of

RESULT_FILE = "result.json"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint as it lies on the storage."""

    path: Path
    epoch: int
    value: float
    """Of the study's metric."""
    result: dict[str, Any]
    """What the trial reported with it."""
    donor: int | None = None
    """The trial that it was copied from."""


class TrialCheckpoints:
    """The checkpoints in one trial's directory.

    Args:
        directory: the trial's, shared by all nodes; made at the first write.
        mode: "max" or "min": which value is the best.
    """

    def __init__(self, directory: Path, mode: str) -> None:
        self.directory = directory
        self._sign = sign_of(mode)

    def write(
        self, epoch: int, value: float, result: dict[str, Any], save: Callable[[str], object]
    ) -> Path:
        """Lets `save(folder)` write the checkpoint of `epoch`; where it lies.

        Those that are neither the best nor the latest are dropped.
        """
        record = {"epoch": epoch, "value": value, "result": result}
        target = self._place(f"checkpoint_{epoch:06d}", record, save)
        self._keep(lambda best, latest: {best, latest})
        return target

    def adopt(self, checkpoint: Checkpoint, donor: int) -> Path:
        """Copies a checkpoint of trial `donor`, which this trial goes on from; where it lies.

        Raises:
            OSError: it cannot be copied.
        """
        record = {
            **{"epoch": checkpoint.epoch, "value": checkpoint.value, "result": checkpoint.result},
            "donor": donor,
        }
        return self._place(
            f"{checkpoint.path.name}_from_{donor:04d}",
            record,
            lambda folder: shutil.copytree(checkpoint.path, folder, dirs_exist_ok=True),
        )

    def keep_best(self) -> None:
        """Drops all but the best: the trial has ended."""
        self._keep(lambda best, latest: {best})

    def drop_all(self) -> None:
        """Drops every checkpoint: nobody will go on from them."""
        for folder in self.folders():
            shutil.rmtree(folder, ignore_errors=True)

    def folders(self) -> list[Path]:
        """Where a checkpoint lies, the newest first, readable or not."""
        return sorted(self.directory.glob("checkpoint_*"), reverse=True)

    def read(self, folder: Path) -> Checkpoint:
        """What is known of the checkpoint in `folder`, without its tensors.

        Raises:
            OSError, ValueError, KeyError: it is damaged.
        """
        record = json.loads((folder / RESULT_FILE).read_text())
        return Checkpoint(
            folder, record["epoch"], record["value"], record["result"], record.get("donor")
        )

    def newest_first(self) -> list[Checkpoint]:
        """All that can be read; a damaged folder is left out, and stays where it is."""
        found = []
        for folder in self.folders():
            with contextlib.suppress(OSError, ValueError, KeyError):
                found.append(self.read(folder))
        return found

    def of_epoch(self, epoch: int) -> Checkpoint | None:
        """The trial's own after `epoch`, if it is there and can be read."""
        own = (c for c in self.newest_first() if c.donor is None)
        return next((c for c in own if c.epoch == epoch), None)

    def best(self) -> Checkpoint | None:
        """The trial's own with the best value, the earlier of equals."""
        return self._best_of(self.newest_first())

    def _best_of(self, found: list[Checkpoint]) -> Checkpoint | None:
        own = (c for c in found if c.donor is None)
        return min(own, key=lambda c: (-self._sign * c.value, c.epoch), default=None)

    def _place(self, name: str, record: dict[str, Any], save: Callable[[str], object]) -> Path:
        target = self.directory / name
        unfinished = self.directory / f".unfinished-{os.getpid()}"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        save(str(unfinished))
        (unfinished / RESULT_FILE).write_text(json.dumps(record))
        # Only a damaged one can be there already: the trial went on from an earlier one.
        shutil.rmtree(target, ignore_errors=True)
        unfinished.rename(target)
        return target

    def _keep(self, chosen: Callable[[Path, Path], set[Path]]) -> None:
        newest = self.newest_first()
        best = self._best_of(newest)
        if best is None:
            return
        kept = chosen(best.path, newest[0].path)
        for checkpoint in newest:
            if checkpoint.path not in kept:
                shutil.rmtree(checkpoint.path, ignore_errors=True)
