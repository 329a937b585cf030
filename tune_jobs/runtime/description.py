"""What a study is, as `study.json` says it: the command, the space, the data, the versions."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tune_jobs.runtime import summary
from tune_jobs.runtime.flags import Command
from tune_jobs.runtime.study import Study
from tune_jobs.runtime.study_file import SCHEMA_VERSION, STUDY_FILE, read_study_file

VERSIONS = ("ray", "torch", "torchvision", "hyperopt", "tensorboard", "scikit-learn", "numpy")

DATASET = ("name", "source", "notice", "fingerprint")


def describe(study: Study, command: Command, argv: Sequence[str]) -> dict[str, Any]:
    """The content of `study.json`; of a resumed study the first description, with what changed.

    Raises:
        ValueError: the study was started on other data, or in another space.
    """
    dataset, scheduler = study.parts.dataset, study.parts.scheduler
    assert study.parts.strategy is not None, "the job has not called study.tune_config()"
    description = {
        "schema_version": SCHEMA_VERSION,
        "job": job_name(),
        "command": [*invoked_as(), *argv],
        "seed": study.flags.seed,
        "metric": study.metric,
        "mode": study.mode,
        **command.stored(),
        "space": study.space.describe(),
        "strategy": {
            **study.parts.strategy.describe(),
            **(scheduler.describe() if scheduler is not None else {}),
        },
        "dataset": {name: getattr(dataset, name, "") for name in DATASET},
        "notices": study.parts.notices,
        "inputs": study.inputs,
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in VERSIONS},
        },
        "git_commit": git_commit(),
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    description["flags"].update(
        dataset=None if dataset is None else dataset.name,
        trials=study.total,
        max_epochs=study.max_epochs,
    )
    if not (study.directory / STUDY_FILE).exists():
        return description
    first = read_study_file(study.directory)
    now, before = description["dataset"]["fingerprint"], first["dataset"]["fingerprint"]
    if now != before:
        raise ValueError(
            f"--dataset {description['flags']['dataset']} (--data-dir {study.flags.data_dir}): the "
            f"study was started on other data (fingerprint {before}, here {now})"
        )
    for name, told in study.inputs.items():
        was = first.get("inputs", {}).get(name)
        if told != was:
            raise ValueError(
                f"--resume {study.directory}: {name} is not what it was: {was}, here {told}"
            )
    searched = json.loads(json.dumps(description["space"]))
    if searched != first["space"]:
        raise ValueError(
            f"--resume {study.directory}: the study was started on another space "
            f"({differences(first['space'], searched)}): start a new one"
        )
    return {
        **first,
        "flags": description["flags"],
        "command": [*invoked_as(), *first["command"][2:]],
    }


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Of two spaces as `study.json` has them, in words: what each hyperparameter was, and is."""
    was, has = (
        {**{p["name"]: p for p in space["parameters"]}, **space["fixed"]} for space in (before, now)
    )
    names = [name for name in {**was, **has} if was.get(name) != has.get(name)]
    return "; ".join(f"{name} was {was.get(name)}, here {has.get(name)}" for name in names)


def job_name() -> str:
    """The name of the script."""
    return Path(sys.argv[0]).stem


def invoked_as() -> list[str]:
    """Interpreter and script, as they can be typed again here."""
    return [summary.program(Path(sys.executable).name), sys.argv[0]]


def git_commit() -> str:
    """Of this project's checkout, with `-dirty` where it was changed; empty outside of one."""
    with suppress(OSError, subprocess.SubprocessError):
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
        return described.stdout.strip()
    return ""
