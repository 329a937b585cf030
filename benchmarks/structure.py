"""Size of the product, and number of files that a result passes: `python benchmarks/structure.py`.

Method: lines, files, imports and names are read from the source. For the files that one epoch's
result passes, a study of one trial is run whose trainable has no file of its own: those whose
functions run in the trial's process from one `step()` to the next, and in the driver from Tune's
receipt of a result to the end of its handling.
"""

import ast
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PRODUCT = ("search_spaces", "trainables", "tune_cluster", "tune_jobs")
STRATEGIES = ("search_spaces.searchers.", "search_spaces.schedulers.")
OF_TUNE = re.compile(r"ray\.(tune|train|air)\.").match
BASES = ("base", "strategy")
"""Modules of the interfaces, which shared code may import."""


def files() -> list[Path]:
    """Return all files of the product, relative to its root."""
    return sorted(
        path.relative_to(ROOT) for package in PRODUCT for path in (ROOT / package).rglob("*.py")
    )


@cache
def parsed(path: Path) -> ast.Module:
    """Return the parsed source of a file of the product."""
    return ast.parse((ROOT / path).read_text())


def imported(path: Path) -> Iterator[tuple[str, str]]:
    """Yield each imported module with the imported name, or "" for the module itself.

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
    """Return the private names of Ray in a file: imports, attributes, those of Tune's
    controller."""
    found = {f"{module}.{name}" for module, name in imported(path)}
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Attribute):
            name = ast.unparse(node)
            # The controller that Tune gives to a scheduler.
            found.add(f"ray.tune.{name}" if name.startswith("controller.") else name)
    return {
        name
        for name in found
        if name.startswith("ray.") and any(re.match("_[a-z]", part) for part in name.split("."))
    }


def strategy_checks(path: Path) -> list[int]:
    """Return the lines of a file that check whether an object is of a certain strategy class."""
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
    """Return the files that are no strategy and no job."""
    folders = {Path(*name.rstrip(".").split(".")) for name in STRATEGIES}
    return [
        path for path in files() if path.parts[0] != "tune_jobs" and not folders & set(path.parents)
    ]


class Passed:
    """Collects the files of the product whose functions are called between `on` and `off`."""

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
    """Return the files of the product that handle one epoch's result, in trial and driver."""
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


def show(rows: Mapping[str, object]) -> None:
    """Print figures by name, as a table of Markdown."""
    print("| | |\n|---|---|")
    for name, value in rows.items():
        print(f"| {name} | {value} |")


def main() -> None:
    """Print the figures as a table of Markdown."""
    found = files()
    lines = sum(len((ROOT / path).read_text().splitlines()) for path in found)
    checks = {path: strategy_checks(path) for path in shared()}
    named = {path: private(path) for path in found}
    of_tune = [path for path, names in named.items() if any(map(OF_TUNE, names))]
    passed = passed_by_a_result()
    rows = {
        "product lines (without benchmarks)": f"{lines:,}",
        "product files": len(found),
        "files that one epoch's result passes": len(passed),
        "files that touch `ray.tune` privately": len(of_tune),
        "isinstance of a strategy in shared code": sum(map(len, checks.values())),
    }
    show(rows)
    print("\npassed by a result:", *sorted(passed))
    print("\nprivate names:", *of_tune)
    print("\nisinstance:", *(f"{path}:{n}" for path, of in checks.items() for n in of))


if __name__ == "__main__":
    main()
