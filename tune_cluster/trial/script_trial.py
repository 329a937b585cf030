"""The trial of a running script or function: its checkpoint to resume from, and its reports.

The functions of `script.py` and the callbacks of `tune_cluster.integrations` get it by
`current_trial()`, which is None outside of a trial.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

STATE_FILE = "state.pt"

SEED = "seed"
"""Name of the argument by which a script is given its seed."""


class Stateful(Protocol):
    """A module, an optimizer, a learning rate schedule, a gradient scaler."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a resume needs."""

    def load_state_dict(self, state: Any) -> object:
        """Restore a state returned by `state_dict`."""


class ScriptTrial:
    """The trial in which a script or a function runs.

    Args:
        values: searched values, by the names of arguments.
        report: called with the metrics of an epoch, and a function that writes a checkpoint to a
            folder, None if there is nothing to save.
        checkpoint: opens the folder of the checkpoint to resume from; None without one.
        seed: value of the script's `seed`, if it has one; None for the script's own.
    """

    def __init__(
        self,
        values: Mapping[str, Any],
        report: Callable[[dict[str, Any], Callable[[str], object] | None], None],
        checkpoint: Callable[[], AbstractContextManager[str]] | None,
        seed: int | None = None,
    ) -> None:
        self.values = values
        self._seed = seed
        self._report, self._checkpoint = report, checkpoint
        self._metrics: dict[str, Any] | None = None
        """Metrics of the epoch in progress; None before its report."""
        self._looped = False
        """Whether a loop over `epochs` has begun."""
        self._counts = False
        """Whether the script is inside that loop."""
        self._left: Callable[[], None] | None = None
        """Function that ends the epoch in which the script has left the loop."""
        self._opened = ExitStack()
        """Context that keeps the checkpoint's folder until the trial's script has ended."""

    def values_among(self, names: Collection[str]) -> dict[str, Any]:
        """Return the values of the trial for a script that has arguments of these names."""
        own = {} if self._seed is None or SEED not in names else {SEED: self._seed}
        return {**own, **self.values}

    def epochs(self, count: int, objects: Mapping[str, Stateful]) -> Iterator[int]:
        """Yield the epochs that the trial has yet to train, from 1 to `count`.

        Raises:
            ValueError: it is the second loop of the trial.
        """
        check_stateful(objects)
        if self._looped:
            raise ValueError(
                "a second loop over tune_cluster.epochs has begun: the epochs of a trial are those "
                "of one loop; use range() in the other, or make one loop of both"
            )
        first = self._restored(objects) + 1
        self._looped = self._counts = True
        for epoch in range(first, count + 1):
            self._metrics = None
            try:
                yield epoch
            except GeneratorExit:
                # By `break`, or by an error, which is known when the script has ended.
                self._left = partial(self._end_epoch, epoch, objects)
                raise
            self._end_epoch(epoch, objects)
        self._counts = False

    def report(self, metrics: Mapping[str, Any]) -> None:
        """Store the metrics of the epoch in progress; without a loop over `epochs` report them.

        Metrics that a script reports after leaving the loop by `break` belong to the epoch in which
        it left.

        Raises:
            ValueError: the epoch was reported before.
        """
        if not self._counts:
            self._report(dict(metrics), None)
            return
        if self._left is not None:
            self._metrics = {**(self._metrics or {}), **metrics}
            return
        if self._metrics is not None:
            raise ValueError(
                "report() was called twice in an epoch: give all its metrics in one call"
            )
        self._metrics = dict(metrics)

    def report_saved(self, metrics: Mapping[str, Any], save: Callable[[str], object]) -> None:
        """Report an epoch at once, with a checkpoint that `save` writes to an empty folder.

        Raises:
            ValueError: the script has a loop over `epochs`, which saves other checkpoints.
        """
        if self._looped:
            raise ValueError(
                "a callback reports in a loop over tune_cluster.epochs: the callback saves and "
                "reports by itself; use range() for the loop, or leave the callback out"
            )
        self._report(dict(metrics), save)

    def checkpoint_folder(self) -> Path | None:
        """Return the folder of the checkpoint to resume from, which exists until the script has
        ended; None without a checkpoint."""
        if self._checkpoint is None:
            return None
        return Path(self._opened.enter_context(self._checkpoint()))

    def finish(self) -> None:
        """Report the epoch in which the script has left the loop, after its normal end."""
        if self._left is not None:
            self._left()

    def close(self) -> None:
        """Release the checkpoint's folder."""
        self._opened.close()

    def _end_epoch(self, epoch: int, objects: Mapping[str, Stateful]) -> None:
        metrics, self._metrics = self._metrics, None
        if metrics is not None:
            self._report(
                {**metrics, "epoch": epoch}, partial(save, epoch, objects) if objects else None
            )

    def _restored(self, objects: Mapping[str, Stateful]) -> int:
        """Restore the objects from the checkpoint; return its epoch, 0 without one."""
        if self._checkpoint is None or not objects:
            return 0
        with self._checkpoint() as folder:
            return load(folder, objects)


_trial: ScriptTrial | None = None
"""Trial of this process, which runs one at a time."""


def current_trial() -> ScriptTrial | None:
    """Return the trial that this process runs; None outside of a trial."""
    return _trial


@contextmanager
def in_trial(trial: ScriptTrial) -> Iterator[None]:
    """Make it the current trial within the `with` block."""
    global _trial
    outer, _trial = _trial, trial
    try:
        yield
        trial.finish()
    finally:
        _trial = outer
        trial.close()


def check_stateful(objects: Mapping[str, object]) -> None:
    """Raise a TypeError for an object that cannot be saved."""
    for name, one in objects.items():
        if not hasattr(one, "state_dict") or not hasattr(one, "load_state_dict"):
            raise TypeError(
                f"epochs({name}=...): {type(one).__name__} has no state_dict and load_state_dict; "
                "give modules, optimizers, learning rate schedules and the like"
            )


def save(epoch: int, objects: Mapping[str, Stateful], folder: str) -> None:
    """Write the state of the training after `epoch`."""
    import torch

    state = {
        "epoch": epoch,
        "objects": {name: one.state_dict() for name, one in objects.items()},
        "random": random_state(),
    }
    torch.save(state, Path(folder, STATE_FILE))


def load(folder: str, objects: Mapping[str, Stateful]) -> int:
    """Restore the objects from a checkpoint; return its epoch.

    Raises:
        ValueError: the checkpoint is of other objects.
    """
    import torch

    # Tensors and plain values alone: a pickle could contain code of another user.
    state = torch.load(Path(folder, STATE_FILE), map_location="cpu", weights_only=True)
    if state["objects"].keys() != objects.keys():
        raise ValueError(
            f"the checkpoint holds {', '.join(state['objects'])}; epochs() was given "
            f"{', '.join(objects)}"
        )
    for name, one in objects.items():
        one.load_state_dict(state["objects"][name])
    set_random_state(state["random"])
    return int(state["epoch"])


def random_state() -> dict[str, Any]:
    """Return the random streams of Python, NumPy and torch, as tensors and plain values."""
    import torch

    name, keys, *rest = np.random.get_state()
    return {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_state(state: Mapping[str, Any]) -> None:
    """Restore these random streams."""
    import torch

    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
