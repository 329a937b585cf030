"""`tune.sample_from(function)` as a list of values, so that a study can name and repeat them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from ray.tune.search.sample import Function

DRAWS = 64
"""Calls of a function, whose different values are the list."""


def drawn(name: str, domain: Function) -> list[Any]:
    """Return the values that the function of a domain gives; the same each time.

    Args:
        name: name of the hyperparameter.
        domain: of `tune.sample_from`.

    Raises:
        ValueError: the function reads other values of the configuration, or fails.
    """
    with _seeded():
        try:
            # Of another value of the configuration there is none to read yet.
            values = [_plain(domain.func(*[{}] * domain.pass_config)) for _ in range(DRAWS)]
        except Exception as error:
            raise ValueError(
                f"param_space: {name}: the function of tune.sample_from has raised {error!r}: it "
                "cannot read other values here; compute it in the trainable"
            ) from error
    return [*dict.fromkeys(values)]


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


@contextmanager
def _seeded() -> Iterator[None]:
    """Seed the global generators, which most functions draw from, meanwhile."""
    before = random.getstate(), np.random.get_state()
    random.seed(0)
    np.random.seed(0)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
