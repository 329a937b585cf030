"""The catalogue: every hyperparameter of the trainables, its range, and the reason for it.

Names and defaults are those of the trainable's config; a test checks this. A hyperparameter that
depends on another may have several entries, of which one exists at a time.
`tune-cluster hyperparameters` prints it.
"""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from search_spaces.catalogue import network, optimization, table, text, training
from search_spaces.catalogue.network import *  # noqa: F403
from search_spaces.catalogue.optimization import *  # noqa: F403
from search_spaces.catalogue.table import *  # noqa: F403
from search_spaces.catalogue.text import *  # noqa: F403
from search_spaces.catalogue.training import *  # noqa: F403
from search_spaces.hyperparameter import Hyperparameter


def _entries(*modules: ModuleType) -> tuple[Hyperparameter, ...]:
    found = [entry for module in modules for entry in vars(module).values()]
    return tuple(entry for entry in found if isinstance(entry, Hyperparameter))


CATALOGUE = _entries(network, optimization, training)
"""Entries of images, most of which other tasks have too."""

OF_TABLES = _entries(table)
"""Entries of tables alone, and those with other values there."""

OF_TEXTS = _entries(text)
"""Entries of texts alone, and those with other values there."""


def _of_task(own: tuple[Hyperparameter, ...]) -> tuple[Hyperparameter, ...]:
    names = {entry.name for entry in own}
    return (*own, *(entry for entry in CATALOGUE if entry.name not in names))


TABLE_CATALOGUE = _of_task(OF_TABLES)
"""All entries that hold for tables."""

TEXT_CATALOGUE = _of_task(OF_TEXTS)
"""All entries that hold for texts."""


def value_in(config: Mapping[str, Any], name: str) -> Any:
    """Return the value of a hyperparameter in a configuration; its default if it is not given, None
    if it does not exist or is outside its range."""
    entries = [entry for entry in (*CATALOGUE, *OF_TABLES, *OF_TEXTS) if entry.name == name]
    there = [
        e for e in entries if e.condition and value_in(config, e.condition[0]) in e.condition[1]
    ]
    there += [entry for entry in entries if entry.condition is None]
    if entries and not there:
        return None
    return config.get(name, there[0].default if there else None)
