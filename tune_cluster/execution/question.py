"""Whether to begin: the plan, the price, the question, and what is left if the answer is no."""

from __future__ import annotations

import sys
from contextlib import suppress

from rich.console import Console
from rich.prompt import Confirm

from tune_cluster.execution.best import all_ended
from tune_cluster.execution.keeping import divide_quota
from tune_cluster.execution.options import Options
from tune_cluster.execution.plan import show_line, show_plan
from tune_cluster.execution.price import Price, check_room, price_of
from tune_cluster.execution.ray_tune.study import Study
from tune_cluster.study.strangers import strangers

UNASKED_SECONDS = 60.0
"""A study that is over sooner begins without a question: it can be ended as fast as answered. So do
smoke tests and the rest of most resumed studies."""


def begin(
    console: Console, study: Study, goes_on: str, *, asked: bool
) -> tuple[bool, Price | None]:
    """Shows what will be run and what it costs, and asks whether to begin.

    Args:
        console: where to.
        study: not open yet.
        goes_on: the resume command.
        asked: whether there may be somebody to answer.

    Returns:
        Whether to begin, and the price; None where nothing is left to be run.

    Raises:
        ValueError: the storage has no room for its checkpoints.
    """
    if study.options.resume is not None and (told := strangers(study.directory)):
        show_line(console, "NOTICE", told, style="bold red")
    if all_ended(study) or study.stopper.stops():
        divide_quota(study)
        return True, None
    price = price_of(study)
    divide_quota(study, price.largest_checkpoint)
    check_room(study, price)
    show_plan(console, study, price)
    show_line(console, "resume", goes_on, typed=True)
    console.print()
    if asked and not agreed(console, study.options, price.seconds):
        console.print("not started; nothing of it is left")
        return False, None
    return True, price


def agreed(console: Console, options: Options, seconds: float | None) -> bool:
    """Asks the person at the terminal whether to begin; True where nobody is asked.

    Nobody is asked with `--yes`, in a smoke test, where the study takes less than a minute, and
    without a terminal. The end of the input (Ctrl-D) is a no.

    Args:
        console: where the price was shown.
        options: of the command line.
        seconds: that the study is expected to take; None if that is not known.
    """
    short = seconds is not None and seconds < UNASKED_SECONDS
    seen = sys.stdin.isatty() and console.is_terminal
    if options.yes or options.smoke_test or short or not seen:
        return True
    with suppress(EOFError):
        return Confirm.ask("start?", console=console, default=False)
    console.print()
    return False
