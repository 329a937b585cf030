"""`python -m search_spaces` prints the catalogue: what can be tuned, where to look, and why."""

import argparse
import difflib
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from search_spaces.catalogue import CATALOGUE
from search_spaces.hyperparameter import Hyperparameter

COLUMNS = ("name", "meaning", "default", "range", "scale", "grid", "kind", "role", "condition")


def cells(parameter: Hyperparameter) -> tuple[str, ...]:
    """A row of the table, without the advice."""
    if parameter.values:
        span, scale = _listed(parameter.values), "ordered" if parameter.ordered else "list"
    else:
        shown = "{:,.0f}" if parameter.integer else "{:g}"
        span = f"{shown.format(parameter.low)} to {shown.format(parameter.high)}"
        scale = f"{parameter.scale}, integer" if parameter.integer else parameter.scale
    condition = ""
    if parameter.condition is not None:
        condition = f"{parameter.condition[0]}: {_listed(parameter.condition[1])}"
    return (
        parameter.name,
        parameter.meaning,
        _shown(parameter.default),
        span,
        scale,
        _listed(parameter.grid or parameter.values),
        parameter.kind,
        parameter.role,
        condition,
    )


def show(console: Console, names: Sequence[str] = ()) -> None:
    """Prints the catalogue, or what of it has these names, each with its advice beneath."""
    for parameter in CATALOGUE:
        if names and parameter.name not in names:
            continue
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(style="bold", width=10)
        table.add_column()
        for column, cell in zip(COLUMNS, cells(parameter), strict=True):
            if cell:
                table.add_row(column, cell)
        table.add_row("advice", parameter.advice)
        console.print(table)
        console.print()


def _listed(values: tuple[object, ...]) -> str:
    return ", ".join(map(_shown, values))


def _shown(value: object) -> str:
    if value == "" and isinstance(value, str):
        return "empty"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def main() -> None:
    """Reads the command line."""
    known = {parameter.name for parameter in CATALOGUE}
    parser = argparse.ArgumentParser(prog="python -m search_spaces", description=__doc__)
    parser.add_argument("name", nargs="*", help="of a hyperparameter; without it all of them")
    names = parser.parse_args().name
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            told = f": {near[0]}?" if near else "; without a name it prints all"
            parser.error(f"the catalogue has no {name}{told}")
    show(Console(highlight=False), names)


if __name__ == "__main__":
    main()
