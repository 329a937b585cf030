"""Shared parts of the benchmarks: their command line, the printed table, the written JSON."""

import argparse
import importlib.metadata
import json
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

MEASURED = ("torch", "ray", "numpy", "hyperopt", "optuna")
"""Packages whose speed or quality is measured."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure."""

    benchmark: str
    """Script that measured it."""

    case: str
    """Measured case."""

    metric: str
    """Measured quantity."""

    value: float
    """Value in `unit`."""

    unit: str
    """Unit, such as "1/s" or "s"."""


def run_benchmark(
    measure: Callable[..., list[Row]], description: str, **lists: Sequence[str]
) -> None:
    """Parse the command line, measure, print a table and write the JSON, if requested.

    Args:
        measure: called with whether to be quick (at most 50 s on 2 cores); returns the figures.
        description: docstring of the script, shown by `--help`.
        lists: further arguments of `measure`, each with its default.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="take at most 50 s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    for name, default in lists.items():
        parser.add_argument(
            f"--{name}", nargs="+", default=default, help=f"of {', '.join(default)}"
        )
    arguments = parser.parse_args()
    rows = measure(arguments.quick, **{name: getattr(arguments, name) for name in lists})
    machine, installed = hardware(), versions()
    show(rows, f"{machine['cpu']}, {machine['cores']} cores, GPU: {machine['gpu']}")
    if arguments.json:
        report = {
            "hardware": machine,
            "versions": installed,
            "rows": [asdict(row) for row in rows],
        }
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


def show(rows: list[Row], caption: str) -> None:
    """Print figures as a table."""
    table = Table(caption=caption)
    for heading in ("benchmark", "case", "metric"):
        table.add_column(heading)
    table.add_column("value", justify="right")
    table.add_column("unit")
    for row in rows:
        value = f"{row.value:,.0f}" if abs(row.value) >= 1000 else f"{row.value:.4g}"
        table.add_row(row.benchmark, row.case, row.metric, value, row.unit)
    Console().print(table)


def hardware() -> dict[str, str | int | float]:
    """Return CPU model, usable cores, memory in GiB, and the GPU's name or "none"."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1,
        "memory_gib": round(memory, 1),
        "gpu": torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none",
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages whose speed is measured."""
    packages = {name: importlib.metadata.version(name) for name in MEASURED}
    return {"python": platform.python_version(), **packages}


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
