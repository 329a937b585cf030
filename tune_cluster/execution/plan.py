"""The plan of a study, shown before it begins: trials, rungs, cost; and the question whether to
start."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress

from rich.console import Console
from rich.filesize import decimal
from rich.prompt import Confirm
from rich.table import Table
from rich.text import Text

from search_spaces.epochs_scaling import scales_epochs
from search_spaces.objective import Expectation
from search_spaces.searchers.earlier_points import FIRST
from tune_cluster.callbacks.console import spelled
from tune_cluster.duration import duration
from tune_cluster.execution import baselines
from tune_cluster.execution.cost_estimate import (
    CostEstimate,
    check_room,
    divide_quota,
    estimate_cost,
)
from tune_cluster.execution.data_look import WARNING, DataLook
from tune_cluster.execution.options import Options
from tune_cluster.execution.ray_tune.study import Study
from tune_cluster.execution.summary import typed
from tune_cluster.plain_text import one_line
from tune_cluster.study.stored import strangers
from tune_cluster.study.study_file import DATA_FILE

NAME_COLUMN_CHARACTERS = 10
"""Width of the column of names, in characters."""


def show_plan(
    console: Console, study: Study, estimate: CostEstimate, look: DataLook | None = None
) -> None:
    """Print the plan, its cost, notes, and what was found in the data."""
    dataset = study.dataset
    if dataset is not None:
        named = dataset.name == dataset.source
        place = "" if named else f", from {dataset.source}"
        show_line(console, "data", f"{dataset.name}{place}")
        for note in getattr(dataset, "notes", ()):
            show_line(console, "data", note)
    for notice in study.notices:
        show_line(console, "NOTICE", notice, style="bold red")
    for name, text in baselines.plan_lines(study):
        show_line(console, name, text)
    if look is not None:
        for name, text in look.lines(typed(study.directory / DATA_FILE)):
            show_line(console, name, text, style="bold red" if name == WARNING else "")
    for name, text in (*plan_lines(study, estimate), *cost_lines(study, estimate)):
        show_line(console, name, text)
    for note in (*study.notes, *study.scheduler.notes(study.total)):
        show_line(console, "note", note)
    if any(parameter.name == "batch_size" for parameter in study.space.parameters):
        coupled = scales_epochs(study.space)
        show_line(
            console,
            "note",
            "trials are compared after equal shares of their runs: a large batch means more passes "
            "over the data by then (epochs_scaling)"
            if coupled
            else "trials are compared after equal epochs: a small batch means more updates by then "
            "(see `updates`)",
        )


def show_line(
    console: Console, name: str, text: str, *, style: str = "", typed: bool = False
) -> None:
    """Print a name and a text, on a terminal in two columns; a `typed` text, which the user copies,
    is never broken into lines."""
    text = one_line(text)
    if typed or not console.is_terminal:
        line = f"{name:<{NAME_COLUMN_CHARACTERS}}{text}"
        console.print(line, style=style, soft_wrap=True, highlight=False, markup=False)
        return
    columns = Table.grid()
    columns.add_column(width=NAME_COLUMN_CHARACTERS)
    columns.add_row(Text(name), Text(text))
    console.print(columns, style=style)


def plan_lines(study: Study, estimate: CostEstimate) -> Iterator[tuple[str, str]]:
    """Yield lines on what will be run."""
    options = study.options
    most = f"at most {study.max_epochs} epochs"
    yield (
        "trials",
        f"{study.total}, {study.max_concurrent} at once, each with {options.cpus_per_trial:g} CPU "
        f"and {options.gpus_per_trial:g} GPU, "
        f"{'until its function returns' if estimate.open_end else most}",
    )
    if study.space.fixed:
        yield "fixed", spelled(dict(study.space.fixed))
    if study.options.resume is None:
        searcher = study.searcher
        first = [*searcher.start_points, *searcher.earlier_points.points[:FIRST]]
        for trial, config in enumerate(first):
            names = {parameter.name for parameter in study.space.parameters}
            shown = {name: value for name, value in config.items() if name in names}
            yield "first", f"trial {trial} has {spelled(shown)}"
    if study.searcher.reason:
        yield "searcher", study.searcher.reason
    if study.searcher.learned:
        yield "learned", study.searcher.learned
    if estimate.expectation.reaching:
        yield from rung_table(estimate.expectation)


def rung_table(expectation: Expectation) -> Iterator[tuple[str, str]]:
    """Yield how many trials are expected to reach each rung, and the last epoch."""
    counts = {f"{rung:,}": f"{count:,.0f}" for rung, count in expectation.reaching.items()}
    widths = [max(map(len, pair)) + 2 for pair in counts.items()]
    rungs, reaching = (
        "".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in (counts, counts.values())
    )
    yield "rungs", f"epoch                {rungs}"
    yield "", f"trials that get there{reaching}"


def cost_lines(study: Study, estimate: CostEstimate) -> Iterator[tuple[str, str]]:
    """Yield lines on the known costs."""
    whole = study.total * study.max_epochs
    rest = f", of {whole:,} if none were stopped" if estimate.expectation.reaching else ""
    if not estimate.open_end:
        yield "epochs", f"about {estimate.epochs:,.0f} of all trials together{rest}"
    for rehearsal in estimate.rehearsals:
        if rehearsal.error:
            config = spelled(rehearsal.config, without=dict(study.space.fixed))
            yield "NOTE", f"{rehearsal.error} where it was tried, at {config or 'what is fixed'}"
    if estimate.seconds is None or estimate.gpu_hours is None or estimate.cpu_hours is None:
        why = "no limit is given for one" if estimate.open_end else "no step of one was tried"
        yield "time", f"not known before the first trials have ended: {why}"
        return
    yield from epoch_lines(study, estimate)
    used = (
        f"{hours(estimate.gpu_hours)} GPU" if estimate.gpus else f"{hours(estimate.cpu_hours)} CPU"
    )
    yield "time", f"about {duration(estimate.seconds)}, {used}-hours"
    if estimate.checkpoint_bytes and estimate.study_bytes:
        one, most = decimal(round(estimate.checkpoint_bytes)), decimal(round(estimate.study_bytes))
        yield "disk", f"{one} a checkpoint, up to {most} for all that are kept"
    if estimate.money is not None:
        yield "money", f"about {estimate.money:,.2f}, at {estimate.per_gpu_hour:g} a GPU-hour"


def epoch_lines(study: Study, estimate: CostEstimate) -> Iterator[tuple[str, str]]:
    """Yield the time of an epoch and a step, of the cheapest and the most expensive
    configuration."""
    measured, fixed = estimate.measured, dict(study.space.fixed)
    ends = {"cheapest": measured[0], "dearest": measured[-1]}
    for name, one in ends.items():
        text = precise(one.epoch_seconds)
        text += f", {precise(one.step_seconds)} a step" if one.step_seconds else ""
        if len(measured) == 1:
            yield "epoch", text
            return
        config = spelled(one.config, without=fixed)
        yield "epoch", f"{text}, at the {name} of {len(measured)} tried: {config}"


def precise(seconds: float) -> str:
    """Return a time as `4.1 ms`, `2.5 s` or `2 min 05 s`."""
    if seconds < 1:
        return f"{1000 * seconds:.3g} ms"
    return f"{seconds:.1f} s" if seconds < 60 else duration(seconds)


def hours(count: float) -> str:
    """Return a number of hours as `0.07`, `3.5` or `1,200`."""
    return f"{count:.2g}" if count < 10 else f"{count:,.0f}"


UNASKED_SECONDS = 60.0
"""Seconds below which a study starts without a question: ending it is as fast as answering. The
same holds for smoke tests and the rest of most resumed studies."""


def confirm_start(
    console: Console, study: Study, resume: str, *, asked: bool, look: DataLook | None = None
) -> tuple[bool, CostEstimate | None]:
    """Show what will be run and its cost, and ask whether to start.

    Args:
        console: console for the output.
        study: study, not open yet.
        resume: resume command.
        asked: whether a user may be there to answer.
        look: what was found in the data of a new study.

    Returns:
        Whether to start, and the estimate; None if nothing is left to be run.
    """
    if study.options.resume is not None and (notice := strangers(study.directory)):
        show_line(console, "NOTICE", notice, style="bold red")
    if study.complete or study.stopper.stops():
        divide_quota(study)
        return True, None
    options = study.options
    # With --yes, or in a smoke test, no step is tried for an estimate.
    estimate = estimate_cost(study, step=asked and not (options.yes or options.smoke_test))
    divide_quota(study, estimate.largest_checkpoint)
    check_room(study, estimate)
    show_plan(console, study, estimate, look)
    show_line(console, "resume", resume, typed=True)
    console.print()
    if asked and not confirmed(console, options, estimate.seconds):
        console.print("not started; nothing of it is left")
        return False, None
    return True, estimate


def confirmed(console: Console, options: Options, seconds: float | None) -> bool:
    """Ask the user at the terminal whether to start a study of `seconds` seconds.

    Return True without a question with `--yes`, in a smoke test, for less than a minute, and
    without a terminal. The end of the input (Ctrl-D) is a no.
    """
    short = seconds is not None and seconds < UNASKED_SECONDS
    seen = sys.stdin is not None and sys.stdin.isatty() and console.is_terminal
    if options.yes or options.smoke_test or short or not seen:
        return True
    with suppress(EOFError):
        return Confirm.ask("start?", console=console, default=False)
    console.print()
    return False
