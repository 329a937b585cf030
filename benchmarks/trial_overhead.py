"""What a trial costs beside its training: ours against a plain Tuner with Ray's defaults.

Claim: at most 30 ms a trial with journal, TensorBoard and events on, and at least 30 times less
than Ray's default of one new process a trial with its three loggers.

Method: a trainable that does nothing for 4 epochs, two at a time on two cores. Ours runs 200 trials
and Ray's default 20, since each of those takes seconds; each figure is the whole of `fit()` over
the number of trials, the start of the processes counted in. Both in one Ray, one after the other.
"""

import io
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import ray
from ray import tune
from rich.console import Console
from table import Row, run_benchmark

from search_spaces.asha import ASHA
from search_spaces.random_search import RandomSearch
from search_spaces.spaces import LR_BATCH
from tune_jobs.runtime.flags import Flags
from tune_jobs.runtime.launch import TUNE_SETTINGS, run
from tune_jobs.runtime.study import Study

EPOCHS = 4


class Nothing(tune.Trainable):
    """Reports four epochs."""

    def setup(self, config: dict[str, Any]) -> None:
        """Begin."""
        self.epoch = 0

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin again."""
        self.epoch = 0
        return True

    def step(self) -> dict[str, Any]:
        """One epoch of nothing."""
        self.epoch += 1
        return {"epoch": self.epoch, "val_accuracy": 0.5, "done": self.epoch == EPOCHS}


def nothing(config: dict[str, Any]) -> None:
    """The same as Ray's documentation would write it."""
    for epoch in range(1, EPOCHS + 1):
        tune.report({"epoch": epoch, "val_accuracy": 0.5})


def ours(trials: int, folder: Path) -> float:
    """Seconds of a study by our launcher, from the built Tuner to the summary."""
    flags = Flags(trials=trials, max_epochs=EPOCHS, storage_path=folder, name="ours")
    study = Study(folder / "ours", flags, max_concurrent=2, metric="val_accuracy", mode="max")
    tuner = tune.Tuner(
        study.trainable(Nothing),
        tune_config=tune.TuneConfig(
            metric=study.metric,
            mode=study.mode,
            num_samples=trials,
            search_alg=study.searcher(RandomSearch(LR_BATCH, seed=0)),
            # No rung before the last epoch: every trial runs all four.
            scheduler=study.scheduler(ASHA(max_epochs=EPOCHS, grace_period=EPOCHS)),
            max_concurrent_trials=2,
            reuse_actors=True,
            trial_dirname_creator=study.dirname,
        ),
        run_config=study.run_config(),
    )
    study.open({"schema_version": 1}, [])
    began = time.perf_counter()
    code = run(Console(file=io.StringIO()), study, tuner, ["python", "benchmark"])
    seconds = time.perf_counter() - began
    if code or sum(trial.status == "finished" for trial in study.trials.values()) != trials:
        raise RuntimeError("not all trials finished: the figure would mean nothing")
    return seconds


def ray_default(trials: int, folder: Path) -> float:
    """Seconds of `Tuner.fit()` with Ray's defaults."""
    space = {"learning_rate": tune.loguniform(1e-4, 1e-1), "batch_size": tune.choice([32, 64])}
    tuner = tune.Tuner(
        nothing,
        param_space=space,
        tune_config=tune.TuneConfig(metric="val_accuracy", mode="max", num_samples=trials),
        run_config=tune.RunConfig(name="ray_default", storage_path=str(folder)),
    )
    began = time.perf_counter()
    results = tuner.fit()
    seconds = time.perf_counter() - began
    if results.errors or len(results) != trials:
        raise RuntimeError("not all trials finished: the figure would mean nothing")
    return seconds


def measure(quick: bool) -> list[Row]:
    """Both cases, Ray's default first."""
    default_trials, our_trials = (6, 100) if quick else (20, 200)
    with tempfile.TemporaryDirectory() as name:
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
        default = ray_default(default_trials, Path(name)) / default_trials * 1000
        os.environ.update(TUNE_SETTINGS)
        own = ours(our_trials, Path(name)) / our_trials * 1000
        ray.shutdown()
    rows = [("ours", "ms_per_trial", own, "ms"), ("ray_default", "ms_per_trial", default, "ms")]
    rows.append(("ours", "times_less_than_ray_default", default / own, "x"))
    return [
        Row(benchmark="trial_overhead", case=case, metric=metric, value=value, unit=unit)
        for case, metric, value, unit in rows
    ]


if __name__ == "__main__":
    run_benchmark(measure, __doc__ or "")
