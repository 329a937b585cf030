"""Arguments of a training script, read before anything is scheduled."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from search_spaces.hyperparameter import Hyperparameter
from search_spaces.space import Space
from search_spaces.values import Value
from tune_cluster.trial.script import QUESTION

SECONDS = 300
"""Seconds after which a script that was asked for its arguments is training instead."""


@dataclass(frozen=True)
class ScriptArguments:
    """Arguments of a script without searched values."""

    defaults: dict[str, Value]
    """Defaults by searched name; None if the script has no plain value."""
    epochs: int | None
    """Value of its argument `epochs`; None without one."""
    saves: bool
    """Whether its source saves and resumes: it passes objects to `tune_cluster.epochs`, or has a
    callback of `tune_cluster.integrations`."""


def asked(script: str, arguments: Sequence[str], space: Space) -> ScriptArguments:
    """Run a script up to its call of `tune_cluster.arguments`, which returns its arguments.

    Args:
        script: path of the script.
        arguments: its command line, without the searched values.
        space: space of the searched values.

    Raises:
        ValueError: the script does not call it, fails before, or refuses a value of the space.
    """
    path = Path(script)
    if not path.is_file():
        raise ValueError(f"--script {script}: no such file is there")
    if "tune_cluster" not in path.read_text(errors="replace"):
        raise ValueError(
            f"--script {script}: it does not import tune_cluster; it needs tune_cluster.arguments, "
            "epochs and report"
        )
    question = {parameter.name: [*_tried(parameter)] for parameter in space.parameters}
    with tempfile.TemporaryDirectory(prefix="tune-cluster-") as folder:
        file = Path(folder, "question.json")
        file.write_text(json.dumps(question))
        try:
            done = subprocess.run(
                [sys.executable, script, *arguments],
                env={**os.environ, QUESTION: str(file)},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ValueError(
                f"--script {script}: it has called neither tune_cluster.arguments nor "
                f"tune_cluster.parameters in "
                f"{SECONDS} seconds; call it before the training"
            ) from None
        answer = json.loads(file.read_text())
    if "error" not in answer:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        why = (
            f"it ended with code {done.returncode}: {last[0]}"
            if last
            else "without an error message"
        )
        raise ValueError(
            f"--script {script}: it came to neither tune_cluster.arguments nor "
            f"tune_cluster.parameters; {why}"
        )
    if answer["error"]:
        raise ValueError(answer["error"])
    epochs = answer["epochs"]
    whole = isinstance(epochs, int) and not isinstance(epochs, bool) and epochs > 0
    return ScriptArguments(answer["defaults"], epochs if whole else None, answer["saves"])


def with_defaults(space: Space, defaults: dict[str, Value]) -> Space:
    """Return the space with the script's defaults, if they are in it."""
    return replace(
        space,
        parameters=tuple(_with_default(one, defaults.get(one.name)) for one in space.parameters),
    )


def _with_default(parameter: Hyperparameter, default: Value) -> Hyperparameter:
    if default is None:
        return parameter
    try:
        parameter.unit(default)
    except ValueError:
        return parameter
    return replace(parameter, default=default)


def _tried(parameter: Hyperparameter) -> tuple[Value, ...]:
    """Return values that represent all of a hyperparameter."""
    if parameter.values:
        return parameter.values
    return (parameter.low, parameter.high, parameter.default)
