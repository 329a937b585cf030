"""WHERE to look and HOW: hyperparameters, named spaces, searchers and the rungs of ASHA."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Within, an import that fails says what to install.

    Args:
        extra: of `pyproject.toml`, that has what is imported.

    Raises:
        ValueError: a module is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{error.name} is not installed; it comes with the extra {extra}: "
            f"pip install 'tune-cluster[{extra}]', or in a checkout pip install -e '.[{extra}]'"
        ) from None
