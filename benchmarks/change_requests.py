"""Number of files that a usual change takes: `python benchmarks/change_requests.py`.

Method: the change is made in a copy of the product and used there; the files that it needed are
counted, without its test.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from structure import PRODUCT, ROOT, show


@dataclass(frozen=True)
class Request:
    """A change that may be requested, as small as possible."""

    names: tuple[str, ...]
    """Names of the changes that are tried together; each needs as many files."""
    use: str
    """A script that fails if the change has no effect."""
    new: Mapping[str, str] = field(default_factory=dict)
    """Content of new files, by path."""
    changed: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    """Replaced text and its replacement, by path."""


SEARCHER = """
from search_spaces.searchers.base import StudySearcher

class Toy(StudySearcher):
    def suggest(self, index):
        return self.space.point([0.5] * len(self.space.parameters))
"""

SCHEDULER = """
from search_spaces.schedulers.base import StudyScheduler, index_of
from search_spaces.trial_events import Ended

class Toy(StudyScheduler):
    ended = ()

    def on_trial_result(self, controller, trial, result):
        if index_of(trial) % 2 == 0:
            return self.CONTINUE
        self.ended = [Ended(trial=index_of(trial), epoch=result["epoch"], status="stopped")]
        return self.STOP

    def take_events(self):
        ended, self.ended = self.ended, ()
        return list(ended)
"""

LOGGER = """
from tune_cluster.callbacks.base import Callback

class Toy(Callback):
    def on_event(self, event, state, replay):
        with open("logged", "a") as file:
            print(event.name, file=file)
"""

STUDY = """
from ray import tune
from search_spaces.catalogue import LEARNING_RATE
from search_spaces.schedulers.toy import Toy as Scheduler
from search_spaces.searchers.toy import Toy as Searcher
from search_spaces.space import Space
from tune_cluster import Options, RunConfig, TuneConfig, Tuner, run
from tune_cluster.callbacks.toy import Toy as Logger

def train(config):
    for epoch in range(4):
        tune.report({"val_loss": config["learning_rate"]})

def job(options: Options) -> Tuner:
    "Is a toy enough?"
    searcher = Searcher(Space("toy", (LEARNING_RATE,)))
    config = TuneConfig(metric="val_loss", mode="min", search_alg=searcher, scheduler=Scheduler())
    return Tuner(train, tune_config=config, run_config=RunConfig(callbacks=[Logger()]))

run(job, trials=2, max_epochs=4, address="local", storage_path="results", yes=True)
events = open("logged").read().split()
assert events.count("result") == 5 and events.count("ended") == 2, events
"""

REQUESTS = (
    Request(
        ("searcher", "scheduler", "logger (a callback)"),
        STUDY,
        new={
            "search_spaces/searchers/toy.py": SEARCHER,
            "search_spaces/schedulers/toy.py": SCHEDULER,
            "tune_cluster/callbacks/toy.py": LOGGER,
        },
    ),
    Request(
        ("rung rule",),
        """
import tyro
from search_spaces.schedulers.asha import ASHA
scheduler = tyro.cli(ASHA.Flags, args=["--rung-rule", "toy"]).scheduler(max_epochs=9, seed=0)
decisions = [scheduler.memory.report(trial, 1, -trial) for trial in range(9)]
assert not any(decision.stop for decision in decisions)
""",
        changed={
            "search_spaces/schedulers/rungs.py": (
                ('"ray"]', '"ray", "toy"]'),
                (
                    "RULES: dict[RungRule, Rule] = {",
                    'RULES: dict[RungRule, Rule] = {"toy": Rule("so", lambda *_: (None, False)),',
                ),
            )
        },
    ),
    Request(
        ("event",),
        """
from search_spaces.objective import Objective
from search_spaces.trial_events import Suggested
from tune_cluster.study.events import read_event
from tune_cluster.study.state import StudyState
line = {"event": "toy", "trial": 0, "weight": 2}
state = StudyState(Objective("val_loss", "min"))
state.apply(Suggested(trial=0, config={}))
state.apply(read_event(line))
assert read_event(line).to_json() == line
""",
        changed={
            "tune_cluster/study/events.py": (
                (
                    "KINDS: Mapping",
                    "@dataclass(frozen=True, kw_only=True)\nclass Toy(TrialEvent):\n"
                    '    name = "toy"\n    weight: int\n\nKINDS: Mapping',
                ),
                ("Closed,", "Closed, Toy,"),
            )
        },
    ),
    Request(
        ("command",),
        """
import subprocess, sys
for argument, answer in ("toy", "played"), ("--help", "A toy"):
    command = [sys.executable, "-m", "tune_cluster", argument]
    assert answer in subprocess.check_output(command, text=True)
""",
        changed={
            "tune_cluster/cli.py": (
                (
                    "def main(",
                    'def toy() -> None:\n    """A toy."""\n    print("played")\n\n\n'
                    'COMMANDS["toy"] = toy\n\n\ndef main(',
                ),
            )
        },
    ),
    Request(
        ("metric", "dataset"),
        """
from pathlib import Path
from trainables.image.datasets import load_dataset
from trainables.image.config import ImageConfig
from trainables.image.task import ImageData
from trainables.training.loop import fit
data = ImageData(load_dataset("toy", Path("data"), seed=0).search)
metrics, _ = next(fit(ImageConfig(epochs=1), data))
assert metrics["val_error"] == 0.5
""",
        changed={
            "trainables/prediction/classification.py": (
                ('SCORES = ("loss", ', 'SCORES = ("loss", "error", '),
                ('"accuracy": float(', '"error": 0.5,\n        "accuracy": float('),
            ),
            "trainables/image/datasets.py": (
                ("DATASETS = {", 'DATASETS = {"toy": Known(read_digits),'),
            ),
        },
    ),
    Request(
        ("optimizer",),
        """
from torch import nn
from search_spaces.spaces import OPTIMIZER
from trainables.training.config import TrainingConfig
from trainables.training.optimizers import build_optimizer
assert OPTIMIZER.parameters[0].has("toy")
config = TrainingConfig.from_dict({"optimizer": "toy"})
build_optimizer(config, nn.Linear(1, 1)).step()
""",
        changed={
            "trainables/training/optimizers.py": (
                (
                    "OPTIMIZERS = {",
                    'OPTIMIZERS = {"toy": Optimizer(torch.optim.Rprop, lambda _: {}, {"prev"}),',
                ),
            ),
            # Spaces know no trainable: what is searched is said there.
            "search_spaces/catalogue/optimization.py": (
                ('values=("sgd", "adam",', 'values=("toy", "sgd", "adam",'),
            ),
        },
    ),
)


def tried(request: Request) -> dict[str, int]:
    """Return the number of files that each of the changes has needed.

    Raises:
        ValueError: the source has changed, so that a change cannot be made as described here.
        subprocess.CalledProcessError: the changes have no effect.
    """
    with tempfile.TemporaryDirectory() as folder:
        for package in PRODUCT:
            shutil.copytree(ROOT / package, Path(folder, package))
        for path, content in request.new.items():
            Path(folder, path).write_text(content)
        for path, replaced in request.changed.items():
            text = Path(folder, path).read_text()
            for before, after in replaced:
                if before not in text:
                    raise ValueError(f"{path} has no {before!r} any more: change it here too")
                text = text.replace(before, after, 1)
            Path(folder, path).write_text(text)
        script = Path(folder, "use.py")
        script.write_text(request.use)
        command, environment = [sys.executable, str(script)], {**os.environ, "PYTHONPATH": folder}
        subprocess.run(command, cwd=folder, env=environment, check=True, stdout=sys.stderr)
    touched = len(request.new) + len(request.changed)
    return dict.fromkeys(request.names, touched // len(request.names))


def main() -> None:
    """Print the figures as a table of Markdown."""
    costs = {name: count for request in REQUESTS for name, count in tried(request).items()}
    show({f"files for a new {name}, beside its test": count for name, count in costs.items()})


if __name__ == "__main__":
    main()
