"""Description of a study for `study.json`: command, space, data, versions."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tune_cluster.execution import summary
from tune_cluster.execution.command_line import Command
from tune_cluster.execution.ray_tune.study import Study
from tune_cluster.study.study_file import SCHEMA_VERSION, STUDY_FILE, read_study_file

VERSIONS = (
    "tune-cluster",
    "ray",
    "torch",
    "torchvision",
    "hyperopt",
    "tensorboard",
    "scikit-learn",
    "numpy",
)

NOTEBOOK = "notebook"

KERNELS = ("ipykernel_launcher", "colab_kernel_launcher")
"""Scripts that run the cells of a notebook."""

DATASET = ("name", "source", "notice", "fingerprint")


def describe(study: Study, command: Command, argv: Sequence[str] | None) -> dict[str, Any]:
    """Return the content of `study.json`; for a resumed study the first description with changes.

    Args:
        study: the study.
        command: parsed options and parameters.
        argv: command line; None if it was started from Python.

    Raises:
        ValueError: the study was started on other data.
    """
    dataset = study.dataset
    description = {
        "schema_version": SCHEMA_VERSION,
        "job": job_name(),
        "command": [*invoked_as(), *(argv or ())],
        "from_python": argv is None,
        "seed": study.options.seed,
        "metric": study.metric,
        "mode": study.mode,
        **command.stored(),
        "trainable": study.trainable_name,
        "space": study.space.describe(),
        "strategy": study.describe_strategy(),
        "points": study.searcher.size,
        "dataset": {name: getattr(dataset, name, "") for name in DATASET},
        "notices": study.notices,
        "inputs": study.inputs,
        "versions": {"python": platform.python_version(), **installed()},
        "git_commit": git_commit(),
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    description["flags"].update(trials=study.total, max_epochs=study.max_epochs)
    if dataset is not None and "dataset" in description["options"]:
        # The dataset that was found, which a resume must find again.
        description["options"]["dataset"] = dataset.name
    if not (study.directory / STUDY_FILE).exists():
        return description
    check_data(study.directory, dataset, study.inputs)
    first = read_study_file(study.directory)
    return {
        **first,
        # An earlier version has written neither.
        "trainable": description["trainable"],
        "points": description["points"],
        "flags": description["flags"],
        "options": description["options"],
        "command": [*invoked_as(), *first["command"][2:]],
    }


def check_data(directory: Path, dataset: Any, inputs: Mapping[str, str]) -> None:
    """Raise a ValueError if dataset or other inputs are not those that the study was started on."""
    first = read_study_file(directory)
    now, before = getattr(dataset, "fingerprint", ""), first["dataset"]["fingerprint"]
    if now != before:
        raise ValueError(
            f"--resume {directory}: the study was started on other data (fingerprint "
            f"{before}; here, of {getattr(dataset, 'name', '') or 'no dataset'}, {now or 'none'})"
        )
    for name, value in inputs.items():
        was = first.get("inputs", {}).get(name)
        if value != was:
            raise ValueError(
                f"--resume {directory}: {name} has changed: it was {was}, here {value}"
            )


def job_name() -> str:
    """Return the name of the script, if Python runs one."""
    name = Path(sys.argv[0]).stem
    if name in KERNELS:
        return NOTEBOOK
    return "study" if name in ("", "-c") else name


def invoked_as() -> list[str]:
    """Return interpreter and script, as they can be typed again here."""
    script = NOTEBOOK if job_name() == NOTEBOOK else sys.argv[0]
    return [summary.program(Path(sys.executable).name), script]


def installed() -> dict[str, str]:
    """Return the version of each of `VERSIONS` that is installed: some belong to an extra."""
    found = {}
    for name in VERSIONS:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def git_commit() -> str:
    """Return the commit of this project's checkout, with `-dirty` if it has changes; empty outside
    of one."""
    with suppress(OSError, subprocess.SubprocessError):
        # An environment may be inside the checkout of another project.
        _git("ls-files", "--error-unmatch", __file__)
        return _git("describe", "--always", "--dirty", "--abbrev=12").strip()
    return ""


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        timeout=5,
        check=True,
    ).stdout
