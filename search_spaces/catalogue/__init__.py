"""The catalogue: every hyperparameter that a trial can be given, its range, and the reason for it.

Names and defaults are those of the trainable's config; a test holds the two together. Where a
hyperparameter depends on another, one of two entries of a name exists.
`tune-cluster hyperparameters` prints it.
"""

from collections.abc import Mapping
from typing import Any

from search_spaces.catalogue import network, optimization, training
from search_spaces.catalogue.network import *  # noqa: F403
from search_spaces.catalogue.optimization import *  # noqa: F403
from search_spaces.catalogue.training import *  # noqa: F403
from search_spaces.hyperparameter import Hyperparameter

CATALOGUE = tuple(
    entry
    for module in (network, optimization, training)
    for entry in vars(module).values()
    if isinstance(entry, Hyperparameter)
)


def value_in(config: Mapping[str, Any], name: str) -> Any:
    """What a configuration has of a hyperparameter: its default where nothing is said, None where
    there is none in it, or where it is none of these."""
    entries = [entry for entry in CATALOGUE if entry.name == name]
    there = [
        e for e in entries if e.condition and value_in(config, e.condition[0]) in e.condition[1]
    ]
    there += [entry for entry in entries if entry.condition is None]
    if entries and not there:
        return None
    return config.get(name, there[0].default if there else None)
