"""A user's command as a trainable: a process of its own, started by the trial's process."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ray import tune

from tune_cluster.execution.ray_tune.script import report
from tune_cluster.trial.command.command import Command
from tune_cluster.trial.command.run import run_command
from tune_cluster.trial.process import TRIAL_DIR_VARIABLE


def command_trainable(command: Command) -> Callable[[dict[str, Any]], None]:
    """Return a function that runs a command with the values of a configuration.

    Its trials can be promoted where the command can resume: it asks for a checkpoint only then.
    """
    offered = _saved if command.resume_words else _nothing

    def train(config: dict[str, Any]) -> None:
        with ExitStack() as opened:
            run_command(
                command,
                config,
                Path(os.environ[TRIAL_DIR_VARIABLE]),
                report,
                offered(opened),
            )

    train.__name__ = Path(command.words[0]).name
    train.__dict__["recorded_as"] = shlex.join(command.words)
    train.__dict__["check_config"] = command.check_config
    return train


def _saved(opened: ExitStack) -> Path | None:
    checkpoint = tune.get_checkpoint()
    return None if checkpoint is None else Path(opened.enter_context(checkpoint.as_directory()))


def _nothing(opened: ExitStack) -> None:
    return None
