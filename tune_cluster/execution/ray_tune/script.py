"""A training script as a trainable: it runs in the process of the trial, as Python runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ray import tune

from tune_cluster.python_script import run_script
from tune_cluster.storage.store import scratch
from tune_cluster.trial.failures import StoppedExit
from tune_cluster.trial.process import offered_seed
from tune_cluster.trial.script_trial import ScriptTrial, in_trial


def script_trainable(
    script: str, arguments: Sequence[str], *, saves: bool = True
) -> Callable[[dict[str, Any]], None]:
    """Return a function that runs a script with the values of a configuration.

    Args:
        script: path of the script.
        arguments: its command line, without the searched values.
        saves: whether it saves what it resumes from, so that its trials can be promoted.
    """

    def train(config: dict[str, Any]) -> None:
        with in_trial(this_trial(config)):
            try:
                run_script(script, arguments)
            except StoppedExit:
                raise
            except SystemExit as error:
                if error.code:
                    raise

    train.__name__ = Path(script).stem
    train.__dict__.update(recorded_as=script, resumes=saves)
    return train


def this_trial(values: Mapping[str, Any]) -> ScriptTrial:
    """Return the trial whose function runs in this thread.

    Args:
        values: the searched values, by the names of the script's arguments.
    """
    checkpoint = tune.get_checkpoint()
    # Called when the script asks for it: a function that never does restarts, and reports that.
    opened = None if checkpoint is None else lambda: checkpoint.as_directory()
    return ScriptTrial(values, report, opened, offered_seed())


def report(metrics: dict[str, Any], save: Callable[[str], object] | None) -> None:
    """Report an epoch to Tune.

    Args:
        metrics: metrics of the epoch, by name.
        save: writes its checkpoint to a folder; None without one.
    """
    if save is None:
        tune.report(metrics)
        return
    with scratch() as folder:
        save(folder)
        # It returns after the trial's runner has taken over the files.
        tune.report(metrics, checkpoint=tune.Checkpoint.from_directory(folder))
