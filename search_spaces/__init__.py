"""Search spaces (hyperparameters, named spaces) and strategies (searchers, schedulers)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class MissingExtraError(ValueError):
    """A package is not installed; the message names the extra that has it."""


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Turn an import error in the `with` block into advice on what to install.

    Args:
        extra: extra in `pyproject.toml` that includes the imported package.

    Raises:
        MissingExtraError: a module is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{error.name} is not installed; it comes with the extra {extra}: "
            f"pip install 'tune-cluster[{extra}]', or in a checkout pip install -e '.[{extra}]'"
        ) from None
