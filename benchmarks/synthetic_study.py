"""Studies that nobody has trained: the files are those that the engine writes, made of its own
events, searcher and rungs; the curves come from a formula."""

import heapq
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from search_spaces.schedulers.asha import ASHA
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.spaces import TRAINING
from search_spaces.trial_events import Ended, Event, Result, Suggested
from tune_cluster.study.events import Closed, SavedCheckpoint, Session, Started
from tune_cluster.study.journal import JOURNAL
from tune_cluster.study.lines import sealed
from tune_cluster.study.study_file import write_study_file

EPOCHS = 27
METRIC = "val_accuracy"
SPACE = TRAINING.fix(epochs=EPOCHS, patience=0)

PLACES, NODES = 16, 4
"""Trials that run at once, and the nodes that they run on."""

UPDATES, LOSS_EVERY = 375, 50
"""Updates of an epoch, and of two reported losses."""

START = 1.79e9
"""Time at which a study begins, in seconds since 1970."""


def write_synthetic(folder: Path, trials: int, *, stops: bool, closed: bool = True) -> int:
    """Write a study of the MLP's training hyperparameters; return the number of its results.

    Args:
        folder: folder of the study, which is made.
        trials: number of trials.
        stops: whether rungs stop trials, as ASHA does; else each trial has 27 epochs.
        closed: whether the driver has ended.
    """
    (folder / "trials").mkdir(parents=True)
    searcher = RandomSearch(SPACE, seed=0)
    scheduler = ASHA(max_epochs=EPOCHS, grace_period=1, rung_rule="top")
    strategy = searcher.describe() | (scheduler.describe() if stops else {})
    flags = {"trials": trials, "max_epochs": EPOCHS, "storage_path": str(folder.parent)}
    about = {
        "schema_version": 1,
        "job": "synthetic",
        "command": ["python", "synthetic.py"],
        "seed": 0,
        "metric": METRIC,
        "mode": "max",
        "flags": flags,
        "options": {},
        "space": SPACE.describe(),
        "strategy": strategy,
        "dataset": {"name": "", "source": "", "notice": "", "fingerprint": ""},
        "created": "2026-11-28T00:00:00Z",
    }
    results = 0
    with (folder / JOURNAL).open("wb") as journal:
        for number, event in enumerate(_events(searcher, scheduler, trials, stops, closed), 1):
            journal.write(sealed(event, number))
            results += isinstance(event, Result)
    write_study_file(folder, about)
    return results


def write_growth(journal: Path, trials: int) -> None:
    """Append what a driver writes while `PLACES` further trials have their first epoch.

    Args:
        journal: journal of a study that `write_synthetic` has made, without its end.
        trials: number of its trials.
    """
    with journal.open("rb") as file:
        lines = sum(1 for _ in file)
    searcher, rng = RandomSearch(SPACE, seed=0), np.random.default_rng(trials)
    events: list[Event] = []
    for trial in range(trials, trials + PLACES):
        config = searcher.suggest(trial)
        result = _result(trial, 1, _ends(config, rng), rng)
        events += [Suggested(trial=trial, config=config), Started(trial=trial), result]
    now = round(time.time(), 3)
    with journal.open("ab") as file:
        for number, event in enumerate(events, lines + 1):
            file.write(sealed(replace(event, time=now), number))


def _events(
    searcher: RandomSearch, scheduler: ASHA, trials: int, stops: bool, closed: bool
) -> Iterator[Event]:
    yield Session(command=["--yes"], resumed=False, notices=[], time=START)
    rng = np.random.default_rng(0)
    # The next event of each trial that runs: when, which trial, its epoch and its curve.
    running: list[tuple[float, int, int, tuple[float, float]]] = []
    begun = 0
    now = 0.0

    def begin() -> Iterator[Event]:
        nonlocal begun
        config = searcher.suggest(begun)
        at = round(START + now, 3)
        yield Suggested(trial=begun, config=config, time=at)
        yield Started(trial=begun, time=at)
        heapq.heappush(running, (now + rng.uniform(1.5, 2.5), begun, 1, _ends(config, rng)))
        begun += 1

    while begun < min(PLACES, trials):
        yield from begin()
    while running:
        now, trial, epoch, curve = heapq.heappop(running)
        at = round(START + now, 3)
        result = _result(trial, epoch, curve, rng)
        yield replace(result, time=at)
        path = f"trials/{trial:04d}/checkpoint_{epoch:06d}"
        yield SavedCheckpoint(trial=trial, epoch=epoch, path=path, time=at)
        value = result.metrics[METRIC]
        assert value is not None
        decision = scheduler.memory.report(trial, epoch, value) if stops else None
        if decision is not None:
            yield replace(decision, time=at)
        if decision is not None and decision.stop:
            yield Ended(trial=trial, epoch=epoch, status="stopped", rung=decision.rung, time=at)
        elif epoch == EPOCHS:
            yield Ended(trial=trial, epoch=epoch, status="finished", time=at)
        else:
            heapq.heappush(running, (now + rng.uniform(1.5, 2.5), trial, epoch + 1, curve))
            continue
        if begun < trials:
            yield from begin()
    if closed:
        yield Closed(why="all trials", time=round(START + now, 3))


def _ends(config: Mapping[str, object], rng: np.random.Generator) -> tuple[float, float]:
    """Return accuracy at the end of a curve, and the epochs in which it comes near it."""
    rate = config["learning_rate"]
    assert isinstance(rate, float)
    decades = abs(math.log10(rate) + 2.5)
    return 0.9 - 0.03 * decades**2 + rng.normal(0, 0.003), 1 + decades * rng.uniform(1, 2)


def _result(trial: int, epoch: int, curve: tuple[float, float], rng: np.random.Generator) -> Result:
    end, speed = curve
    accuracy = end - 0.4 * math.exp(-epoch / speed) + rng.normal(0, 0.002)
    loss = 2.2 * math.exp(-epoch / speed) + 0.3 * (1 - end)
    steps = range(
        math.ceil((epoch - 1) * UPDATES / LOSS_EVERY + 1e-9), epoch * UPDATES // LOSS_EVERY + 1
    )
    metrics: dict[str, float | bool | None] = {
        "epoch": epoch,
        "train_loss": loss,
        "train_accuracy": accuracy + 0.01,
        "val_loss": loss + 0.002 * epoch,
        "val_accuracy": accuracy,
        "val_precision": accuracy + rng.normal(0, 0.001),
        "val_recall": accuracy,
        "val_f1": accuracy - rng.normal(0, 0.001),
        "learning_rate": 0.01 * (1 - epoch / (EPOCHS + 1)),
        "updates": epoch * UPDATES,
        "epoch_seconds": rng.uniform(1.5, 2.5),
        "samples_per_second": rng.uniform(2e4, 3e4),
    }
    losses = [[step * LOSS_EVERY, loss + rng.normal(0, 0.1)] for step in steps]
    return Result(
        trial=trial,
        epoch=epoch,
        node=f"{trial % NODES:08x}",
        metrics=metrics,
        step_losses=losses,
    )
