"""How large the product is, and how far one change or one result reaches: `python
benchmarks/structure.py`.

Method: lines, files, imports and names are read from the source. For the files that one epoch's
result passes, a study of one trial is run whose trainable has no file of its own: those whose
functions run in the trial's process from one `step()` to the next, and in the driver from Tune's
receipt of a result to the end of its handling. What a request costs is tried: the change is
made in a copy of the product and used there; the files that it needed are counted, without its
test.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PRODUCT = ("search_spaces", "trainables", "tune_cluster", "tune_jobs")
STRATEGIES = ("search_spaces.searchers.", "search_spaces.schedulers.")
OF_TUNE = re.compile(r"ray\.(tune|train|air)\.").match
BASES = ("base", "strategy")
"""Modules of the interfaces, which shared code may know."""


def files() -> list[Path]:
    """All of the product, relative to its root."""
    return sorted(
        path.relative_to(ROOT) for package in PRODUCT for path in (ROOT / package).rglob("*.py")
    )


@cache
def parsed(path: Path) -> ast.Module:
    """The source of a file of the product."""
    return ast.parse((ROOT / path).read_text())


def imported(path: Path) -> Iterator[tuple[str, str]]:
    """Each imported module with the name that is taken from it, or "" for the module itself.

    A name that is a module of the product is returned as the module.
    """
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            for alias in node.names:
                inner = ROOT.joinpath(*module.split("."), alias.name)
                is_module = inner.is_dir() or inner.with_suffix(".py").exists()
                if module.split(".")[0] in PRODUCT and is_module:
                    yield f"{module}.{alias.name}", ""
                else:
                    yield module, alias.name


def private(path: Path) -> set[str]:
    """The private names of Ray in a file: imported, attributes, and those of Tune's controller."""
    found = {f"{module}.{name}" for module, name in imported(path)}
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Attribute):
            name = ast.unparse(node)
            # What Tune gives a scheduler.
            found.add(f"ray.tune.{name}" if name.startswith("controller.") else name)
    return {
        name
        for name in found
        if name.startswith("ray.") and any(re.match("_[a-z]", part) for part in name.split("."))
    }


def strategy_checks(path: Path) -> list[int]:
    """The lines of a file that ask whether an object is of a certain searcher or scheduler."""
    strategies = {
        name
        for module, name in imported(path)
        if module.startswith(STRATEGIES) and module.rpartition(".")[2] not in BASES
    }
    return [
        node.lineno
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("isinstance", "issubclass")
        and strategies & {n.id for n in ast.walk(node.args[1]) if isinstance(n, ast.Name)}
    ]


def shared() -> list[Path]:
    """Files that are no strategy and no job."""
    folders = {Path(*name.rstrip(".").split(".")) for name in STRATEGIES}
    return [
        path for path in files() if path.parts[0] != "tune_jobs" and not folders & set(path.parents)
    ]


class Passed:
    """Collects the files of the product whose functions are called while it is on."""

    def __init__(self) -> None:
        self.files: set[str] = set()

    def on(self) -> None:
        """Begin to collect."""
        sys.setprofile(self._called)

    def off(self) -> None:
        """Stop collecting."""
        sys.setprofile(None)

    def _called(self, frame: object, event: str, _: object) -> None:
        path = Path(frame.f_code.co_filename)  # type: ignore[attr-defined]
        if event == "call" and any(path.is_relative_to(ROOT / package) for package in PRODUCT):
            self.files.add(str(path.relative_to(ROOT)))


def passed_by_a_result() -> set[str]:
    """The files of the product that handle one epoch's result, in the trial and in the driver."""
    from ray import tune
    from ray.tune.execution.tune_controller import TuneController

    from search_spaces.catalogue import LEARNING_RATE
    from search_spaces.schedulers.asha import ASHA
    from search_spaces.searchers.random_search import RandomSearch
    from search_spaces.space import Space
    from tune_cluster import Options, TuneConfig, Tuner, main

    in_driver = Passed()
    with tempfile.TemporaryDirectory() as folder:
        in_trial = Path(folder, "in_trial")

        class Trains(tune.Trainable):
            passed = None

            def step(self) -> dict[str, float]:
                if self.passed is None:
                    self.passed = Passed()
                    self.passed.on()
                elif not in_trial.exists():
                    self.passed.off()
                    in_trial.write_text("\n".join(self.passed.files))
                return {"val_loss": 1.0}

            def save_checkpoint(self, checkpoint_dir: str) -> None:
                Path(checkpoint_dir, "weights").touch()

            def load_checkpoint(self, checkpoint: object) -> None:
                pass

        def job(options: Options) -> Tuner:
            """How far does a result go?"""
            return Tuner(
                Trains,
                tune_config=TuneConfig(
                    metric="val_loss",
                    mode="min",
                    search_alg=RandomSearch(Space("structure", (LEARNING_RATE,)), seed=0),
                    scheduler=ASHA(max_epochs=9, grace_period=3),
                ),
            )

        handle = TuneController._on_training_result

        def watched(*arguments: Any) -> Any:
            in_driver.on()
            try:
                return handle(*arguments)
            finally:
                in_driver.off()

        TuneController._on_training_result = watched  # type: ignore[method-assign]
        try:
            flags = ["--trials", "1", "--max-epochs", "9", "--address", "local", "--yes"]
            main(job, [*flags, "--storage-path", folder])
        except SystemExit as ended:
            if ended.code:
                raise
        finally:
            TuneController._on_training_result = handle  # type: ignore[method-assign]
        return in_driver.files | set(in_trial.read_text().split())


@dataclass(frozen=True)
class Request:
    """A change that somebody may ask for, as small as it can be."""

    names: tuple[str, ...]
    """Of the changes that are tried together; each needs as many files."""
    use: str
    """A script that fails where the change has no effect."""
    new: Mapping[str, str] = field(default_factory=dict)
    """By path, the content of new files."""
    changed: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    """By path, what is replaced by what."""


SEARCHER = """
from search_spaces.searchers.base import StudySearcher

class Toy(StudySearcher):
    def point(self, index):
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
from trainables.data.datasets import load_dataset
from trainables.image.config import ImageConfig
from trainables.image.task import ImageData
from trainables.training.loop import fit
data = ImageData(load_dataset("toy", Path("data"), seed=0).search)
metrics, _ = next(fit(ImageConfig(epochs=1), data))
assert metrics["val_error"] == 0.5
""",
        changed={
            "trainables/image/classification.py": (
                ('SCORES = ("loss", ', 'SCORES = ("loss", "error", '),
                ('"accuracy": float(', '"error": 0.5,\n        "accuracy": float('),
            ),
            "trainables/data/datasets.py": (
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
    """The files that each of the changes has needed.

    Raises:
        ValueError: the source has changed, so that a change cannot be made as it is told here.
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
    found = files()
    lines = sum(len((ROOT / path).read_text().splitlines()) for path in found)
    checks = {path: strategy_checks(path) for path in shared()}
    named = {path: private(path) for path in found}
    of_tune = [path for path, names in named.items() if any(map(OF_TUNE, names))]
    passed = passed_by_a_result()
    costs = {name: count for request in REQUESTS for name, count in tried(request).items()}
    rows = {
        "product lines (without benchmarks)": f"{lines:,}",
        "product files": len(found),
        "files that one epoch's result passes": len(passed),
        "files that touch `ray.tune` privately": len(of_tune),
        "isinstance of a strategy in shared code": sum(map(len, checks.values())),
        **{f"files for a new {name}, beside its test": count for name, count in costs.items()},
    }
    print("| | |\n|---|---|")
    for name, value in rows.items():
        print(f"| {name} | {value} |")
    print("\npassed by a result:", *sorted(passed))
    print("\nprivate names:", *of_tune)
    print("\nisinstance:", *(f"{path}:{n}" for path, of in checks.items() for n in of))


if __name__ == "__main__":
    main()
