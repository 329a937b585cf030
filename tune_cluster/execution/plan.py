"""What a person is shown before a study begins: its trials, its rungs, its price."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from search_spaces.schedulers.expectation import Expectation
from tune_cluster.callbacks.console import duration, spelled
from tune_cluster.execution.price import Price
from tune_cluster.execution.ray_tune.study import Study
from tune_cluster.plain_text import one_line

NAMES = 10
"""Characters of the column of names."""


def show_plan(console: Console, study: Study, price: Price) -> None:
    """Prints the plan, what it costs, and what may be missed of it."""
    dataset = study.parts.dataset
    if dataset is not None:
        show_line(console, "data", f"{dataset.name}, from {dataset.source}")
    for notice in study.parts.notices:
        show_line(console, "NOTICE", notice, style="bold red")
    for name, text in (*plan_lines(study, price), *price_lines(study, price)):
        show_line(console, name, text)
    for note in study.parts.scheduler.notes(study.total):
        show_line(console, "note", note)
    if any(parameter.name == "batch_size" for parameter in study.space.parameters):
        show_line(
            console,
            "note",
            "trials are compared after equal epochs: a small batch has had more updates by then "
            "(see `updates`)",
        )


def show_line(
    console: Console, name: str, text: str, *, style: str = "", typed: bool = False
) -> None:
    """A name and what is to be said of it, on a terminal in a column of its own.

    Args:
        console: where to.
        name: short.
        text: which may be longer than the terminal is wide.
        style: of rich.
        typed: whether the text is to be copied and typed, so that no line of it may be broken.
    """
    text = one_line(text)
    if typed or not console.is_terminal:
        line = f"{name:<{NAMES}}{text}"
        console.print(line, style=style, soft_wrap=True, highlight=False, markup=False)
        return
    columns = Table.grid()
    columns.add_column(width=NAMES)
    columns.add_row(Text(name), Text(text))
    console.print(columns, style=style)


def plan_lines(study: Study, price: Price) -> Iterator[tuple[str, str]]:
    """What will be run."""
    options = study.options
    yield (
        "trials",
        f"{study.total}, {study.max_concurrent} at once, each with {options.cpus_per_trial:g} CPU "
        f"and {options.gpus_per_trial:g} GPU, at most {study.max_epochs} epochs",
    )
    if study.space.fixed:
        yield "fixed", spelled(dict(study.space.fixed))
    if study.learned:
        yield "learned", study.learned
    if price.expectation.reaching:
        yield from rung_table(price.expectation)
    if price.controls is not None:
        yield (
            "controls",
            f"about {price.controls.count:.1f} stopped trials are finished at the end: "
            f"{price.controls.epochs:.0f} epochs more",
        )


def rung_table(expectation: Expectation) -> Iterator[tuple[str, str]]:
    """How many trials are expected to get to each rung, and to the last epoch."""
    counts = {f"{rung:,}": f"{count:,.0f}" for rung, count in expectation.reaching.items()}
    widths = [max(map(len, pair)) + 2 for pair in counts.items()]
    rungs, reaching = (
        "".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in (counts, counts.values())
    )
    yield "rungs", f"epoch                {rungs}"
    yield "", f"trials that get there{reaching}"


def price_lines(study: Study, price: Price) -> Iterator[tuple[str, str]]:
    """What it will cost, as far as that is known."""
    whole = study.total * study.max_epochs
    rest = f", of {whole:,} if none were stopped" if price.expectation.reaching else ""
    yield "epochs", f"about {price.epochs:,.0f} of all trials together{rest}"
    for rehearsal in price.rehearsals:
        if rehearsal.error:
            config = spelled(rehearsal.config, without=dict(study.space.fixed))
            yield "NOTE", f"{rehearsal.error} where it was tried, at {config or 'what is fixed'}"
    if price.seconds is None or price.gpu_hours is None or price.cpu_hours is None:
        there = hasattr(study.parts.trainable, "measure")
        lacking = "nothing to measure it on is free" if there else "the trainable has no measure()"
        yield "time", f"not known before the first trials have ended: {lacking}"
        return
    yield from epoch_lines(study, price)
    used = f"{hours(price.gpu_hours)} GPU" if price.gpus else f"{hours(price.cpu_hours)} CPU"
    yield "time", f"about {duration(price.seconds)}, {used}-hours"
    if price.checkpoint_bytes and price.study_bytes:
        one, most = decimal(round(price.checkpoint_bytes)), decimal(round(price.study_bytes))
        yield "disk", f"{one} a checkpoint, up to {most} for all that are kept"
    if price.money is not None:
        yield "money", f"about {price.money:,.2f}, at {price.per_gpu_hour:g} a GPU-hour"


def epoch_lines(study: Study, price: Price) -> Iterator[tuple[str, str]]:
    """What an epoch and a step take, of the cheapest and of the dearest configuration."""
    measured, fixed = price.measured, dict(study.space.fixed)
    ends = {"cheapest": measured[0], "dearest": measured[-1]}
    for name, one in ends.items():
        text = f"{precise(one.epoch_seconds)}, {precise(one.step_seconds)} a step"
        if len(measured) == 1:
            yield "epoch", text
            return
        config = spelled(one.config, without=fixed)
        yield "epoch", f"{text}, at the {name} of {len(measured)} tried: {config}"


def precise(seconds: float) -> str:
    """`4.1 ms`, `2.5 s` or `2 min 05 s`."""
    if seconds < 1:
        return f"{1000 * seconds:.3g} ms"
    return f"{seconds:.1f} s" if seconds < 60 else duration(seconds)


def hours(count: float) -> str:
    """`0.07`, `3.5` or `1,200`."""
    return f"{count:.2g}" if count < 10 else f"{count:,.0f}"
