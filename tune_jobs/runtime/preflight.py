"""What a person is shown before a study begins: the rungs, the resources, the time."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import ray
from rich.console import Console
from rich.table import Table

from search_spaces.asha import ASHA
from search_spaces.expectation import Expectation
from tune_jobs.runtime.study import Study
from tune_jobs.runtime.terminal import duration, spelled

WARM_UP_CONFIGS = 4
"""Points along the diagonal of the space whose epoch is timed, half a second each: their mean
stands for the study's."""


@dataclass(frozen=True)
class Plan:
    """What is expected of a study."""

    expectation: Expectation | None
    """None without rungs."""
    epoch_seconds: float | None
    """Mean seconds of an epoch of one trial alone; None where the trainable cannot tell."""
    seconds: float | None
    """Of what is left to be run."""
    controls: Controls | None = None
    """None where the rungs are not audited."""


@dataclass(frozen=True)
class Controls:
    """The trials that are finished after a rung has stopped them."""

    count: float
    epochs: float
    """That they take, of all of them together."""


def make_plan(study: Study) -> Plan:
    """Simulates the rungs and times a warm-up."""
    expectation = None
    scheduler = study.parts.scheduler
    controls = None
    if isinstance(scheduler, ASHA):
        expectation = scheduler.expected(trials=study.total, concurrent=study.max_concurrent)
        if scheduler.audit > 0:
            controls = expected_controls(expectation, scheduler.audit)
    space = study.space
    fractions = [(place + 0.5) / WARM_UP_CONFIGS for place in range(WARM_UP_CONFIGS)]
    configs = [space.point([u] * len(space.parameters)) for u in fractions]
    epoch_seconds = warm_up(study, configs)
    seconds = None
    if epoch_seconds is not None:
        ended = sum(trial.ended for trial in study.trials.values())
        epochs = (
            expectation.epochs if expectation is not None else float(study.total * study.max_epochs)
        )
        if controls is not None:
            epochs += controls.epochs
        epochs = min(epochs, study.flags.epoch_budget or epochs)
        left = epochs * (1 - ended / study.total)
        left += sum(
            study.max_epochs - max(trial.control_results, default=trial.epochs)
            for trial in study.trials.values()
            if trial.control_left
        )
        seconds = left * epoch_seconds / min(study.max_concurrent, study.total)
    return Plan(expectation, epoch_seconds, seconds, controls)


def rung_notes(asha: ASHA, trials: int) -> list[str]:
    """What a person may not expect of the rule by which trials are stopped."""
    rungs, notes = asha.rungs, []
    if rungs.rule == "top" and not asha.rule_given:
        notes.append(
            "the trainable has no save_checkpoint to go on from: a trial that is stopped is not "
            "promoted later (rung rule top)"
        )
    needed = rungs.reduction_factor ** len(rungs.milestones)
    if rungs.rule == "promotion" and trials < needed:
        notes.append(
            f"by rung rule promotion one trial in {needed} is trained for {rungs.max_epochs} "
            f"epochs, of {trials} perhaps none: give {needed} trials or more, a longer grace "
            "period, or rung rule top"
        )
    return notes


def expected_controls(expectation: Expectation, share: float) -> Controls:
    """How many of the trials that are expected to be stopped are finished after all, if `share` of
    them are, and what that takes."""
    stations = sorted(expectation.reaching)
    count = epochs = 0.0
    for rung, ahead in itertools.pairwise(stations):
        stopped = share * (expectation.reaching[rung] - expectation.reaching[ahead])
        count += stopped
        epochs += stopped * (stations[-1] - rung)
    return Controls(count, epochs)


def warm_up(study: Study, configs: list[dict[str, Any]]) -> float | None:
    """Mean seconds of an epoch, or None where the trainable has no `epoch_seconds`.

    On a CPU it is timed here, where torch is imported already (a worker of its own would cost 5 s,
    and Tune's trials would not take it over); on a GPU, where a trial will run.
    """
    timed = getattr(study.parts.trainable, "epoch_seconds", None)
    if timed is None or study.parts.dataset is None:
        return None
    data = study.parts.dataset.search
    if study.flags.gpus_per_trial == 0:
        seconds = [timed(config, data) for config in configs]
    else:
        resources = {"num_cpus": study.flags.cpus_per_trial, "num_gpus": study.flags.gpus_per_trial}
        task, shared = ray.remote(**resources)(timed), ray.put(data)
        seconds = [ray.get(task.remote(config, shared, on_gpu=True)) for config in configs]
    return float(sum(seconds) / len(seconds))


def show_plan(console: Console, study: Study, plan: Plan) -> None:
    """Prints the plan, and what may be missed of it."""
    if study.parts.dataset is not None:
        dataset = study.parts.dataset
        console.print(
            f"data      {dataset.name}, from {dataset.source}", soft_wrap=True, markup=False
        )
    for notice in study.parts.notices:
        console.print(f"NOTICE    {notice}", style="bold red", soft_wrap=True, markup=False)
    flags = study.flags
    console.print(
        f"trials    {study.total}, {study.max_concurrent} at once, each with "
        f"{flags.cpus_per_trial:g} CPU and {flags.gpus_per_trial:g} GPU, at most "
        f"{study.max_epochs} epochs",
        highlight=False,
    )
    if study.space.fixed:
        fixed = spelled(dict(study.space.fixed))
        console.print(f"fixed     {fixed}", soft_wrap=True, highlight=False, markup=False)
    if study.learned:
        console.print(f"learned   {study.learned}", soft_wrap=True, highlight=False)
    if plan.expectation is not None:
        table = Table("rung (epochs)", "trials expected to reach it", box=None, pad_edge=False)
        for rung, reaching in plan.expectation.reaching.items():
            end = " (the last)" if rung == study.max_epochs else ""
            table.add_row(f"{rung}{end}", f"{reaching:.0f}")
        console.print(table)
    if plan.controls is not None:
        console.print(
            f"controls  about {plan.controls.count:.1f} stopped trials are finished at the end: "
            f"{plan.controls.epochs:.0f} epochs more",
            soft_wrap=True,
            highlight=False,
        )
    if plan.seconds is None or plan.epoch_seconds is None:
        console.print("time      not known before the first trials have ended")
    else:
        console.print(
            f"time      about {duration(plan.seconds)}, at {plan.epoch_seconds:.1f} s an epoch",
            highlight=False,
        )
    if isinstance(study.parts.scheduler, ASHA):
        for note in rung_notes(study.parts.scheduler, study.total):
            console.print(f"note      {note}", soft_wrap=True, highlight=False)
    if any(parameter.name == "batch_size" for parameter in study.space.parameters):
        console.print(
            "note      trials are compared after equal epochs: a small batch has had more updates "
            "by then (see `updates`)",
            soft_wrap=True,
            highlight=False,
        )
