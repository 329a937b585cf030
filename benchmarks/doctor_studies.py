"""Studies that the benchmark of the doctor runs, each as a process of its own, and what the doctor
says of them. A study that has ended is kept in its folder and not run again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from table import Row

HERE = Path(__file__).parent
JOBS = HERE.parent / "tune_jobs"

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A study to run, healthy or with something wrong."""

    flags: tuple[str, ...]
    check: str = ""
    """Check of the doctor that should find what is wrong; "" for a healthy study."""
    job: str = "asha_lr_batch"
    """Job of `tune_jobs/`, by name."""
    data: Callable[[], Arrays] | None = None
    """Function that returns the arrays of an .npz file; None for the dataset of the flags."""
    table: Callable[[], pd.DataFrame] | None = None
    """Function that returns the rows of a .csv file, instead of `data`."""
    during: Callable[[subprocess.Popen[bytes], Path], None] | None = None
    """What is done while the study runs, with its process and its folder."""
    cluster: dict[str, float] | None = None
    """Resources of the node that it runs on; None for one that it starts itself."""
    alone: bool = False
    """Whether it has neither network nor the system's datasets."""


def ended(folder: Path, name: str, planned: Planned) -> Path:
    """Return the folder of a study that has ended; run it if it has not."""
    study, done = folder / name / "study", folder / name / "ended"
    if not done.exists():
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True)
        data = _data_flag(folder / "data", name, planned)
        began = time.monotonic()
        _run(study, ["--storage-path", str(study.parent), "--name", "study", *data], planned)
        done.write_text(f"{time.monotonic() - began:.1f}")
    return study


def _run(study: Path, flags: Sequence[str], planned: Planned) -> None:
    """Run a study to its end, with what its fault takes."""
    command, words = (
        [sys.executable, str(JOBS / f"{planned.job}.py"), "--yes"],
        [*flags, *planned.flags],
    )
    with ExitStack() as stack:
        address = "local"
        if planned.cluster is not None:
            from ray.cluster_utils import Cluster

            small = {"object_store_memory": 200 * 1024**2, "include_dashboard": False}
            node = Cluster(initialize_head=True, head_node_args={**planned.cluster, **small})
            stack.callback(node.shutdown)
            address = node.address
        if planned.alone:
            hidden = 'ip link set lo up && mount -t tmpfs none /usr/share/datasets && exec "$@"'
            command = ["unshare", "--mount", "--net", "sh", "-c", hidden, "sh", *command]
            words += ["--data-dir", str(study.parent / "no_data")]
        if "--max-concurrent" not in words:
            words += ["--max-concurrent", "2"]
        complete([*command, "--address", address, *words], study, planned.during)


def complete(
    command: Sequence[str],
    study: Path,
    during: Callable[[subprocess.Popen[bytes], Path], None] | None = None,
) -> None:
    """Run a command to its end; its output goes beside the study."""
    with (study.parent / "output").open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "PYTHONPATH": str(HERE.parent), "OMP_NUM_THREADS": "1"},
        )
        if during is not None:
            during(process, study)
        if code := process.wait():
            raise RuntimeError(f"exit code {code}: {study.parent / 'output'} has the output")


def saved(path: Path, write: Callable[[Path], None]) -> tuple[str, str]:
    """Return the flag of a dataset, after writing its file if there is none."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_stem(f"{path.stem}_part")
        write(part)
        part.replace(path)
    return "--dataset", str(path)


def _data_flag(folder: Path, name: str, planned: Planned) -> tuple[str, ...]:
    """Return the flag of the data of a study; nothing, if it has none of its own."""
    arrays, table = planned.data, planned.table
    if arrays is not None:
        return saved(
            folder / f"{name}.npz",
            lambda path: np.savez_compressed(path, **arrays()),  # type: ignore[arg-type]
        )
    if table is not None:
        return saved(folder / f"{name}.csv", lambda path: table().to_csv(path, index=False))
    return ()


def tool(*words: str) -> str:
    """Return what `tune-cluster` prints."""
    command = [sys.executable, "-m", "tune_cluster", *words]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return done.stdout


def verdicts(study: Path, name: str) -> list[dict[str, Any]]:
    """Return the findings of the doctor that are no pass, and print them under a name."""
    found: list[dict[str, Any]] = json.loads(tool("doctor", str(study), "--json"))
    bad = [one for one in found if one["verdict"] != "pass"]
    for one in bad:
        print(f"{name}: {one['verdict']} {one['check']}: {one['evidence']}", file=sys.stderr)
    return bad


def row(case: str, metric: str, value: float, unit: str) -> Row:
    """Return a figure."""
    return Row(benchmark="doctor", case=case, metric=metric, value=value, unit=unit)
