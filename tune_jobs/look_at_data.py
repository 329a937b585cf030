"""What is in the data? Balance, duplicates, missing values, and a page with pictures.

`tune-cluster data DATASET` is equivalent. A study looks at its data in the same way before its
first trial.
"""

import argparse
import io
from collections.abc import Sequence
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console
from rich.table import Table

from trainables.data.dataset import Dataset
from trainables.data.look import Look
from trainables.tasks import TASKS
from tune_cluster.errors import exit_on_error
from tune_cluster.plain_text import one_line

SHOWN_ROWS = 12
"""Lines of a table in the terminal; the page has all."""


def main() -> None:
    """Look at the dataset that the command line names."""
    parser = argparse.ArgumentParser(prog="tune-cluster data", description=__doc__.splitlines()[0])
    parser.add_argument("dataset", help="name or path, as a job of the task takes it by --dataset")
    parser.add_argument(
        "--task", choices=[*TASKS], help="kind of data; default: the first that fits"
    )
    parser.add_argument("--page", default="data.html", help="file of the page; default: data.html")
    known, words = parser.parse_known_args()
    with exit_on_error():
        # A table is tried last: its reader takes nearly every file.
        order = sorted(TASKS, key=lambda task: task == "table")
        task, dataset = found(known.dataset, [known.task] if known.task else order, words)
        look = TASKS[task].look(dataset)
        page = Path(known.page)
        page.write_text(look.page)
        show(Console(highlight=False), look, task)
        print(one_line(f"page      {page}"))


def found(name: str, tasks: Sequence[str], words: Sequence[str]) -> tuple[str, Dataset[Any]]:
    """Return the first task whose reader takes the dataset, and the dataset.

    Raises:
        ValueError: none does; the message has the reason of each.
    """
    reasons = []
    for task in tasks:
        errors = io.StringIO()
        try:
            with redirect_stderr(errors):
                arguments = ["--dataset", name, *words]
                flat = (tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff)
                dataset: Dataset[Any] = tyro.cli(TASKS[task].reader(), args=arguments, config=flat)
            return task, dataset
        except (ValueError, OSError) as error:
            reasons.append(f"as {task}: {error}")
        except SystemExit as ended:
            if not ended.code:
                raise
            reasons.append(f"as {task}: it does not take {' '.join(words)}")
    raise ValueError(f"data {name}: {'; '.join(reasons)}")


def show(console: Console, look: Look, task: str) -> None:
    """Print what was found, with the first lines of each table."""
    console.print(f"[bold]{look.name}[/bold], as {task}, from {look.source}")
    for section in look.sections:
        if not section.rows:
            continue
        table = Table(*section.heads, box=None, pad_edge=False, title=section.title)
        table.title_justify = "left"
        for column in table.columns[1 : -1 if section.worded else None]:
            column.justify = "right"
        for row in section.rows[:SHOWN_ROWS]:
            table.add_row(*row)
        console.print()
        console.print(table)
        if len(section.rows) > SHOWN_ROWS:
            console.print(f"and {len(section.rows) - SHOWN_ROWS} more")
        if section.text:
            console.print(section.text, style="dim")
    console.print()
    for warning in look.warnings:
        console.print(f"DATA      {warning}", style="bold red", markup=False)
    count = len(look.warnings)
    warnings = f"{count} warning{'' if count == 1 else 's'}"
    console.print(f"looked at in {look.seconds:.1f} s, {warnings}")


if __name__ == "__main__":
    main()
