"""One command line, `tune-cluster COMMAND …`, the same as `python -m tune_cluster COMMAND …`.

Bad input, no input and a study that is not there are one line and exit code 2.
"""

from __future__ import annotations

import difflib
import importlib.util
import runpy
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from tune_cluster.errors import complain, complaining


def run(argv: Sequence[str]) -> None:
    """SCRIPT …: run a job, as `python SCRIPT …` does"""
    script = _first(argv, "run SCRIPT", "tune_jobs/asha_lr_batch.py")
    if not Path(script).is_file():
        raise ValueError(f"run {script}: no such script is there")
    _run_script(script, argv[1:])


def resume(argv: Sequence[str]) -> None:
    """STUDY …: go on with a study, by the script that has started it"""
    from tune_cluster.study.directory import local_copy
    from tune_cluster.study.stored import read_study

    study = _first(argv, "resume STUDY", "results/first")
    script = read_study(local_copy(study), address=study).about["command"][1]
    if not Path(script).is_file():
        raise ValueError(
            f"resume {study}: its script {script} is not there; call it where it was started, or "
            "give it: run SCRIPT --resume STUDY"
        )
    _run_script(script, ["--resume", study, *argv[1:]])


def train(argv: Sequence[str]) -> None:
    """PRESET …: train what earlier studies have found, under several seeds"""
    if not argv:
        raise ValueError("train PRESET: which preset? mlp or cnn; train --help has the flags")
    found = importlib.util.find_spec("tune_jobs.train_preset")
    if found is None or found.origin is None:
        raise ValueError("train: tune_jobs is not installed here")
    here = Path(found.origin).is_relative_to(Path.cwd())
    script = Path(found.origin).relative_to(Path.cwd()) if here else Path(found.origin)
    # As if it had been called: what a study says to type is to work.
    _run_script(str(script), argv)


def preflight(argv: Sequence[str]) -> None:
    """[--address …]: could a study run here? ask all nodes of a cluster"""
    from tune_cluster.execution.preflight import main

    main(argv)


def audit(argv: Sequence[str]) -> None:
    """STUDY: what early stopping has cost, by its controls"""
    from tune_cluster.reports.audit import main

    main(argv)


def plot(argv: Sequence[str]) -> None:
    """STUDY [FILE]: draw the curves of a study"""
    from tune_cluster.reports.plots import main

    main(argv)


def compare(argv: Sequence[str]) -> None:
    """FOLDER: compare the strategies whose studies are in a folder"""
    from tune_cluster.reports.comparison import main

    main(argv)


def hyperparameters(argv: Sequence[str]) -> None:
    """[NAME …]: print the catalogue, or these hyperparameters of it"""
    from search_spaces.__main__ import show
    from search_spaces.catalogue import CATALOGUE

    known = {parameter.name for parameter in CATALOGUE}
    for name in argv:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f": {near[0]}?" if near else "; without a name it prints all"
            raise ValueError(f"the catalogue has no {name}{hint}")
    show(Console(highlight=False), argv)


COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {
    command.__name__: command
    for command in (run, resume, train, preflight, audit, plot, compare, hyperparameters)
}


def main() -> None:
    """Run the command that comes first."""
    name, argv = (sys.argv[1] if len(sys.argv) > 1 else ""), sys.argv[2:]
    if name in ("-h", "--help"):
        for command, called in COMMANDS.items():
            print(f"tune-cluster {command} {called.__doc__}")
        return
    if name not in COMMANDS:
        which = f"{name} is no command" if name else "which command?"
        complain(f"{which}: tune-cluster {{{','.join(COMMANDS)}}}, or --help")
        sys.exit(2)
    with complaining():
        COMMANDS[name](argv)


def _first(argv: Sequence[str], usage: str, example: str) -> str:
    """The argument that a command needs.

    Raises:
        ValueError: it is missing.
    """
    if not argv or argv[0].startswith("-"):
        raise ValueError(f"tune-cluster {usage}: give one, such as {example}")
    return argv[0]


def _run_script(script: str, argv: Sequence[str]) -> None:
    sys.argv = [script, *argv]
    # As Python itself does for a script: its folder is where its modules are.
    sys.path.insert(0, str(Path(script).absolute().parent))
    runpy.run_path(script, run_name="__main__")
