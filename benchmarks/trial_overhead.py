"""Cost of a trial beside its training: ours against a plain Tuner with Ray's defaults.

Claim: at most 30 ms a trial with journal, TensorBoard and events on, 45 ms with TPE's model, and at
least 30 times less than Ray's default of one new process a trial with its three loggers. A result's
curves and its line of HPARAMS cost the driver at most 1 ms, with 1,000 trials and with 1,000 epochs
of one. A training script with three more lines (`tc.arguments`, `epochs`, `report`) costs at most
40 ms a trial; an unchanged command costs a process start, and no more than Syne Tune's local
backend, which starts a process per trial too.

Method: a trainable that does nothing for 4 epochs, two at a time on two cores. Ours runs 200 trials
and Ray's default 20, since each of those takes seconds; each figure is the whole of `fit()`, of
ours with table and summary, over the number of trials, including the start of the processes. Both
in one Ray, one after the other. For TensorBoard, the events of trials that start, report and end
are passed to the callback that writes its files, without Ray; its total time over the number of
results. The script, the command and Syne Tune's trials report four empty epochs in the same way,
two at a time; `process` is the same command started without any study. Syne Tune's reporter is its
documented one, its loop sleeps 0.1 s instead of the default 5 s.
"""

import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray import tune
from rich.console import Console
from table import Row, run_benchmark

from search_spaces.objective import Objective
from search_spaces.searchers.base import StudySearcher
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.searchers.tpe_search import TPESearch
from search_spaces.spaces import LR_BATCH, TRAINING
from search_spaces.trial_events import Ended, Event, Result, Suggested
from tune_cluster import Options, TuneConfig, Tuner
from tune_cluster.callbacks.hparams import Columns
from tune_cluster.callbacks.tensorboard import TensorBoard
from tune_cluster.execution.command_line import Command
from tune_cluster.execution.launcher import prepare
from tune_cluster.execution.ray_tune.command import command_trainable
from tune_cluster.execution.ray_tune.script import script_trainable
from tune_cluster.execution.ray_tune.settings import TUNE_SETTINGS
from tune_cluster.study.events import Closed, Session, Started
from tune_cluster.study.state import StudyState
from tune_cluster.trial.command.command import Command as TrialCommand

EPOCHS = 4

SCRIPTS = Path(__file__).with_name("peer_scripts")

METRICS = (
    *("train_loss", "train_accuracy", "val_loss", "val_accuracy", "val_precision", "val_recall"),
    *("val_f1", "learning_rate", "updates", "epoch_seconds", "samples_per_second"),
)
"""Metrics of one of our results."""


class Nothing(tune.Trainable):
    """Reports four epochs."""

    reuse_actors = True

    def setup(self, config: dict[str, Any]) -> None:
        """Begin."""
        self.epoch = 0

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Start over."""
        self.epoch = 0
        return True

    def step(self) -> dict[str, Any]:
        """Do nothing for an epoch."""
        self.epoch += 1
        return {"epoch": self.epoch, "val_accuracy": 0.5, "done": self.epoch == EPOCHS}


def nothing(config: dict[str, Any]) -> None:
    """Report four epochs, as in Ray's documentation."""
    for epoch in range(1, EPOCHS + 1):
        tune.report({"epoch": epoch, "val_accuracy": 0.5})


def ours(
    strategy: StudySearcher,
    name: str,
    trials: int,
    folder: Path,
    trainable: Any = Nothing,
) -> float:
    """Return milliseconds per trial of a study, from the built Tuner to the summary."""
    tuner = Tuner(
        trainable,
        # No trial is stopped: every trial runs all four epochs.
        tune_config=TuneConfig(
            metric="val_accuracy", mode="max", search_alg=strategy, reuse_actors=True
        ),
    )
    options = Options(
        trials=trials,
        max_epochs=EPOCHS,
        max_concurrent=2,
        storage_path=str(folder),
        name=name,
        report=False,
    )
    command, console = Command(options, {}), Console(file=io.StringIO())
    with ExitStack() as held:
        begun = prepare(command, tuner, None, held, console=console, argv=None)
        assert begun is not None
        began = time.perf_counter()
        result = begun.run()
        seconds = time.perf_counter() - began
    if sum(trial.status == "finished" for trial in result) != trials:
        raise RuntimeError("not all trials finished: the figure would mean nothing")
    return seconds / trials * 1000


def ray_default(trials: int, folder: Path) -> float:
    """Return the seconds of `Tuner.fit()` with Ray's defaults."""
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


def command() -> Callable[[dict[str, Any]], None]:
    """Return the command that prints, as a trainable."""
    words = (sys.executable, str(SCRIPTS / "printing.py"))
    return command_trainable(TrialCommand(words, "val_accuracy"))


def process(trials: int) -> float:
    """Return milliseconds per run of the command alone, two at a time."""
    began = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        words = [sys.executable, str(SCRIPTS / "printing.py")]
        runs = [
            pool.submit(subprocess.run, words, check=True, stdout=subprocess.PIPE)
            for _ in range(trials)
        ]
    for run in runs:
        run.result()
    return (time.perf_counter() - began) / trials * 1000


def syne_tune(trials: int, folder: Path) -> float:
    """Return milliseconds per trial of Syne Tune's local backend."""
    # Syne Tune reads its home folder on import.
    os.environ["SYNETUNE_FOLDER"] = str(folder / "syne-tune")
    from syne_tune import StoppingCriterion
    from syne_tune import Tuner as SyneTuner
    from syne_tune.backend import LocalBackend
    from syne_tune.config_space import choice, loguniform
    from syne_tune.optimizer.baselines import RandomSearch as SyneRandomSearch

    space = {"learning_rate": loguniform(1e-4, 1e-1), "batch_size": choice([32, 64])}
    tuner = SyneTuner(
        trial_backend=LocalBackend(entry_point=str(SCRIPTS / "reporting.py")),
        scheduler=SyneRandomSearch(space, metrics=["val_accuracy"], do_minimize=False),
        stop_criterion=StoppingCriterion(max_num_trials_started=trials - 1),
        wait_trial_completion_when_stopping=True,
        n_workers=2,
        sleep_time=0.1,
    )
    began = time.perf_counter()
    tuner.run()
    took = time.perf_counter() - began
    # Syne Tune has asked nvidia-smi there.
    Path("std.out").unlink(missing_ok=True)
    return took / trials * 1000


def milliseconds_a_result(trials: int, epochs: int, folder: Path) -> float:
    """Return milliseconds per result for TensorBoard, including starts and ends of trials."""
    study = folder / f"written-{trials}"
    (study / "trials").mkdir(parents=True)
    columns = Columns(TRAINING, "val_accuracy", promotes=True)
    search = RandomSearch(TRAINING, seed=0)
    points = [dict(search.suggest(index)) for index in range(trials)]
    state = StudyState(Objective("val_accuracy", "max"))
    began = time.perf_counter()
    callback = TensorBoard(study / "trials", columns)

    def tell(event: Event) -> None:
        timed = replace(event, time=time.time())
        state.apply(timed)
        callback.on_event(timed, state, replay=False)

    tell(Session())
    for index, config in enumerate(points):
        tell(Suggested(trial=index, config=config))
        tell(Started(trial=index))
        for epoch in range(1, epochs + 1):
            metrics = dict.fromkeys(METRICS, epoch / 10**4)
            tell(Result(trial=index, epoch=epoch, metrics={**metrics}))
        tell(Ended(trial=index, epoch=epochs, status="stopped", rung=epochs))
    tell(Closed(why="all trials"))
    return (time.perf_counter() - began) / (trials * epochs) * 1000


def measure(quick: bool) -> list[Row]:
    """Measure both cases, Ray's default first."""
    default_trials, our_trials = (6, 100) if quick else (20, 200)
    with tempfile.TemporaryDirectory() as name:
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
        default = ray_default(default_trials, Path(name)) / default_trials * 1000
        os.environ.update(TUNE_SETTINGS)
        random = ours(RandomSearch(LR_BATCH, seed=0), "random", our_trials, Path(name))
        tpe = ours(TPESearch(LR_BATCH, seed=0), "tpe", our_trials, Path(name))
        script = script_trainable(str(SCRIPTS / "three_lines.py"), [])
        lines = ours(RandomSearch(LR_BATCH, seed=0), "lines", our_trials, Path(name), script)
        words = ours(RandomSearch(LR_BATCH, seed=0), "words", our_trials, Path(name), command())
        ray.shutdown()
        alone, syne = process(our_trials), syne_tune(default_trials, Path(name))
        many, long = (
            milliseconds_a_result(1000, EPOCHS, Path(name)),
            milliseconds_a_result(1, 1000, Path(name)),
        )
    rows = [
        ("ours", "ms_per_trial", random, "ms"),
        ("ours_tpe", "ms_per_trial", tpe, "ms"),
        ("ours_script", "ms_per_trial", lines, "ms"),
        ("ours_command", "ms_per_trial", words, "ms"),
        ("process", "ms_per_trial", alone, "ms"),
        ("syne_tune", "ms_per_trial", syne, "ms"),
        ("ray_default", "ms_per_trial", default, "ms"),
        ("ours", "times_less_than_ray_default", default / random, "x"),
        ("tensorboard_1000_trials", "ms_per_result", many, "ms"),
        ("tensorboard_1000_epochs", "ms_per_result", long, "ms"),
    ]
    return [
        Row(benchmark="trial_overhead", case=case, metric=metric, value=value, unit=unit)
        for case, metric, value, unit in rows
    ]


if __name__ == "__main__":
    run_benchmark(measure, __doc__ or "")
