"""The examples of the callbacks: their command lines, and how their best checkpoint is loaded."""

import os
import runpy
import shutil
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import pytest

from tests.conftest import ROOT
from tune_cluster.trial.failures import StoppedExit
from tune_cluster.trial.script_trial import ScriptTrial, in_trial

EXAMPLES = ROOT / "examples"


@dataclass(frozen=True)
class Script:
    """An example, and how it is searched.

    Args:
        library: library that it needs.
        count: argument with its number of epochs.
        metric: metric of the study.
        search: searched values in a study.
        default: values of the searched arguments with which it learns.
    """

    library: str
    count: str
    metric: str
    search: tuple[str, ...] = ()
    default: dict[str, float] = field(default_factory=dict)

    @property
    def path(self):
        return EXAMPLES / f"{self.library}_script.py"

    def __str__(self):
        return self.library


LIGHTNING = Script(
    "lightning", "--epochs", "val_loss", ("lr=log:0.001:1", "width=16,32,64"), {"lr": 0.05}
)
TRANSFORMERS = Script(
    "transformers", "--epochs", "eval_loss", ("lr=log:0.0003:0.03", "layers=1,2"), {"lr": 0.003}
)
XGBOOST = Script(
    "xgboost", "--rounds", "val-mlogloss", ("eta=log:0.01:1", "max-depth=int:1:4"), {"eta": 0.2}
)
LIGHTGBM = Script(
    "lightgbm",
    "--rounds",
    "valid_0-multi_logloss",
    ("learning-rate=log:0.01:1", "num-leaves=int:2:8"),
    {"learning_rate": 0.2},
)
WITH_CALLBACK = (LIGHTNING, TRANSFORMERS, XGBOOST, LIGHTGBM)
SKLEARN = Script("sklearn", "--epochs", "val_loss", default={"width": 16})
ACCELERATE = Script("accelerate", "--epochs", "val_loss", default={"lr": 0.05})
SCRIPTS = (*WITH_CALLBACK, SKLEARN, ACCELERATE)


def needed(script):
    """Skip where the library is not installed."""
    pytest.importorskip("skops" if script is SKLEARN else script.library)
    return script


def run_alone(script, *words, folder, replaced=()):
    """Run a script as Python does, in that folder, or with a text replaced; the names in it."""
    path = script.path
    if replaced:
        text = path.read_text()
        assert text.count(replaced[0]) == 1
        path = folder / "script.py"
        path.write_text(text.replace(*replaced))
    with mock.patch.object(sys, "argv", [str(path), *words]), working_in(folder):
        return runpy.run_path(str(path), run_name="__main__")


@contextmanager
def working_in(folder):
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


class Trial:
    """A trial without a study: its reports, and its last checkpoint."""

    def __init__(self, script, values, folder):
        self.script, self.values, self.folder = script, values, Path(folder)
        self.reports = []
        self.checkpoint = self.folder / "checkpoint"

    def run(self, epochs, stop_after=None, **changed):
        """Run the script, from the checkpoint if there is one; stop it as a study does."""

        def report(metrics, save):
            shutil.rmtree(self.checkpoint, ignore_errors=True)
            self.checkpoint.mkdir()
            save(str(self.checkpoint))
            self.reports.append(metrics)
            if metrics["epoch"] == stop_after:
                raise StoppedExit

        opened = self._opened if self.checkpoint.exists() else None
        with in_trial(ScriptTrial(self.values, report, opened)):
            try:
                words = (self.script.count, str(epochs))
                run_alone(self.script, *words, folder=self.folder, **changed)
            except StoppedExit:
                assert stop_after is not None

    @contextmanager
    def _opened(self):
        # A copy, since the checkpoint is deleted when the trial has saved the next one.
        copied = shutil.copytree(self.checkpoint, self.folder / "resumed", dirs_exist_ok=True)
        yield str(copied)

    def values_of(self, metric):
        return {report["epoch"]: report[metric] for report in self.reports}
