"""Does the doctor find what is wrong with a study, and does the next study recover by itself?

Claim: every planted fault is found, healthy studies have no failure and at most one warning, and
two runs of `tune-cluster next` bring a study that began with a learning-rate range a decade below
the optimum and trials of 3 epochs to within 0.3 points of one that was well set.

Method: each case is a study of the first job, `tune_jobs/asha_lr_batch.py`, as a process of its
own, with the fault in its flags, in its data, in its cluster or done to its processes while it
runs; then `tune-cluster doctor` examines what it has left. A fault is found if its own check warns
or fails; how many others do is shown, since a fault has consequences (a rate that is too high also
leaves few trials with a value). The data is Fashion-MNIST: 2,000 images for the faults, 10,000 for
the rest, and scikit-learn's digits. Of healthy studies each has another seed, and two have other
images.

The bad start, `sh next.sh` of its doctor, and that of the study after it run without a change by
hand. They are compared with the well-set study by their best validation accuracy on the same split,
in points; the test accuracy of each best checkpoint is shown beside it.

The fault `dataset` hides the system's copy of Fashion-MNIST and the network from its study, and
needs root. Studies that have ended are kept in `--folder` and not run again: it can be stopped and
started again. `--cases` takes names of faults, `healthy` and `next`.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from table import Row, run_benchmark

HERE = Path(__file__).parent
# Processes of trials are found as in the tests.
sys.path.insert(0, str(HERE.parent))

from tests.faults.rack import descendants, trains  # noqa: E402
from trainables.image.datasets import DATASETS  # noqa: E402

JOB = HERE.parent / "tune_jobs" / "asha_lr_batch.py"
DATA = HERE.parent / "data"


def whole(epochs: int) -> tuple[str, ...]:
    """Return the flags of trials of so many epochs that no rung stops."""
    return "--max-epochs", str(epochs), "--grace-period", str(epochs)


FIRST, LATER, MANY = slice(0, 10_000), slice(10_000, 20_000), slice(20_000, 22_000)
"""Images of Fashion-MNIST."""

KILLS = 8
"""Number of processes of trials that are killed."""

Images = tuple[NDArray[np.uint8], NDArray[np.int64]]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A study with something wrong."""

    check: str
    """Check of the doctor that should find it."""
    flags: tuple[str, ...]
    data: Callable[[], dict[str, NDArray[Any]]] | None = None
    """Function that returns the arrays of an .npz file; None for the dataset of the flags."""
    during: Callable[[subprocess.Popen[bytes], Path], None] | None = None
    """What is done while the study runs, with its process and its folder."""
    cluster: dict[str, float] | None = None
    """Resources of the node that it runs on; None for one that it starts itself."""
    alone: bool = False
    """Whether it has neither network nor the system's datasets."""


@cache
def fashion(part: str) -> Images:
    """Return the training or the test images of Fashion-MNIST, `[n, 28, 28]`, and classes."""
    found = DATASETS["fashion_mnist"].read(DATA)
    one = found.train if part == "train" else found.test
    return one.inputs.pixels[:, 0], one.targets.astype(np.int64)


def images(chosen: slice = MANY, tested: int = 2_000) -> dict[str, NDArray[Any]]:
    """Return some images of Fashion-MNIST and the first of its test images."""
    (x, y), (x_test, y_test) = fashion("train"), fashion("test")
    return {
        **{"x": x[chosen], "y": y[chosen]},
        **{"x_test": x_test[:tested], "y_test": y_test[:tested]},
    }


def few() -> dict[str, NDArray[Any]]:
    """Return 600 images, a fifth of them with a class drawn at random."""
    return wrong_labels(images(slice(20_000, 20_600)), 0.2)


def wrong_labels(data: dict[str, NDArray[Any]], share: float) -> dict[str, NDArray[Any]]:
    """Return data, a share of whose training classes are drawn at random."""
    generator = np.random.default_rng(0)
    y = data["y"].copy()
    wrong = generator.random(len(y)) < share
    y[wrong] = generator.integers(0, 10, wrong.sum())
    return {**data, "y": y}


def copied() -> dict[str, NDArray[Any]]:
    """Return images that are there twice, so that a split puts copies into both of its parts."""
    data = images(slice(20_000, 21_000))
    return {**data, "x": np.concatenate([data["x"]] * 2), "y": np.concatenate([data["y"]] * 2)}


def unbalanced() -> dict[str, NDArray[Any]]:
    """Return shirts and T-shirts, which look alike, 30 of these for one of those."""
    (x, y), (x_test, y_test) = fashion("train"), fashion("test")
    rows = np.r_[np.flatnonzero(y == 0)[:2_400], np.flatnonzero(y == 6)[:80]]
    tested = np.flatnonzero((y_test == 0) | (y_test == 6))
    return {
        **{"x": x[rows], "y": (y[rows] == 6).astype(np.int64)},
        **{"x_test": x_test[tested], "y_test": (y_test[tested] == 6).astype(np.int64)},
    }


def shares() -> dict[str, NDArray[Any]]:
    """Return images with a number each, the part of their brightness in the upper half: a linear
    model of it is the better the larger its rate is, until it diverges."""
    data = images()
    for x, y in (("x", "y"), ("x_test", "y_test")):
        bright = data[x].sum(axis=2, dtype=np.float64) + 1.0
        data[y] = bright[:, :14].sum(axis=1) / bright.sum(axis=1)
    return data


def kill_trials(process: subprocess.Popen[bytes], study: Path) -> None:
    """Kill the process of a trial, again and again, with a second of work between."""
    for _ in range(KILLS):
        while process.poll() is None and not (found := working(process)):
            time.sleep(0.1)
        time.sleep(1)
        if process.poll() is not None:
            break
        for pid in found[:1]:
            if trains(pid):
                os.kill(pid, signal.SIGKILL)


def working(process: subprocess.Popen[bytes]) -> list[int]:
    """Return the processes that train a trial of a study."""
    return [pid for pid in descendants(process.pid) if trains(pid)]


FAULTS = {
    "rates_too_low": Fault(
        check="boundary",
        flags=(*("--trials", "16", "--max-epochs", "9"), "--search", "learning_rate=log:5e-5:1e-3"),
        data=images,
    ),
    "rates_too_high": Fault(
        check="infeasible",
        flags=(*("--trials", "16", "--max-epochs", "9"), "--search", "learning_rate=log:0.03:30"),
        data=images,
    ),
    "best_rates_at_divergence": Fault(
        check="divergence edge",
        flags=(
            *("--trials", "20", "--max-epochs", "9", "--targets", "numbers", "--model", "linear"),
            *("--batch-size", "256", "--search", "learning_rate=log:1e-4:1e-1"),
        ),
        data=shares,
    ),
    "no_regularization": Fault(
        check="overfitting",
        flags=(
            *("--trials", "12", *whole(27), "--search", "learning_rate=log:3e-4:1e-2"),
            *("--fix", "optimizer=adamw", "dropout=0.0"),
        ),
        data=few,
    ),
    "noisy_steps": Fault(
        check="late variance",
        flags=(
            *("--trials", "12", *whole(12)),
            *("--batch-size", "16", "--search", "learning_rate=log:0.03:0.055"),
        ),
        data=lambda: images(slice(20_000, 21_000)),
    ),
    "growing_rate": Fault(
        check="training loss",
        flags=(
            *("--trials", "12", *whole(12), "--search", "dropout=0.0:0.5"),
            *("--fix", "learning_rate_schedule=[[1,0.03],[5,0.3],[9,3.0]]", "grad_clip_norm=1.0"),
        ),
        data=images,
    ),
    "too_many_epochs": Fault(
        check="best epoch",
        flags=(
            *("--trials", "12", *whole(60), "--metric", "val_loss"),
            *("--fix", "optimizer=adamw", "dropout=0.0"),
            *("--search", "learning_rate=log:1e-3:1e-2"),
        ),
        data=few,
    ),
    "too_few_epochs": Fault(
        check="best epoch",
        flags=(
            *("--trials", "12", *whole(4)),
            *("--search", "learning_rate=log:1e-3:1e-2"),
        ),
        data=images,
    ),
    "ranks_that_turn": Fault(
        check="ranks",
        flags=(
            *("--trials", "24", "--max-epochs", "27", "--grace-period", "1", "--rung-rule", "top"),
            *("--search", "learning_rate=log:3e-4:1e-1"),
            *("--fix", "optimizer=adamw", "dropout=0.0"),
        ),
        data=lambda: wrong_labels(images(slice(20_000, 21_000)), 0.5),
    ),
    "too_few_trials": Fault(
        check="trials", flags=("--trials", "6", "--max-epochs", "9"), data=images
    ),
    "ended_too_early": Fault(
        check="course",
        flags=(
            *("--trials", "24", "--epoch-budget", "24", "--max-concurrent", "1"),
            *("--search", "learning_rate=log:5e-5:5e-4"),
        ),
        data=images,
    ),
    "batches_at_one_rate": Fault(
        check="batch size",
        flags=("--trials", "8", "--max-epochs", "9", "--fix", "learning_rate=0.03"),
        data=images,
    ),
    "nothing_that_matters": Fault(
        check="noise",
        flags=(
            *("--trials", "10", *whole(12)),
            *("--fix", "learning_rate=0.02", "batch_size=32"),
            *("--search", "min_std=log:1e-5:1e-3"),
        ),
        data=images,
    ),
    "another_dataset": Fault(
        check="dataset", flags=("--trials", "12", "--max-epochs", "9"), alone=True
    ),
    "copies_in_the_split": Fault(
        check="leakage", flags=("--trials", "12", "--max-epochs", "9"), data=copied
    ),
    "thirty_to_one": Fault(
        check="imbalance", flags=("--trials", "12", "--max-epochs", "9"), data=unbalanced
    ),
    "many_places_for_few": Fault(
        check="waiting",
        flags=(
            *("--trials", "16", "--max-epochs", "486", "--max-concurrent", "8"),
            *("--cpus-per-trial", "0.25", "--batch-size", "16", "--rung-rule", "top"),
        ),
        data=images,
    ),
    "unused_gpus": Fault(
        check="gpus",
        flags=("--dataset", "digits", "--trials", "12", "--max-epochs", "9"),
        cluster={"num_cpus": 2, "num_gpus": 2},
    ),
    "killed_again_and_again": Fault(
        check="retries",
        flags=("--trials", "12", "--max-epochs", "9", "--batch-size", "8"),
        data=images,
        during=kill_trials,
    ),
}
"""By name. A GPU of `unused_gpus` is one that the cluster declares."""

WELL_SET = (
    *("--trials", "24", "--search", "learning_rate=log:1e-3:0.3"),
    *("--fix", "dropout=0.5", "label_smoothing=0.1"),
)

HEALTHY = {
    "digits": (("--dataset", "digits", "--seed", "1", *WELL_SET), None),
    "fashion_2": (("--seed", "2", *WELL_SET), FIRST),
    "other_fashion": (("--seed", "3", *WELL_SET), LATER),
}
"""Flags and images of each; "fashion_2" is the well-set study that a bad start is compared with."""

BAD_START = (
    *("--trials", "24", "--max-epochs", "3", "--search", "learning_rate=log:1e-4:2e-3"),
    *("--fix", "dropout=0.5", "label_smoothing=0.1"),
)
"""The best rates of the well-set studies are about 0.02."""

SEEDS = ("2", "4")
"""Seeds of the bad starts, and of the well-set studies that they are compared with."""

NEXT = 2
"""Number of studies after a bad start."""


def finished(folder: Path, name: str, flags: Sequence[str], fault: Fault | None = None) -> Path:
    """Return the folder of a study that has ended; run it if it has not."""
    study, done = folder / name / "study", folder / name / "ended"
    if not done.exists():
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True)
        began = time.monotonic()
        run(study, ["--storage-path", str(study.parent), "--name", "study", *flags], fault)
        done.write_text(f"{time.monotonic() - began:.1f}")
    return study


def run(study: Path, flags: Sequence[str], fault: Fault | None) -> None:
    """Run a study to its end, with what its fault takes."""
    command, words = [sys.executable, str(JOB), "--yes"], [*flags]
    with ExitStack() as stack:
        address = "local"
        if fault is not None and fault.cluster is not None:
            from ray.cluster_utils import Cluster

            small = {"object_store_memory": 200 * 1024**2, "include_dashboard": False}
            node = Cluster(initialize_head=True, head_node_args={**fault.cluster, **small})
            stack.callback(node.shutdown)
            address = node.address
        if fault is not None and fault.alone:
            hidden = 'ip link set lo up && mount -t tmpfs none /usr/share/datasets && exec "$@"'
            command = ["unshare", "--mount", "--net", "sh", "-c", hidden, "sh", *command]
            words += ["--data-dir", str(study.parent / "no_data")]
        if "--max-concurrent" not in words:
            words += ["--max-concurrent", "2"]
        complete([*command, "--address", address, *words], study, fault)


def complete(command: Sequence[str], study: Path, fault: Fault | None = None) -> None:
    """Run a command to its end; its output goes beside the study."""
    with (study.parent / "output").open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "PYTHONPATH": str(HERE.parent), "OMP_NUM_THREADS": "1"},
        )
        if fault is not None and fault.during is not None:
            fault.during(process, study)
        if code := process.wait():
            raise RuntimeError(f"exit code {code}: {study.parent / 'output'} has the output")


def saved(folder: Path, name: str, data: dict[str, NDArray[Any]]) -> tuple[str, str]:
    """Return the flag of a dataset, after writing its file if there is none."""
    path = folder / f"{name}.npz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".npz", delete=False) as file:
            np.savez_compressed(file, **data)  # type: ignore[arg-type]
        Path(file.name).replace(path)
    return "--dataset", str(path)


def tool(*words: str) -> str:
    """Return what `tune-cluster` prints."""
    command = [sys.executable, "-m", "tune_cluster", *words]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return done.stdout


def verdicts(study: Path) -> list[dict[str, Any]]:
    """Return the findings of the doctor that are no pass."""
    found: list[dict[str, Any]] = json.loads(tool("doctor", str(study), "--json"))
    return [one for one in found if one["verdict"] != "pass"]


def of_fault(folder: Path, name: str) -> list[Row]:
    """Return whether a fault is found, and the number of findings beside it."""
    fault = FAULTS[name]
    flags = fault.flags
    if fault.data is not None:
        flags = (*saved(folder / "data", name, fault.data()), *flags)
    found = verdicts(finished(folder, name, flags, fault))
    for one in found:
        print(f"{name}: {one['verdict']} {one['check']}: {one['evidence']}", file=sys.stderr)
    hits = [one for one in found if one["check"] == fault.check]
    return [
        row(f"{name} ({fault.check})", "found", float(bool(hits)), ""),
        row(f"{name} ({fault.check})", "other_findings", float(len(found) - len(hits)), ""),
    ]


def of_healthy(folder: Path, name: str) -> list[Row]:
    """Return the failures and warnings of a healthy study."""
    flags, chosen = HEALTHY[name]
    data = () if chosen is None else saved(folder / "data", name, images(chosen, 10_000))
    found = verdicts(finished(folder, f"healthy_{name}", (*data, *flags)))
    for one in found:
        text = f"{one['verdict']} {one['check']}: {one['evidence']}"
        print(f"healthy {name}: {text}", file=sys.stderr)
    counts = [sum(one["verdict"] == verdict for one in found) for verdict in ("fail", "warn")]
    return [
        row(f"healthy {name}", metric, float(count), "")
        for metric, count in zip(("fails", "warns"), counts, strict=True)
    ]


def of_next(folder: Path, seed: str) -> list[Row]:
    """Return the accuracies of the well-set study, of the bad start and of those after it."""
    data = (*saved(folder / "data", "fashion_2", images(FIRST, 10_000)), "--seed", seed)
    well = finished(folder, f"healthy_fashion_{seed}", (*data, *WELL_SET))
    before = finished(folder, f"bad_start_{seed}", (*data, *BAD_START))
    studies = {"well set": well, "bad start": before}
    for number in range(1, NEXT + 1):
        before = following(folder / f"next_{seed}_{number}", before)
        studies[f"bad start, next {number}"] = before
    best = {name: accuracies(study) for name, study in studies.items()}
    rows = []
    for name, (validated, tested) in best.items():
        case = f"{name}, seed {seed}"
        behind = 100 * (best["well set"][0] - validated)
        rows += [
            row(case, "val_accuracy", validated, ""),
            row(case, "test_accuracy", tested, ""),
            row(case, "behind_well_set", behind, "points"),
        ]
    return rows


def following(place: Path, before: Path) -> Path:
    """Return the folder of the study, in `place`, that the doctor of another one has written."""
    study, done = place / "study", place / "ended"
    if not done.exists():
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        print(tool("next", str(before)), file=sys.stderr)
        words = ["--yes", "--storage-path", str(place), "--name", "study"]
        complete(["sh", str(before / "next.sh"), *words], study)
        done.touch()
    return study


def accuracies(study: Path) -> tuple[float, float]:
    """Return the best validation accuracy, and the test accuracy of that checkpoint."""
    best = json.loads((study / "best" / "best.json").read_text())
    tested = {**best, **best.get("test", {})}
    return best["val_accuracy"], tested["test_accuracy"]


def row(case: str, metric: str, value: float, unit: str) -> Row:
    """Return a figure."""
    return Row(benchmark="doctor", case=case, metric=metric, value=value, unit=unit)


def measure(quick: bool, folder: Sequence[str], cases: Sequence[str]) -> list[Row]:
    """Run what is missing, and return the figures; with `quick` two faults."""
    with ExitStack() as stack:
        # Paths of Ray's sockets have at most 107 characters.
        os.environ["RAY_TMPDIR"] = stack.enter_context(tempfile.TemporaryDirectory(prefix="tc-"))
        kept = Path(folder[0] if folder else stack.enter_context(tempfile.TemporaryDirectory()))
        kept = kept.absolute()
        chosen = ("too_few_trials", "batches_at_one_rate") if quick else cases
        rows = []
        for name in chosen:
            if name in FAULTS:
                rows += of_fault(kept, name)
            elif name == "healthy":
                rows += [one for healthy in HEALTHY for one in of_healthy(kept, healthy)]
            else:
                rows += [one for seed in SEEDS for one in of_next(kept, seed)]
        found = [one.value for one in rows if one.metric == "found"]
        return [*rows, row("all faults", "found", sum(found), f"of {len(found)}")]


if __name__ == "__main__":
    run_benchmark(measure, __doc__ or "", folder=(), cases=(*FAULTS, "healthy", "next"))
