"""The catalogue of hyperparameters, as a person reads it."""

from __future__ import annotations

import difflib

from rich.console import Console
from rich.table import Table

from search_spaces.catalogue import CATALOGUE, OF_TABLES, OF_TEXTS
from search_spaces.hyperparameter import Hyperparameter


def hyperparameters(names: tuple[str, ...] = ()) -> None:
    """Print the catalogue of hyperparameters, or its entries with these names.

    Args:
        names: names of hyperparameters. Default: all.
    """
    entries = (*CATALOGUE, *OF_TABLES, *OF_TEXTS)
    known = {parameter.name for parameter in entries}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f": {near[0]}?" if near else "; without a name it prints all"
            raise ValueError(f"the catalogue has no {name}{hint}")
    console = Console(highlight=False)
    for parameter in entries:
        if parameter.name in (names or known):
            table = Table(box=None, show_header=False, pad_edge=False)
            table.add_column(style="bold", width=10)
            table.add_column()
            for head, cell in row_of(parameter).items():
                if cell:
                    table.add_row(head, cell)
            console.print(table)
            console.print()


def row_of(parameter: Hyperparameter) -> dict[str, str]:
    """Return the printed texts of a hyperparameter, by the name of the row."""
    if parameter.values:
        span, scale = _listed(parameter.values), "ordered" if parameter.ordered else "list"
    else:
        shown = "{:,.0f}" if parameter.integer else "{:g}"
        span = f"{shown.format(parameter.low)} to {shown.format(parameter.high)}"
        scale = f"{parameter.scale}, integer" if parameter.integer else parameter.scale
    condition = ""
    if parameter.condition is not None:
        condition = f"{parameter.condition[0]}: {_listed(parameter.condition[1])}"
    return {
        "name": parameter.name,
        "meaning": parameter.meaning,
        "default": _shown(parameter.default),
        "range": span,
        "scale": scale,
        "grid": _listed(parameter.grid or parameter.values),
        "kind": parameter.kind,
        "role": parameter.role,
        "condition": condition,
        "advice": parameter.advice,
    }


def _listed(values: tuple[object, ...]) -> str:
    return ", ".join(map(_shown, values))


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value) or "empty"
