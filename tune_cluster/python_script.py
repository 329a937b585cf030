"""Run a script in this process, as Python runs it."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


def run_script(script: str, arguments: Sequence[str]) -> None:
    """Run a script with this command line; its modules are imported from its folder."""
    with _command_line(script, arguments):
        runpy.run_path(script, run_name="__main__")


@contextmanager
def _command_line(script: str, arguments: Sequence[str]) -> Iterator[None]:
    argv, path = sys.argv, sys.path[:]
    sys.argv = [script, *arguments]
    sys.path.insert(0, str(Path(script).absolute().parent))
    try:
        yield
    finally:
        sys.argv, sys.path[:] = argv, path
