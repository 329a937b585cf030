"""Functions that a training script calls to be tuned: `arguments`, `epochs`, `report`, `device`.

    import tune_cluster as tc

    args = tc.arguments(parser)
    for epoch in tc.epochs(args.epochs, model=model, optimizer=optimizer):
        ...
        tc.report(val_loss=loss)

Outside of a trial the script runs as it would without them: `arguments` parses the command line,
`epochs` counts, `report` does nothing. In a trial `arguments` also sets the searched values,
`epochs` resumes from the trial's checkpoint, and each epoch with a report is saved and reported at
the end of the loop's body, so that a learning rate schedule that steps there is saved after it.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from tune_cluster.trial.script_trial import Stateful, check_stateful, current_trial

if TYPE_CHECKING:
    import torch

QUESTION = "TUNE_CLUSTER_ASKED_ARGUMENTS"
"""Environment variable of a script that is asked for its arguments instead of training: the path of
a JSON file with the values to be searched, to which the answer is written."""


def arguments(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None = None
) -> argparse.Namespace:
    """Parse the command line; in a trial, set the searched values too.

    Args:
        parser: parser of the script.
        argv: command line; that of the process if None.

    Raises:
        ValueError: a searched name is no argument of the script, or it refuses the value.
    """
    parsed = parser.parse_args(argv)
    question = os.environ.get(QUESTION)
    if question is not None:

        def take(name: str, value: Any) -> None:
            typed(action_of(parser, name, parsed), value)

        answer(Path(question), take, vars(parsed))
    trial = current_trial()
    if trial is not None:
        for name, value in trial.values_among(vars(parsed)).items():
            action = action_of(parser, name, parsed)
            setattr(parsed, action.dest, typed(action, value))
    return parsed


def parameters(own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a script that has them in a dictionary; in a trial, with the
    searched values.

    Args:
        own: parameters of the script, by name.

    Raises:
        ValueError: a searched name is no parameter of the script.

    Examples:
        >>> parameters({"learning_rate": 0.1})
        {'learning_rate': 0.1}
    """

    def take(name: str, _: Any = None) -> None:
        if name not in own:
            raise ValueError(
                f"--search {name}: the script has no parameter {name}; it has "
                f"{', '.join(own) or 'none'}"
            )

    question = os.environ.get(QUESTION)
    if question is not None:
        answer(Path(question), take, own)
    trial = current_trial()
    values = {} if trial is None else trial.values_among(own)
    for name in values:
        take(name)
    return {**own, **values}


def epochs(count: int, **objects: Stateful) -> Iterator[int]:
    """Yield the epochs from 1 to `count`; in a trial, those that it has yet to train.

    Args:
        count: epochs of a whole training.
        objects: state of the training that a checkpoint has to store: every object with a
            `state_dict`. The random streams of Python, NumPy and torch are stored too.

    Raises:
        TypeError: an object has no `state_dict`.
        ValueError: it is the second loop over `epochs` in a trial.

    Examples:
        >>> list(epochs(3))
        [1, 2, 3]
    """
    trial = current_trial()
    if trial is not None:
        yield from trial.epochs(count, objects)
        return
    check_stateful(objects)
    yield from range(1, count + 1)


def report(
    metrics: Mapping[str, Any] | None = None, /, *, checkpoint: Any = None, **named: Any
) -> None:
    """Report the metrics of an epoch, once per epoch: `report(val_loss=0.3, val_accuracy=0.9)`.

    In a function for Ray Tune it is Tune's own, `report({"loss": 0.3}, checkpoint=checkpoint)`.

    Raises:
        ValueError: the epoch was reported before.
    """
    trial = current_trial()
    if trial is not None and checkpoint is None:
        trial.report({**(metrics or {}), **named})
    elif metrics is not None or checkpoint is not None:
        # Imported here: it takes seconds, and a script that runs alone does not need it.
        importlib.import_module("ray.tune").report(
            {**(metrics or {}), **named}, checkpoint=checkpoint
        )


def device() -> torch.device:
    """Return the GPU of the trial, or of the machine; the CPU if there is none."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def action_of(
    parser: argparse.ArgumentParser, name: str, parsed: argparse.Namespace
) -> argparse.Action:
    """Return the argument of a parser for a searched name.

    Args:
        parser: parser of the script.
        name: searched name.
        parsed: parsed command line, which says the sub-command.

    Raises:
        ValueError: the parser has no such argument.
    """
    dest = name.replace("-", "_")
    actions = _actions(parser, parsed)
    if dest not in actions:
        raise ValueError(
            f"--search {name}: the script has no argument {name}; it has "
            f"{', '.join(actions) or 'none'}"
        )
    return actions[dest]


def _actions(
    parser: argparse.ArgumentParser, parsed: argparse.Namespace
) -> dict[str, argparse.Action]:
    """Return the arguments of a parser by name, with those of the sub-command in use."""
    found: dict[str, argparse.Action] = {}
    # argparse offers no other way to list the arguments of a parser.
    for action in parser._actions:
        if not isinstance(action, argparse._SubParsersAction):
            found[action.dest] = action
            continue
        chosen = getattr(parsed, action.dest, None)
        for command, sub_parser in action.choices.items():
            if chosen in (command, None):
                found |= _actions(sub_parser, parsed)
    return {dest: action for dest, action in found.items() if hasattr(parsed, dest)}


def typed(action: argparse.Action, value: Any) -> Any:
    """Return a searched value converted as by the argument.

    Raises:
        ValueError: the argument refuses the value.
    """
    if action.nargs == 0:
        return bool(value)
    if action.nargs in (None, argparse.OPTIONAL):
        return _typed(action, value)
    several = value if isinstance(value, (list, tuple)) else [value]
    if isinstance(action.nargs, int) and len(several) != action.nargs:
        raise ValueError(
            f"--search {action.dest}: {value!r} is refused: the argument takes {action.nargs} "
            f"values in parentheses"
        )
    return [_typed(action, one) for one in several]


def _typed(action: argparse.Action, value: Any) -> Any:
    if action.type is None:
        found: Any = str(value)
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


def answer(file: Path, take: Callable[[str, Any], object], defaults: Mapping[str, Any]) -> NoReturn:
    """Write whether the script accepts the values, and its defaults; end the process.

    Args:
        file: file with the values by name, replaced by the answer.
        take: raises ValueError for a value that the script refuses.
        defaults: defaults of the script, by name.
    """
    asked: dict[str, list[Any]] = json.loads(file.read_text())
    found: dict[str, Any] = {"defaults": {}, "error": ""}
    try:
        for name, values in asked.items():
            for value in values:
                take(name, value)
            found["defaults"][name] = _plain(defaults[name.replace("-", "_")])
        found["epochs"] = _plain(defaults.get("epochs"))
        found["saves"] = any(map(saves, _sources()))
    except ValueError as error:
        found["error"] = str(error)
    file.write_text(json.dumps(found))
    sys.exit(0)


def saves(source: str) -> bool:
    """Return whether code gives `epochs` what to save, or has a callback that saves.

    >>> saves("for epoch in tc.epochs(9): train()"), saves("tc.epochs(9, model=model)")
    (False, True)
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return False
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.keywords:
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called == epochs.__name__:
                return True
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            modules = [getattr(node, "module", None), *(alias.name for alias in node.names)]
            if any(str(module).startswith("tune_cluster.integrations") for module in modules):
                return True
    return False


def _sources() -> Iterator[str]:
    """Yield the source of the script, and of the modules that it has imported from its folder."""
    script = Path(sys.argv[0]).absolute()
    found = {script}
    for name, module in [*sys.modules.items()]:
        file = Path(getattr(module, "__file__", None) or script)
        theirs = name.partition(".")[0] != "tune_cluster" and "site-packages" not in file.parts
        if theirs and file.suffix == ".py" and file.is_relative_to(script.parent):
            found.add(file)
    for file in found:
        with suppress(OSError):
            yield file.read_text(errors="replace")


def _plain(value: Any) -> Any:
    return value if isinstance(value, (bool, int, float, str)) else None
