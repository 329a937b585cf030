"""A GPU in fractions, and our training loop on it beside the shortest bare loop.

Two claims are tested. `--gpus-per-trial 0.25` pays for models that leave a GPU idle: the same
trials, each trained for the same epochs, on a whole GPU one after the other, on halves, on quarters
and on eighths. And `fit`, our training loop, is no slower on a GPU than the shortest loop over the
same tensors ("bare": no metrics, no state, no checks).

Measured on one NVIDIA H200 with 16 cores of an Intel Xeon, torch 2.11, Python 3.12, once: 16 trials
of the MLP for 3 epochs take 34 s one after the other, 19 s on halves, 11 s on quarters and 7 s on
eighths, since an update of so small a network leaves the GPU idle. The command takes 36 to 40 s
more at every share: each process imports torch and opens the GPU, those that time the steps of
eight configurations and those of the trials. Ours over bare: 0.98 to 0.99, of both networks in both
precisions.

Method: 60,000 random images of 28x28 pixels in 10 classes, since their content does not change the
speed. `study`: `tune_jobs/random_regularization.py` as a process, all trials to their end, no trial
stopped; `command_seconds` is the whole process, `training_seconds` from the first trial's start to
the last one's end, by the journal. `ours/bare`: both loops in turn, the median of the ratios within
a repeat, after one to warm up; an epoch of 60,000 images, batch 128.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from loops import bare, ours
from table import Row, run_benchmark
from training_throughput import in_turn, ratio_of

from trainables.image.config import ImageConfig
from trainables.image.datasets import load_dataset

JOB = Path(__file__).parents[1] / "tune_jobs" / "random_regularization.py"

SHARES = (1, 0.5, 0.25, 0.125)

IMAGES = 60_000


def measure(quick: bool) -> list[Row]:
    """Measure the loop in both precisions, then the study at each share."""
    if not torch.cuda.is_available():
        raise SystemExit("torch sees no GPU here: this benchmark needs one")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = random_images(folder / "random.npz")
        rows = []
        for model in ("mlp", "cnn"):
            for precision in ("float32", "bfloat16"):
                rows += loops(model, precision, images, repeats=2 if quick else 7)
        for share in SHARES[::2] if quick else SHARES:
            rows += study(share, images, folder, trials=4 if quick else 16)
    return rows


def random_images(file: Path) -> Path:
    """Write a dataset of random images, of the size of Fashion-MNIST."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (IMAGES, 28, 28), dtype=np.uint8)
    np.savez(file, x=pixels, y=generator.integers(0, 10, IMAGES))
    return file


def loops(model: str, precision: str, images: Path, repeats: int) -> list[Row]:
    """Measure our loop beside the shortest one."""
    data = load_dataset(str(images), images.parent, seed=0).search
    config = ImageConfig(model=model, precision=precision, epochs=1, batch_size=128)
    cases = {
        "ours": lambda: ours(config, data, "cuda"),
        "bare": lambda: bare(config, data, "cuda"),
    }
    speeds = in_turn(cases, repeats)
    case = f"{model}_{precision}"
    rows = [
        row(f"{name}_{case}", "samples_per_second", sorted(s)[len(s) // 2], "1/s")
        for name, s in speeds.items()
    ]
    ratio = ratio_of(speeds["ours"], speeds["bare"])
    return [*rows, row(f"ours/bare_{case}", "samples_per_second_ratio", ratio, "ratio")]


def study(share: float, images: Path, folder: Path, trials: int) -> list[Row]:
    """Measure the same trials at one share of a GPU each."""
    name = f"share-{share:g}"
    command = [sys.executable, str(JOB), "--yes", "--address", "local", "--name", name]
    command += ["--no-report"]
    command += ["--storage-path", str(folder), "--dataset", str(images), "--trials", str(trials)]
    began = time.perf_counter()
    subprocess.run(
        [*command, "--max-epochs", "3", "--gpus-per-trial", f"{share:g}"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    took = time.perf_counter() - began
    lines = (folder / name / "journal.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    times = {
        kind: [e["time"] for e in events if e["event"] == kind] for kind in ("started", "ended")
    }
    training = max(times["ended"]) - min(times["started"])
    case = f"study_{share:g}_gpu_a_trial"
    return [
        row(case, "command_seconds", took, "s"),
        row(case, "training_seconds", training, "s"),
    ]


def row(case: str, metric: str, value: float, unit: str) -> Row:
    """Make a row of this benchmark."""
    return Row(benchmark="gpu", case=case, metric=metric, value=value, unit=unit)


if __name__ == "__main__":
    run_benchmark(measure, __doc__ or "")
