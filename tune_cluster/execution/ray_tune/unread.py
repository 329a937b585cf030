"""Nothing that Tune has written is read when a study has ended: the journal is the truth.

`Tuner.fit()` ends with an analysis of all trials, which nobody here asks for. It unpickles what
lies in `.tune` by then, whoever has put it there: the error of each trial that has failed, and the
state of the study where it has no trial. It also raises ValueError where the storage has lost them.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# `ray.tune.tune` names a function too.
RUN: Any = importlib.import_module("ray.tune.tune")


class NoAnalysis:
    """Of no trial, for whatever arguments."""

    trials = ()

    def __init__(self, **ignored: Any) -> None:
        pass


@contextmanager
def nothing_read() -> Iterator[None]:
    """`Tuner.fit()` gives no results for as long as the context lasts."""
    before, RUN.ExperimentAnalysis = RUN.ExperimentAnalysis, NoAnalysis
    try:
        yield
    finally:
        RUN.ExperimentAnalysis = before
