"""Whether to begin: the plan, the price, the question, and what is left if the answer is no."""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from rich.console import Console
from rich.prompt import Confirm

from tune_cluster.execution.best import all_ended
from tune_cluster.execution.flags import Flags
from tune_cluster.execution.keeping import divide_budget
from tune_cluster.execution.plan import show_line, show_plan
from tune_cluster.execution.price import Price, check_room, price_of
from tune_cluster.execution.ray_tune.study import TUNE_FOLDER, Study
from tune_cluster.execution.signals import handled
from tune_cluster.study.directory import StudyDirectory
from tune_cluster.study.strangers import strangers

UNASKED_SECONDS = 60.0
"""A study that is over sooner begins without a question: it can be ended as fast as answered. So do
smoke tests and the rest of most resumed studies."""


def begin(console: Console, study: Study, goes_on: str) -> Price | None:
    """Shows what will be run and what it costs, and asks; None where nothing is left to be run.

    Ends the process with 130 if the person does not agree.

    Args:
        console: where to.
        study: not open yet.
        goes_on: what to type to go on with it.

    Raises:
        ValueError: the storage has no room for its checkpoints.
    """
    if study.flags.resume is not None and (told := strangers(study.directory)):
        show_line(console, "NOTICE", told, style="bold red")
    if all_ended(study) or study.stopper.stops():
        divide_budget(study)
        return None
    price = price_of(study)
    divide_budget(study, price.largest_checkpoint)
    check_room(study, price)
    show_plan(console, study, price)
    show_line(console, "resume", goes_on, typed=True)
    console.print()
    if not agreed(console, study.flags, price.seconds):
        console.print("not started; nothing of it is left")
        sys.exit(130)
    return price


def agreed(console: Console, flags: Flags, seconds: float | None) -> bool:
    """Asks the person at the terminal whether to begin; True where nobody is asked.

    Nobody is asked with `--yes`, in a smoke test, where the study takes less than a minute, and
    without a terminal. The end of the input (Ctrl-D) is a no.

    Args:
        console: where the price was shown.
        flags: of the command line.
        seconds: that the study is expected to take; None if that is not known.
    """
    short = seconds is not None and seconds < UNASKED_SECONDS
    seen = sys.stdin.isatty() and console.is_terminal
    if flags.yes or flags.smoke_test or short or not seen:
        return True
    with suppress(EOFError):
        return Confirm.ask("start?", console=console, default=False)
    console.print()
    return False


@contextmanager
def nothing_left(home: StudyDirectory) -> Iterator[None]:
    """Whatever ends the study before it has begun, be it SIGTERM, its name is free again.

    `tune.Tuner(...)` makes a folder in the study's as it is built. Nothing else is touched of a
    study that is there already.
    """
    made = home.path if home.new else home.path / TUNE_FOLDER
    ours = home.new or not made.exists()
    try:
        with ended_by_signals():
            yield
    except BaseException:
        if ours:
            shutil.rmtree(made, ignore_errors=True)
        raise


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Within, what would end the process without a word to it is a SystemExit."""

    def end(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    heard = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) != signal.SIG_IGN]
    with handled(dict.fromkeys(heard, end)):
        yield
