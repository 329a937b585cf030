"""What a training script calls to be tuned: `arguments`, `epochs`, `report` and `device`.

    import tune_cluster as tc

    args = tc.arguments(parser)
    for epoch in tc.epochs(args.epochs, model=model, optimizer=optimizer):
        ...
        tc.report(val_loss=loss)

Outside of a trial the script runs as it would without them: `arguments` parses the command line,
`epochs` counts, `report` does nothing. In a trial `arguments` also sets the searched values,
`epochs` resumes from the trial's checkpoint, and each epoch that has reported is saved and told at
the end of the loop's body, so that a scheduler that steps there is saved after its step.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    import torch

QUESTION = "TUNE_CLUSTER_ASKED_ARGUMENTS"
"""The environment variable of a script that is asked for its arguments and does not train: the path
of a JSON file with the values to be searched, in which the answer is written."""

STATE_FILE = "state.pt"


class Stateful(Protocol):
    """A module, an optimizer, a learning rate schedule, a gradient scaler."""

    def state_dict(self) -> dict[str, Any]:
        """Return what it needs to go on."""

    def load_state_dict(self, state: Any) -> object:
        """Go on from what `state_dict` has returned."""


class ScriptTrial:
    """The trial that a script runs in.

    Args:
        values: the searched values, by the names of arguments.
        report: takes the metrics of an epoch, and what writes a checkpoint into a folder; None
            where the script has nothing to save.
        checkpoint: opens the folder of the checkpoint to resume from; None without one.
    """

    def __init__(
        self,
        values: Mapping[str, Any],
        report: Callable[[dict[str, Any], Callable[[str], object] | None], None],
        checkpoint: Callable[[], AbstractContextManager[str]] | None,
    ) -> None:
        self.values = values
        self._report, self._checkpoint = report, checkpoint
        self._metrics: dict[str, Any] | None = None
        """Of the epoch that runs; None where it has reported nothing yet."""
        self._counts = False
        """Whether the script is in a loop over `epochs`."""
        self._left: Callable[[], None] | None = None
        """Ends the epoch in which the script has left the loop."""

    def epochs(self, count: int, objects: Mapping[str, Stateful]) -> Iterator[int]:
        """The epochs that the trial has yet to train, from 1 to `count`."""
        check_stateful(objects)
        first = self._restored(objects) + 1
        self._counts = True
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
        """Take the metrics of the epoch that runs; without a loop over `epochs` tell them.

        Raises:
            ValueError: the epoch has reported before.
        """
        if not self._counts:
            self._report(dict(metrics), None)
            return
        if self._metrics is not None:
            raise ValueError(
                "report() was called twice in an epoch: give all its metrics in one call"
            )
        self._metrics = dict(metrics)

    def finish(self) -> None:
        """Tell the epoch in which the script has left the loop, when it has ended by itself."""
        if self._left is not None:
            self._left()

    def _end_epoch(self, epoch: int, objects: Mapping[str, Stateful]) -> None:
        metrics, self._metrics = self._metrics, None
        if metrics is not None:
            self._report(
                {**metrics, "epoch": epoch}, partial(save, epoch, objects) if objects else None
            )

    def _restored(self, objects: Mapping[str, Stateful]) -> int:
        """The epoch of the checkpoint, which the objects go on from; 0 without one."""
        if self._checkpoint is None or not objects:
            return 0
        with self._checkpoint() as folder:
            return load(folder, objects)


_trial: ScriptTrial | None = None
"""The one of this process: a process runs one trial at a time."""


@contextmanager
def in_trial(trial: ScriptTrial) -> Iterator[None]:
    """A script that runs meanwhile is in that trial."""
    global _trial
    _trial = trial
    try:
        yield
        trial.finish()
    finally:
        _trial = None


def arguments(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None = None
) -> argparse.Namespace:
    """Parse the command line; in a trial, set the searched values too.

    Args:
        parser: of the script.
        argv: the command line; that of the process if None.

    Raises:
        ValueError: a searched value is no argument of the script, or one that it refuses.
    """
    parsed = parser.parse_args(argv)
    question = os.environ.get(QUESTION)
    if question is not None:
        answer(Path(question), parser, parsed)
    if _trial is not None:
        for name, value in _trial.values.items():
            action = action_of(parser, name)
            setattr(parsed, action.dest, typed(action, value))
    return parsed


def epochs(count: int, **objects: Stateful) -> Iterator[int]:
    """Count the epochs from 1 to `count`; in a trial, those that it has yet to train.

    Args:
        count: epochs of a whole training.
        objects: what a checkpoint has to hold so that training goes on from it: everything with a
            `state_dict`. The random streams of Python, NumPy and torch are in it too.

    Raises:
        TypeError: an object has no `state_dict`.

    >>> list(epochs(3))
    [1, 2, 3]
    """
    if _trial is not None:
        yield from _trial.epochs(count, objects)
        return
    check_stateful(objects)
    yield from range(1, count + 1)


def report(
    metrics: Mapping[str, Any] | None = None, /, *, checkpoint: Any = None, **named: Any
) -> None:
    """Tell the metrics of an epoch, once in it: `report(val_loss=0.3, val_accuracy=0.9)`.

    In a function for Ray Tune it is Tune's own, `report({"loss": 0.3}, checkpoint=checkpoint)`.

    Raises:
        ValueError: the epoch has reported before.
    """
    if _trial is not None:
        _trial.report({**(metrics or {}), **named})
    elif metrics is not None or checkpoint is not None:
        # What a script that runs by itself has no use for, and takes seconds to import.
        importlib.import_module("ray.tune").report(
            {**(metrics or {}), **named}, checkpoint=checkpoint
        )


def device() -> torch.device:
    """The GPU that the trial has a share of, or the one of the machine; without one the CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def check_stateful(objects: Mapping[str, object]) -> None:
    """Refuse an object that cannot be saved."""
    for name, one in objects.items():
        if not hasattr(one, "state_dict") or not hasattr(one, "load_state_dict"):
            raise TypeError(
                f"epochs({name}=...): {type(one).__name__} has no state_dict and load_state_dict; "
                "give modules, optimizers, learning rate schedules and the like"
            )


def action_of(parser: argparse.ArgumentParser, name: str) -> argparse.Action:
    """The argument of a parser that a searched value is for.

    Raises:
        ValueError: there is none of that name.
    """
    dest = name.replace("-", "_")
    # argparse offers no other way to list the arguments of a parser.
    actions = {action.dest: action for action in parser._actions if action.dest != "help"}
    if dest not in actions:
        raise ValueError(
            f"--search {name}: the script has no argument {name}; it has "
            f"{', '.join(actions) or 'none'}"
        )
    return actions[dest]


def typed(action: argparse.Action, value: Any) -> Any:
    """A searched value as the argument has it.

    Raises:
        ValueError: the argument takes no such value.
    """
    if action.nargs == 0:
        found: Any = bool(value)
    elif action.type is None:
        found = str(value)
    elif isinstance(action.type, type) and isinstance(value, action.type):
        found = value
    else:
        found = _converted(action, value)
    if action.choices is not None and found not in action.choices:
        raise ValueError(
            f"--search {action.dest}: {value!r} is none of its choices, "
            f"{', '.join(map(str, action.choices))}"
        )
    return found


def _converted(action: argparse.Action, value: Any) -> Any:
    assert callable(action.type)
    try:
        return action.type(str(value))
    except (TypeError, ValueError, argparse.ArgumentTypeError) as error:
        raise ValueError(f"--search {action.dest}: {value!r} is refused: {error}") from None


def answer(file: Path, parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> None:
    """Write whether the script takes the values, and what it has without them; end the process."""
    asked: dict[str, list[Any]] = json.loads(file.read_text())
    found: dict[str, Any] = {"defaults": {}, "error": ""}
    try:
        for name, values in asked.items():
            action = action_of(parser, name)
            for value in values:
                typed(action, value)
            found["defaults"][name] = _plain(getattr(parsed, action.dest))
        found["epochs"] = _plain(getattr(parsed, "epochs", None))
    except ValueError as error:
        found["error"] = str(error)
    file.write_text(json.dumps(found))
    sys.exit(0)


def _plain(value: Any) -> Any:
    return value if isinstance(value, (bool, int, float, str)) else None


def save(epoch: int, objects: Mapping[str, Stateful], folder: str) -> None:
    """Write what training goes on from after `epoch`."""
    import torch

    state = {
        "epoch": epoch,
        "objects": {name: one.state_dict() for name, one in objects.items()},
        "random": random_state(),
    }
    torch.save(state, Path(folder, STATE_FILE))


def load(folder: str, objects: Mapping[str, Stateful]) -> int:
    """Let the objects go on from a checkpoint; its epoch.

    Raises:
        ValueError: the checkpoint is of other objects.
    """
    import torch

    # Tensors and plain values alone: a pickle would be code of whoever has written it.
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
    """The random streams of Python, NumPy and torch, as tensors and plain values."""
    import torch

    name, keys, *rest = np.random.get_state()
    return {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_state(state: Mapping[str, Any]) -> None:
    """Go on with these random streams."""
    import torch

    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
