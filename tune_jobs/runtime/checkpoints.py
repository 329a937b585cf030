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
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search_spaces.mode import sign_of
from tune_jobs.runtime.places import RESULT_FILE, Place

PREFIX = "checkpoint_"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint as it lies on the storage."""

    place: Place
    """The trial's."""
    name: str
    """Of its folder."""
    epoch: int
    value: float
    """Of the study's metric."""
    result: dict[str, Any]
    """What the trial reported with it."""
    donor: int | None = None
    """The trial that it was copied from."""
    past: list[dict[str, Any]] = field(default_factory=list)
    """What the trial reported before it, by epoch, where that is kept."""
    config: dict[str, Any] | None = None
    """That it was trained with, where that is kept."""

    def reading(self) -> AbstractContextManager[Path]:
        """A local folder with its files, for as long as the context lasts.

        Raises:
            OSError: it cannot be had.
        """
        return self.place.reading(self.name)


class TrialCheckpoints:
    """The checkpoints of one trial.

    Args:
        place: the trial's, shared by all nodes; made at the first write.
        mode: "max" or "min": which value is the best.
    """

    def __init__(self, place: Place, mode: str) -> None:
        self.place = place
        self._sign = sign_of(mode)

    def write(
        self,
        epoch: int,
        value: float,
        result: dict[str, Any],
        save: Callable[[str], object],
        **more: Any,
    ) -> str:
        """Lets `save(folder)` write the checkpoint of `epoch`; the name of its folder.

        Those that are neither the best nor the latest are dropped.

        Args:
            more: `past` and `config`, where they are to be kept with it.
        """
        record = {"epoch": epoch, "value": value, "result": result, **more}
        name = f"{PREFIX}{epoch:06d}"
        self._write(name, record, save)
        self._keep(lambda best, latest: {best, latest})
        return name

    def adopt(self, checkpoint: Checkpoint, donor: int) -> str:
        """Copies a checkpoint of trial `donor`, which this trial goes on from; the name of its
        folder.

        Raises:
            OSError: it cannot be copied.
        """
        record = {
            **{"epoch": checkpoint.epoch, "value": checkpoint.value, "result": checkpoint.result},
            "donor": donor,
        }
        name = f"{checkpoint.name}_from_{donor:04d}"
        with checkpoint.reading() as files:
            self._write(
                name, record, lambda folder: shutil.copytree(files, folder, dirs_exist_ok=True)
            )
        return name

    def keep_best(self) -> None:
        """Drops all but the best: the trial has ended."""
        self._keep(lambda best, latest: {best})

    def drop_all(self) -> None:
        """Drops every checkpoint: nobody will go on from them."""
        for name in self.names():
            self.place.drop(name)

    def names(self) -> list[str]:
        """The folders that hold a checkpoint, the newest first, readable or not."""
        names = [name for name in self.place.folders() if name.startswith(PREFIX)]
        return sorted(names, reverse=True)

    def read(self, name: str) -> Checkpoint:
        """What is known of the checkpoint in the folder `name`, without its tensors.

        Raises:
            OSError, ValueError, KeyError: it is damaged.
        """
        record = json.loads(self.place.read(f"{name}/{RESULT_FILE}"))
        return Checkpoint(
            self.place,
            name,
            record["epoch"],
            record["value"],
            record["result"],
            **{kept: record[kept] for kept in ("donor", "past", "config") if kept in record},
        )

    def newest_first(self) -> list[Checkpoint]:
        """All that can be read; a damaged folder is left out, and stays where it is."""
        found = []
        for name in self.names():
            with contextlib.suppress(OSError, ValueError, KeyError):
                found.append(self.read(name))
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

    def _write(self, name: str, record: dict[str, Any], save: Callable[[str], object]) -> None:
        # Only a damaged one can have the name already: the trial went on from an earlier one.
        with self.place.writing(name) as folder:
            save(str(folder))
            (folder / RESULT_FILE).write_text(json.dumps(record))

    def _keep(self, chosen: Callable[[str, str], set[str]]) -> None:
        newest = self.newest_first()
        best = self._best_of(newest)
        if best is None:
            return
        kept = chosen(best.name, newest[0].name)
        for checkpoint in newest:
            if checkpoint.name not in kept:
                self.place.drop(checkpoint.name)
