"""Ranges of a dictionary of hyperparameters, named as in `--search lr=log:1e-4:1e-1`.

They are Ray Tune's, with both ends in the range.
"""

from __future__ import annotations

import builtins

from ray import tune
from ray.tune.search.sample import Domain


def log(low: float, high: float) -> Domain:
    """Return a range on a log scale; the same as `loguniform`.

    Examples:
        >>> log(1e-4, 1e-1).domain_str
        '(0.0001, 0.1)'
    """
    domain: Domain = tune.loguniform(low, high)
    return domain


def int(low: builtins.int, high: builtins.int) -> Domain:
    """Return the whole numbers from `low` to `high`, which is in the range."""
    domain: Domain = tune.randint(low, high + 1)
    return domain


def logint(low: builtins.int, high: builtins.int) -> Domain:
    """Return the whole numbers from `low` to `high`, which is in the range, on a log scale."""
    domain: Domain = tune.lograndint(low, high + 1)
    return domain
