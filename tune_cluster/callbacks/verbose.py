"""Console output of every epoch, and of every logged step within it, for `--verbose`."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console

from search_spaces.trial_events import Event, Result
from search_spaces.values import short
from tune_cluster.callbacks.base import Callback
from tune_cluster.plain_text import one_line
from tune_cluster.study.state import StudyState


class VerboseOutput(Callback):
    """Prints the steps and the metrics of each epoch when it ends.

    Args:
        console: console of rich.
    """

    def __init__(self, console: Console) -> None:
        self._console = console

    def on_event(self, event: Event, state: StudyState, replay: bool) -> None:
        """Print the lines of an epoch that has just ended."""
        if replay or not isinstance(event, Result):
            return
        for line in lines_of(event):
            self._console.print(one_line(line), soft_wrap=True, highlight=False, markup=False)


def lines_of(result: Result) -> Iterator[str]:
    """Yield a line for each logged step of an epoch, in their order, and one for the epoch."""
    steps: dict[float, dict[str, float]] = {}
    for name, pairs in {"loss": result.step_losses or [], **(result.step_scores or {})}.items():
        for step, value in pairs:
            steps.setdefault(step, {})[name] = value
    for step, values in sorted(steps.items()):
        shown = ", ".join(f"{name} {short(value)}" for name, value in values.items())
        yield f"step       trial {result.trial}, epoch {result.epoch:g}, step {step:g}: {shown}"
    shown = ", ".join(f"{n} {short(v)}" for n, v in result.metrics.items() if n != "epoch")
    yield f"epoch      trial {result.trial}, epoch {result.epoch:g}: {shown}"
