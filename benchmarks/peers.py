"""A whole study, by its wall-clock time: ours beside Optuna, Syne Tune and plain Ray Tune.

Claim: for the same 32 trials a study of ours takes less time than with any of the others, and finds
as good a best accuracy. On two cores of an AMD EPYC, in mean 155 s, against 199 with Optuna, 378
with Syne Tune and 802 with Ray Tune as its documentation shows it; 0.9054, 0.9058, 0.9054 and
0.9047, which differ by less than the seeds of each. The difference to Optuna is the rule: 120
epochs, by promotion, against 171. Epoch for epoch it is as fast, and at work 12 s sooner, since it
starts no cluster.

The work is the same in each: learning rate (log-uniform, 1e-4 to 1) and batch size (32 to 512), the
MLP 784-512-256-10 in float32 with SGD and momentum on Fashion-MNIST, 54,000 images to train on and
6,000 to validate, at most 27 epochs, random search, successive halving (grace 1, factor 3), two
trials at a time with one thread each. All have the same 32 points in the same order, those that our
random search draws from the seed: an epoch in batches of 32 takes half as long again as one in
batches of 512 (2.7 and 1.8 s), so that different points would decide between close results.

Method: each case is a process of its own in an empty folder; its seconds are from its start to its
end, with imports and data. Three seeds; the cases alternate in their order. `epochs` counts begun
ones, including one that diverges: most of the difference comes from the trials that continue while
a rung is nearly empty, and each has its own rule. `best_val_accuracy` is the best of any epoch of
any trial; each seed has its own split, and `ray_documented` another one than the rest. The cases:

- `ours`: the launcher, as any job is run, with journal, curves, checkpoints and the final test.
- `optuna`: random sampler, successive halving pruner and a journal file, in two forked processes;
  imports and data are paid for once. It trains with our `fit()`, as fast as we do.
- `syne_tune`: its ASHA and local backend, asked every 0.1 s instead of 5. A trial trains with our
  `fit()`; its process imports torch and reads the arrays, which were split once, from one file.
- `ray_documented`: a function with torchvision's transforms and a DataLoader, ASHAScheduler, an
  actor and three loggers for each trial.

`trials` shows whether each ran as many as requested: Optuna and Syne Tune can begin one too many,
if both workers become free at once. It needs `pip install -e .[benchmarks]`. `--quick` has 4 trials
of 3 epochs and one seed; the data is not cut, so it takes more than the 50 s of others.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from table import Row, run_benchmark

from search_spaces.objective import Objective
from trainables.image.datasets import load_dataset
from tune_cluster.study.journal import JOURNAL, read_journal

SCRIPTS = Path(__file__).parent / "peer_scripts"
DATA = Path(__file__).parents[1] / "data"

PEERS = {
    "optuna": "with_optuna.py",
    "syne_tune": "with_syne_tune.py",
    "ray_documented": "ray_documented.py",
}
CASES = ("ours", *PEERS)

UNITS = {"wall_seconds": "s", "epochs": "epochs", "best_val_accuracy": "ratio", "trials": "trials"}


@dataclass(frozen=True, kw_only=True)
class Work:
    """Amount of work of a study."""

    trials: int
    epochs: int
    seed: int


def measure(quick: bool) -> list[Row]:
    """Measure all cases, once for each seed."""
    seeds, trials, epochs = (1, 4, 3) if quick else (3, 32, 27)
    # Downloaded and unpacked before any measurement.
    load_dataset("fashion_mnist", DATA, seed=0)
    outcomes: dict[str, list[dict[str, float]]] = {case: [] for case in CASES}
    for seed in range(seeds):
        first = seed % len(CASES)
        for case in CASES[first:] + CASES[:first]:
            work = Work(trials=trials, epochs=epochs, seed=seed)
            outcome = run_case(case, work)
            outcomes[case].append(outcome)
            # Print it now: a failure at the end of an hour would lose all results.
            told_so_far = ", ".join(f"{name} {value:,.4g}" for name, value in outcome.items())
            print(f"{case}, seed {seed}: {told_so_far}", flush=True)
    rows = []
    for case, of_seeds in outcomes.items():
        for metric, unit in UNITS.items():
            values = [outcome[metric] for outcome in of_seeds]
            rows.append(row(case, metric, statistics.mean(values), unit))
        for seed, outcome in enumerate(of_seeds if len(of_seeds) > 1 else []):
            rows += [row(f"{case}_seed_{seed}", m, outcome[m], unit) for m, unit in UNITS.items()]
    return rows


def row(case: str, metric: str, value: float, unit: str) -> Row:
    """Make a row of this benchmark."""
    return Row(benchmark="peers", case=case, metric=metric, value=value, unit=unit)


def run_case(case: str, work: Work) -> dict[str, float]:
    """Run one study in a process of its own; return a value for each of `UNITS`."""
    # Not in TMPDIR: Ray's sockets need short paths. A process of Ray's that is just ending may
    # still write there, which must not lose an hour's run.
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "TMPDIR": name,
            "SYNETUNE_FOLDER": name,
        }
        log = folder / "log.txt"
        command = command_of(case, work, folder)
        if case != "ours":
            subprocess.run(script("points.py", peer_options(work, folder)), check=True)
        with log.open("w") as file:
            began = time.perf_counter()
            code = subprocess.run(
                command, cwd=folder, env=environment, stdout=file, stderr=subprocess.STDOUT
            ).returncode
            seconds = time.perf_counter() - began
        if code:
            raise RuntimeError(f"{case} failed:\n{log.read_text()[-3000:]}")
        outcome = journaled(folder / "study") if case == "ours" else outcome_in(folder)
        return {"wall_seconds": seconds, **outcome}


def command_of(case: str, work: Work, folder: Path) -> list[str]:
    """Return the command that starts the study."""
    if case != "ours":
        return script(PEERS[case], peer_options(work, folder))
    options = {
        "address": "local",
        "max-concurrent": 2,
        "trials": work.trials,
        "max-epochs": work.epochs,
        "seed": work.seed,
        "dataset": "fashion_mnist",
        "data-dir": DATA,
        "storage-path": folder,
        "name": "study",
    }
    return script("ours.py", options)


def peer_options(work: Work, folder: Path) -> dict[str, object]:
    """Return the options that all scripts but ours have."""
    return {"trials": work.trials, "epochs": work.epochs, "seed": work.seed, "folder": folder}


def script(name: str, options: dict[str, object]) -> list[str]:
    """Return the command that runs one of `SCRIPTS`."""
    flags = [word for option, value in options.items() for word in (f"--{option}", str(value))]
    return [sys.executable, str(SCRIPTS / name), *flags]


def outcome_in(folder: Path) -> dict[str, float]:
    """Return the output of a peer's script."""
    outcome: dict[str, float] = json.loads((folder / "outcome.json").read_text())
    return outcome


def journaled(directory: Path) -> dict[str, float]:
    """Return the same from a journal of ours."""
    _, state = read_journal(directory / JOURNAL, Objective("val_accuracy", "max"))
    trials, best = state.trials.values(), state.best
    if best is None or any(trial.status == "failed" for trial in trials):
        raise RuntimeError("a trial of ours failed: the figures would mean nothing")
    # The epoch in which a trial diverged has no result.
    epochs = sum(trial.epochs + (trial.status == "diverged") for trial in trials)
    return {"trials": len(trials), "epochs": epochs, "best_val_accuracy": best.value}


if __name__ == "__main__":
    run_benchmark(measure, __doc__ or "")
