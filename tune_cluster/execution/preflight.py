"""`tune-cluster preflight`: could a study run on this cluster? Asked of all of its nodes, as
every study asks it before its first trial."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import tyro
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tune_cluster.errors import accept_all_characters, complain, in_words
from tune_cluster.execution.command_line import in_one_line
from tune_cluster.execution.options import options_of
from tune_cluster.plain_text import one_line
from tune_cluster.storage.store import expanded

if TYPE_CHECKING:
    from tune_cluster.cluster.nodes import Inspection


def preflight(
    *,
    address: str | None = None,
    storage_path: str = "results",
    cpus_per_trial: float = 1.0,
    gpus_per_trial: float = 0.0,
) -> int:
    """Could a study run on this cluster? Asks all of its nodes, and leaves nothing there.

    Exit codes: 0 it could, 2 it could not.

    Args:
        address: a running cluster (host:port, or auto); local starts one for this question; without
            it one is found or started.
        storage_path: where studies are kept: a folder on storage that all nodes share, or
            s3://bucket/folder.
        cpus_per_trial: CPU cores of a trial.
        gpus_per_trial: GPUs of a trial; 0.25 puts four on one.
    """
    # Imported once the command line is known to be good: Tune takes seconds.
    from tune_cluster.cluster.connect import connected
    from tune_cluster.cluster.nodes import inspect

    accept_all_characters()
    began = time.monotonic()
    try:
        options = options_of(
            address=address,
            storage_path=expanded("--storage-path", storage_path),
            cpus_per_trial=cpus_per_trial,
            gpus_per_trial=gpus_per_trial,
        )
        with connected(address) as found:
            inspection = inspect(options.storage_path, gpus=gpus_per_trial > 0)
            seconds = time.monotonic() - began
            console = Console()
            console.print(table_of(inspection, cpus_per_trial, gpus_per_trial))
            for note in inspection.notes():
                told = f"note      {one_line(note)}"
                console.print(told, soft_wrap=True, highlight=False, markup=False)
            slots = found.slots(cpus_per_trial, gpus_per_trial)
            inspection.check(cpus_per_trial, gpus_per_trial)
            if notice := inspection.gpu_notice(cpus_per_trial, gpus_per_trial):
                told = f"NOTICE    {one_line(notice)}"
                console.print(told, style="bold red", soft_wrap=True, markup=False)
    except (OSError, ValueError) as error:
        complain(in_words(error))
        return 2
    console.print(f"room for {slots} trials at once; asked in {seconds:.1f} s", highlight=False)
    return 0


def table_of(inspection: Inspection, cpus: float, gpus: float) -> Table:
    """A line for each node: what it has, and whether a trial of that size can run there."""
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


def main(argv: Sequence[str]) -> None:
    """The command line.

    Raises:
        ValueError: a flag that is unknown, or a value of the wrong type.
    """
    sys.exit(in_one_line(lambda: tyro.cli(preflight, prog="tune-cluster preflight", args=argv)))
