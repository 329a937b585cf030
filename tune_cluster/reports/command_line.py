"""The command line of a finding: the study, and what more it takes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NoReturn

from tune_cluster.storage.store import expanded


class CommandLine(argparse.ArgumentParser):
    """A parser whose error is a ValueError, as all bad input is.

    Args:
        module: that is run with `python -m`.
        description: what it does.
    """

    def __init__(self, module: str, description: str | None) -> None:
        super().__init__(
            prog=f"python -m {module}",
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def error(self, message: str) -> NoReturn:
        """Refuses the command line.

        Raises:
            ValueError: what is wrong with it, and how it is typed.
        """
        usage = " ".join(self.format_usage().removeprefix("usage: ").split())
        raise ValueError(f"{message}: {usage}")


def path_of(typed: str) -> Path:
    """Of a folder or file that is to be written."""
    return Path(expanded("FILE", typed))
