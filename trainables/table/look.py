"""Sections of a look at a table: missing values, constant columns, and the values of each."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainables.data.dataset import Dataset
from trainables.data.look import QUANTILES, Keys, OwnLook, Section, named, quantile_row, row_keys
from trainables.table.tables import MISSING, Table

MISSING_SHARE = 0.5
"""Share of missing values from which a column is named in a warning."""

LEAK_ROWS = 20
"""Training rows below which a column that equals the target may do so by chance."""

LEAK_REST = 1e-9
"""Share of the targets' variance that a column of numbers leaves open where it is their copy."""

SHOWN_LEVELS = 5
"""Number of categories of a column that are shown, the most frequent."""


def keys(table: Table) -> Keys:
    """Return the key of each row, of all its values but the target."""
    return row_keys(table.numbers, table.codes)


def sections(dataset: Dataset[Table]) -> Iterator[Section]:
    """Return what was found in the training rows of a dataset."""
    table = dataset.search.train.inputs
    yield _missing(table)
    yield _leaks(dataset)
    if table.columns.numbers:
        yield _numbers(table)
    if table.columns.categories:
        yield _categories(table)


def _missing(table: Table) -> Section:
    count = len(table)
    found = sorted(table.missing.items(), key=lambda item: (-item[1], item[0]))
    many = [name for name, missing in found if missing >= MISSING_SHARE * count]
    warnings = []
    if many:
        warnings.append(
            f"{len(many)} columns have no value in {MISSING_SHARE:.0%} or more of the training "
            f"rows: {named(many)}"
        )
    constant = _constant(table)
    if constant:
        warnings.append(
            f"{len(constant)} columns have one value in all training rows, from which nothing can "
            f"be learned: {named(constant)}"
        )
    columns = len(table.columns.numbers) + len(table.columns.categories)
    return Section(
        title="Missing values",
        text=f"{len(found)} of {columns} columns lack values in the training part"
        + (f"; constant: {', '.join(constant)}." if constant else "; none is constant."),
        heads=("column", "rows", "share"),
        rows=tuple((name, f"{n:,} of {count:,}", f"{n / count:.1%}") for name, n in found),
        warnings=tuple(warnings),
    )


def _constant(table: Table) -> list[str]:
    numbers = [
        name
        for name, values in zip(table.columns.numbers, table.numbers.T, strict=True)
        if len(np.unique(values)) == 1
    ]
    categories = [
        name
        for name, codes in zip(table.columns.categories, table.codes.T, strict=True)
        if len(np.unique(codes)) == 1
    ]
    return numbers + categories


def _leaks(dataset: Dataset[Table]) -> Section:
    train = dataset.search.train
    table, targets = train.inputs, np.asarray(train.targets)
    classes = len(dataset.search.class_names)
    features = [
        *zip(table.columns.numbers, table.numbers.T, strict=True),
        *zip(table.columns.categories, table.codes.T, strict=True),
    ]
    leaks = [
        name
        for name, values in features
        if (_names_classes(values, targets) if classes else _is_scaled(values, targets))
    ]
    warnings = (
        f"{named(leaks)}: from such a column alone the target is known exactly; give --drop unless "
        "it is known before the target is",
    )
    return Section(
        title="Copies of the target",
        text="" if leaks else "From no column alone the target is known exactly.",
        warnings=warnings if leaks else (),
    )


def _names_classes(values: NDArray[Any], targets: NDArray[Any]) -> bool:
    """Return whether each class has a value of its own."""
    if len(targets) < LEAK_ROWS:
        return False
    different, codes = np.unique(values, return_inverse=True)
    pairs = np.unique(np.stack([codes, targets]), axis=1).shape[1]
    return bool(pairs == len(different) == len(np.unique(targets)))


def _is_scaled(values: NDArray[Any], targets: NDArray[Any]) -> bool:
    """Return whether values are the targets, in any unit."""
    there = np.isfinite(values)
    if not np.issubdtype(values.dtype, np.floating) or there.sum() < LEAK_ROWS:
        return False
    of, to = values[there] - values[there].mean(), targets[there] - targets[there].mean()
    scale = np.abs(of).max(), np.abs(to).max()
    if not all(0 < one < np.inf for one in scale):
        return False
    of, to = of / scale[0], to / scale[1]
    return bool((of @ to) ** 2 > (1 - LEAK_REST) * (of @ of) * (to @ to))


def _numbers(table: Table) -> Section:
    rows = []
    for name, values in zip(table.columns.numbers, table.numbers.T, strict=True):
        there = values[~np.isnan(values)]
        if len(there):
            rows.append((*quantile_row(name, there), f"{len(np.unique(there)):,}"))
    return Section(title="Numbers", heads=("column", *QUANTILES, "distinct"), rows=tuple(rows))


def _categories(table: Table) -> Section:
    rows = []
    for name, codes, levels in zip(
        table.columns.categories, table.codes.T, table.columns.levels, strict=True
    ):
        counts = np.bincount(codes[codes != MISSING], minlength=len(levels))
        first = [c for c in np.argsort(-counts, kind="stable")[:SHOWN_LEVELS] if counts[c]]
        shown = ", ".join(f"{levels[c]} {counts[c] / len(codes):.0%}" for c in first)
        rows.append((name, f"{int((counts > 0).sum()):,}", shown))
    return Section(
        title="Categories",
        heads=("column", "categories", "most frequent"),
        rows=tuple(rows),
        worded=True,
    )


LOOK = OwnLook(keys, sections)
