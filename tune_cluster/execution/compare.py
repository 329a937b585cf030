"""Comparison of strategies: one job under each strategy and seed, one study each."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import ray
from rich.console import Console

from search_spaces import needs_extra
from tune_cluster.command_words import without
from tune_cluster.errors import exit_on_error
from tune_cluster.execution.command_line import Command, parse
from tune_cluster.execution.description import job_name
from tune_cluster.execution.launcher import cluster_for, main
from tune_cluster.execution.options import flag
from tune_cluster.execution.plan import confirmed
from tune_cluster.execution.summary import shown
from tune_cluster.execution.tuner import Tuner
from tune_cluster.reports.comparison import show_comparison
from tune_cluster.storage.store import SCHEME
from tune_cluster.study.directory import new_folder
from tune_cluster.study.study_file import STUDY_FILE

UNLIMITED_TRIALS = 10_000
"""Number of trials that exceeds every budget."""


def compare(job: Callable[..., Tuner], strategies: Sequence[str], *, epoch_budget: int) -> None:
    """Run `job` as one study for each of `strategies` and each seed, and end the process.

    The studies are `<storage-path>/<name>/<strategy>-<seed>`. Existing ones are resumed, so that
    the same command, given again with its `--name`, continues the comparison.

    Args:
        job: job with the parameters `strategy` ("all" compares) and `seeds`.
        strategies: values of `strategy`.
        epoch_budget: default epoch budget of each study.
    """
    argv = sys.argv[1:]
    try:
        with exit_on_error():
            command = parse(job, argv)
            one, seeds = command.own["strategy"], command.own["seeds"]
            if one != "all" and seeds != parse(job, []).own["seeds"]:
                raise ValueError(
                    f"--seeds {seeds}: --strategy {one} is a single study; give --seed"
                )
        if one != "all" or command.options.resume is not None:
            main(job)
        with exit_on_error():
            compare_all(command, argv, strategies, seeds, epoch_budget)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)


def compare_all(
    command: Command, argv: Sequence[str], strategies: Sequence[str], seeds: int, epoch_budget: int
) -> None:
    """Run all studies on one cluster, then print the table and the path of the plot."""
    options = command.options
    if seeds < 1:
        raise ValueError(f"--seeds must be at least 1, got {seeds}")
    if options.storage_path.startswith(SCHEME):
        raise ValueError(
            f"--storage-path {options.storage_path}: a comparison is kept in a folder; with "
            "--strategy, a single study can be in a bucket"
        )
    with needs_extra("plots"):
        import matplotlib  # noqa: F401
    count, budget = len(strategies) * seeds, options.epoch_budget or epoch_budget
    print(f"studies   {count}, of up to {budget:,} epochs each; each shows its cost")
    if not confirmed(Console(), options, seconds=None):
        sys.exit(130)
    above = Path(options.storage_path)
    if options.name is None:
        folder = new_folder(above, f"{job_name()}-{time.strftime('%Y%m%d-%H%M%S')}", numbered=True)
    else:
        folder = above / options.name
    with cluster_for(options):
        address = ray.get_runtime_context().gcs_address
        for seed in range(options.seed, options.seed + seeds):
            for strategy in strategies:
                run_one(command, argv, folder, strategy, seed, address, epoch_budget)
    print(show_comparison(folder))
    print(f"picture   {shown(folder / 'comparison.png')}")


def run_one(
    command: Command,
    argv: Sequence[str],
    folder: Path,
    strategy: str,
    seed: int,
    address: str,
    epoch_budget: int,
) -> None:
    """Run one study in a process of its own, which leaves no state for the next one."""
    study = folder / f"{strategy}-{seed}"
    if (study / STUDY_FILE).exists():
        flags = ["--resume", str(study)]
    else:
        flags = list(argv)
        for name in ("name", "storage_path", "seed", "seeds", "address", "strategy"):
            flags = without(flags, flag(name))
        flags += ["--strategy", strategy, "--seed", str(seed)]
        flags += ["--storage-path", str(folder), "--name", study.name]
        if command.options.trials is None and not command.options.smoke_test:
            flags += ["--trials", str(UNLIMITED_TRIALS)]
        if command.options.epoch_budget is None:
            flags += ["--epoch-budget", str(epoch_budget)]
    print(f"\n{study.name}", flush=True)
    # The user was asked once for all studies.
    asked = [] if "--yes" in flags else ["--yes"]
    words = [sys.executable, sys.argv[0], *flags, *asked, "--address", address]
    code = subprocess.run(words, check=False).returncode
    if code:
        sys.exit(code)
