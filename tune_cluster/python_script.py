"""Run a script in this process, as Python runs it."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_RESUMING: ContextVar[Sequence[str] | None] = ContextVar("resuming", default=None)


def words_of_resume() -> Sequence[str] | None:
    """Return the flags by which a command resumes a study with the script that runs now; None if it
    runs otherwise. A script that starts its study from Python does not read them itself."""
    return _RESUMING.get()


def run_script(script: str, arguments: Sequence[str]) -> None:
    """Run a script with this command line; its modules are imported from its folder."""
    resuming = arguments if arguments[:1] == ["--resume"] else None
    with _command_line(script, arguments, resuming):
        runpy.run_path(script, run_name="__main__")


@contextmanager
def _command_line(
    script: str, arguments: Sequence[str], resuming: Sequence[str] | None
) -> Iterator[None]:
    known = _RESUMING.set(resuming)
    argv, path = sys.argv, sys.path[:]
    sys.argv = [script, *arguments]
    sys.path.insert(0, str(Path(script).absolute().parent))
    try:
        yield
    finally:
        sys.argv, sys.path[:] = argv, path
        _RESUMING.reset(known)
