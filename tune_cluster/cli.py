"""The command line, `tune-cluster COMMAND …`, the same as `python -m tune_cluster COMMAND …`.

A command is a function: its parameters are the arguments and flags, its docstring is the help. Bad
or missing input and a study that does not exist give one line and exit code 2.
"""

from __future__ import annotations

import ast
import gc
import importlib.util
import re
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tune_cluster.errors import exit_on_error
from tune_cluster.execution.command_line import bound, print_help
from tune_cluster.plain_text import one_line
from tune_cluster.python_script import run_script
from tune_cluster.reports import catalogue, commands
from tune_cluster.storage.store import expanded

# Each command imports what it needs: Ray and Tune take seconds.
if TYPE_CHECKING:
    from tune_cluster.cluster.nodes import Inspection

PLAIN_WORD = re.compile(r"[\w@%+=:,./{}-]+")

Script = list[str]
"""A script with its arguments, to be run after the command has returned it."""


def run(*words: str) -> Script:
    """Run a job, tune a training script, or tune an unchanged command.

    `tune-cluster run SCRIPT …` is `python SCRIPT …`.

    `tune-cluster run SCRIPT --search lr=log:1e-4:1e-1 --metric val_loss -- …` tunes a training
    script that calls tune_cluster.arguments, epochs and report; its own arguments follow `--`.

    `tune-cluster run --search lr=log:1e-4:1e-1 --metric val_loss -- python train.py --lr {lr}`
    tunes a command that prints its metrics, such as val_loss=0.12; braces contain searched values.

    `tune-cluster run SCRIPT --search --help` and `tune-cluster run --search --help` list the flags.
    """
    if not words:
        raise ValueError("run: SCRIPT or -- COMMAND is missing; run --help has the forms")
    if len(words) == 1 and words[0] in ("-h", "--help"):
        print_help(run)
        sys.exit(0)
    end = words.index("--") if "--" in words else len(words)
    given = list(words[:end])
    # Braces are quoted by a shell command, but not here: they name searched values.
    behind = " ".join(
        word if PLAIN_WORD.fullmatch(word) else shlex.quote(word) for word in words[end + 1 :]
    )
    at = _place_of_script(given)
    if at is not None:
        script = given.pop(at)
        if not Path(script).is_file():
            raise ValueError(f"run {script}: no such script is there")
        searched = any(word.partition("=")[0] == "--search" for word in given)
        if not searched or runs_a_study(script):
            return [script, *given, *words[end:]]
        return [job_script("search_script"), "--script", script, *given, f"--arguments={behind}"]
    if "--" not in words and (study := _value_of("--resume", given)) is not None:
        # The study has its command.
        return resume(study, *given)
    if "--resume-args" in given[:-1]:
        # Its value begins with a dash.
        at = given.index("--resume-args")
        given[at : at + 2] = ["=".join(given[at : at + 2])]
    return [job_script("search_command"), *given, f"--command={behind}"]


def _value_of(flag: str, given: list[str]) -> str | None:
    """Take `flag VALUE` or `flag=VALUE` out of the words and return the value; None if there is
    none."""
    for at, word in enumerate(given):
        name, equals, value = word.partition("=")
        if name == flag and equals:
            del given[at]
            return value
        if word == flag and at + 1 < len(given):
            del given[at]
            return given.pop(at)
    return None


def _place_of_script(given: Sequence[str]) -> int | None:
    """Return the place of the script among the words before `--`: the first word, or behind flags
    the first Python file that is there; None if there is no script."""
    if given and not given[0].startswith("-"):
        return 0
    files = (at for at, word in enumerate(given) if word.endswith(".py") and Path(word).is_file())
    return next(files, None)


def runs_a_study(script: str) -> bool:
    """Return whether a script runs a study itself, by `main` or `compare`, so that `--search` is a
    flag of its own."""
    try:
        nodes = list(ast.walk(ast.parse(Path(script).read_bytes())))
    except (OSError, SyntaxError, ValueError):
        return False
    names = {
        alias.asname or alias.name
        for node in nodes
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name == "tune_cluster"
    }
    imported = {
        alias.name
        for node in nodes
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "tune_cluster"
        for alias in node.names
    }
    attributes = {ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)}
    return bool(imported & {"main", "compare"} or attributes & {f"{name}.main" for name in names})


def resume(study: str, *flags: str) -> Script:
    """Resume a study, by the script that has started it.

    Args:
        study: its folder, or s3://bucket/folder/name; flags that a resume may change follow it.
    """
    from tune_cluster.study.directory import local_copy
    from tune_cluster.study.stored import read_study

    script = read_study(local_copy(study), address=study).about["command"][1]
    if not Path(script).is_file():
        raise ValueError(
            f"resume {study}: its script {script} is not there; call it where it was started, or "
            "give it: run SCRIPT --resume STUDY"
        )
    return [script, "--resume", study, *flags]


def train(*flags: str) -> Script:
    """Train a preset that earlier studies have found, with several seeds."""
    if not flags:
        raise ValueError("train PRESET: which preset? mlp or cnn; train --help has the flags")
    return [job_script("train_preset"), *flags]


def job_script(name: str) -> str:
    """Return the path of a job of `tune_jobs`, as in the resume command of its study."""
    found = importlib.util.find_spec(f"tune_jobs.{name}")
    if found is None or found.origin is None:
        raise ValueError(f"{name}: tune_jobs is not installed here")
    path = Path(found.origin)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def data(dataset: str, *flags: str) -> Script:
    """Look at a dataset: balance of the classes, duplicates, missing values, and a page of it.

    Args:
        dataset: a name or a path, as jobs take it by --dataset; --task image, text or table,
            --page FILE and the flags of the task's data follow it.
    """
    return [job_script("look_at_data"), dataset, *flags]


def preflight(
    *,
    address: str | None = None,
    storage_path: str = "results",
    cpus_per_trial: float = 1.0,
    gpus_per_trial: float = 0.0,
) -> None:
    """Could a study run on this cluster? Checks all of its nodes, and leaves no files there.

    Args:
        address: a running cluster (host:port, or auto); local starts one for the check. Default:
            one that is found, or a new one.
        storage_path: folder of the studies, on storage that all nodes share, or
            s3://bucket/folder.
        cpus_per_trial: CPU cores of a trial.
        gpus_per_trial: GPUs of a trial; 0.25 puts four on one.
    """
    from tune_cluster.execution.options import options_of

    began = time.monotonic()
    options = options_of(
        address=address,
        storage_path=expanded("--storage-path", storage_path),
        cpus_per_trial=cpus_per_trial,
        gpus_per_trial=gpus_per_trial,
    )
    from tune_cluster.cluster.connect import connected
    from tune_cluster.cluster.nodes import inspect

    console = Console(highlight=False)
    with connected(address) as cluster:
        inspection = inspect(options.storage_path, gpus=gpus_per_trial > 0)
        seconds = time.monotonic() - began
        console.print(node_table(inspection, cpus_per_trial, gpus_per_trial))
        for note in inspection.notes():
            console.print(f"note      {one_line(note)}", soft_wrap=True, markup=False)
        slots = cluster.slots(cpus_per_trial, gpus_per_trial)
        inspection.check(cpus_per_trial, gpus_per_trial)
        if notice := inspection.gpu_notice(cpus_per_trial, gpus_per_trial):
            line = f"NOTICE    {one_line(notice)}"
            console.print(line, style="bold red", soft_wrap=True, markup=False)
    console.print(f"room for {slots} trials at once; asked in {seconds:.1f} s")


def audit(study: str, *flags: str, share: float | None = None) -> Script | None:
    """Print what early stopping has cost a study; with a share, finish stopped trials first.

    Args:
        study: its folder, or s3://bucket/folder/name; flags that a resume may change follow it.
        share: share of the stopped trials, drawn at random, to finish in a study beside this one.
    """
    if share is None:
        if flags:
            raise ValueError(f"audit {study}: {flags[0]} goes with --share alone")
        from tune_cluster.reports.audit import audit as audit_study
        from tune_cluster.reports.audit import audit_lines

        for name, text in audit_lines(audit_study(study)):
            print(one_line(f"{name:<15}{text}"))
        return None
    from tune_cluster.execution.audit import begin

    return resume(begin(study, share), *flags)


def confirm(study: str, *flags: str, top: int | None = None, seeds: int | None = None) -> Script:
    """Train a study's best trials and the defaults again, with the same seeds, and judge them.

    Args:
        study: its folder, or s3://bucket/folder/name; flags that a resume may change follow it.
        top: number of its best configurations. Default: 5.
        seeds: number of seeds, each with a fresh split of the data; the last ones are left out
            where the verdict is clear before. Default: 5, or as many as the confirmation has.
    """
    from tune_cluster.execution.confirm import begin

    return resume(begin(study, top, seeds), *flags)


def evaluate(study: str, *flags: str, top: int = 5) -> Script:
    """Compare ensembles of a study's best trials, on the test set once, and keep the best one.

    Args:
        study: its folder, or s3://bucket/folder/name; flags that a resume may change follow it.
        top: number of best trials; a study keeps the checkpoints of --keep-best of them.
    """
    return resume(study, "--ensemble", str(top), *flags)


def export(study: str, *, to: str | None = None) -> Script:
    """Export the best model of a study: weights, config.json, a predict.py that needs no Ray.

    Args:
        study: its folder, or s3://bucket/folder/name.
        to: folder of the export. Default: the study's name and -export, in this folder.
    """
    return [job_script("export_model"), study, *([] if to is None else ["--to", to])]


def plot(study: str, file: str | None = None) -> None:
    """Draw the curves of a study's trials.

    Args:
        study: its folder, or s3://bucket/folder/name.
        file: file of the picture. Default: curves.png in the study's folder.
    """
    from tune_cluster.reports.plots import draw_curves
    from tune_cluster.study.directory import local_copy

    given = None if file is None else Path(expanded("FILE", file))
    folder = local_copy(study)
    picture = given or folder / "curves.png"
    draw_curves(folder, picture)
    print(one_line(picture))


def compare(folder: str) -> None:
    """Compare strategies by the studies FOLDER/<strategy>-<seed>: a table and a picture.

    Args:
        folder: folder with the studies; comparison.csv and comparison.png are written there.
    """
    from tune_cluster.reports.comparison import show_comparison

    print(show_comparison(Path(expanded("FOLDER", folder))))


PRINTING = (commands.list_studies, commands.show, commands.why, commands.diff)
"""Commands that read studies and print, and do nothing else."""

READING = (
    commands.report,
    commands.ui,
    commands.doctor,
    commands.show,
    commands.why,
    commands.diff,
)
"""Commands that only read studies, beside `list`."""

COMMANDS: dict[str, Callable[..., Script | None]] = {
    **{command.__name__: command for command in (run, resume, train, data, preflight)},
    "list": commands.list_studies,
    "next": commands.next_study,
    **{command.__name__: command for command in READING},
    **{command.__name__: command for command in (confirm, evaluate, export, audit, plot)},
    **{command.__name__: command for command in (compare, catalogue.hyperparameters)},
}


def main() -> None:
    """Run the command named by the first word."""
    name, argv = (sys.argv[1] if len(sys.argv) > 1 else ""), sys.argv[2:]
    if name in ("-h", "--help"):
        show_commands()
        return
    with exit_on_error():
        if name not in COMMANDS:
            which = f"{name} is no command" if name else "a command is missing"
            raise ValueError(f"{which}: tune-cluster {{{','.join(COMMANDS)}}}, or --help")
        if COMMANDS[name] in PRINTING:
            # It ends once it has printed. To search the events of a study for cycles, of which they
            # have none, takes a tenth of its time.
            gc.disable()
        script = bound(COMMANDS[name], argv, prog=f"tune-cluster {name}")()
    if script is None:
        return
    try:
        run_script(script[0], script[1:])
    finally:
        if name in (audit.__name__, confirm.__name__):
            from tune_cluster.execution.second_study import remove_unbegun

            remove_unbegun(script[script.index("--resume") + 1])


def show_commands() -> None:
    """Print each command with the first line of its help."""
    console = Console(highlight=False)
    console.print("tune-cluster COMMAND …; tune-cluster COMMAND --help has the arguments of one\n")
    table = Table.grid(padding=(0, 2))
    for name, command in COMMANDS.items():
        table.add_row(name, (command.__doc__ or "").partition("\n")[0])
    console.print(table)


def node_table(inspection: Inspection, cpus: float, gpus: float) -> Table:
    """Return a table with a line for each node: its facts, and whether a trial can run there."""
    heads = ("node", "CPU", "GPU", "Python", "Ray", "torch", "storage", "a trial can run")
    table = Table(*heads, box=None, pad_edge=False)
    fitting = inspection.for_trials(cpus, gpus)
    for node in inspection.nodes:
        facts, bad = node.facts, node.problems(inspection.driver, inspection.storage)
        versions = ["?"] * 3 if facts is None else list(facts.versions.values())
        storage = "not seen" if facts is None or not facts.shared else "writable"
        if facts is not None and facts.unwritable:
            storage = "not writable"
        if facts is not None and facts.free_bytes is not None:
            storage = f"{facts.free_bytes / 1e9:.0f} GB free"
        table.add_row(
            Text(one_line(node.name)),
            f"{node.resources.get('CPU', 0):g}",
            f"{node.resources.get('GPU', 0):g}",
            *(Text(one_line(version)) for version in versions),
            storage,
            "none fits" if node not in fitting else "no" if bad else "yes",
        )
    return table
