"""Columns of a file as arrays: numbers, categories and dates, found by their values."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainables.table.tables import Columns, Table
from trainables.table.values import (
    File,
    as_dates,
    codes_of,
    listed,
    numbers_of,
    stacked,
    texts_of,
)

ID_SHARE = 0.5
"""Share of different values among the rows above which a text is no category but a name."""

ID_ROWS = 20
"""Rows below which that share says nothing."""

MOSTLY_NUMBERS = 0.9
"""Share of numbers among the values of a column from which the others may be faults."""

DATE = (
    r"\d{1,4}([./-])\d{1,2}\1\d{1,4}\b.*|[A-Za-z]{3,9}\.? \d{1,2},? \d{4}\b.*"
    r"|\d{1,2}\.? [A-Za-z]{3,9}\.?,? \d{4}\b.*"
)
"""Pattern of a date as persons write it, such as 31.12.2020, 12/31/2020 or Dec 31, 2020."""

NUMBER = r"[+-]?[$€£¥]?\s?\d[\d.,' \u00a0\u202f]*[%$€£¥]?"
"""Pattern of a number as persons write it, such as 1,234.50, 1.234,50, $5 or 12 %."""


def tables_of(
    files: Sequence[File], *, target: str, categories: Sequence[str], drop: Sequence[str]
) -> tuple[list[Table], list[str]]:
    """Return the tables of a training file and, if given, of a test file, without the target.

    The kind of a column is found in the training file:

    - numbers: all values are numbers, or true and false (1 and 0);
    - a date: all values are dates (`2012-01-31`, `2012/01/31`, with or without a time), which give
      `days` since 1970-01-01, `year`, `month` (1 to 12), `day_of_week` (0 is Monday) and, where a
      time is given, `seconds` of the day, in UTC;
    - categories: everything else, and the columns in `categories`.

    Columns that are constant, and texts of which more than half differ from all others, are left
    out.

    Args:
        files: training file first; each has the target.
        target: name of the target's column.
        categories: names of columns that are categories whatever their values are.
        drop: names of columns to be left out.

    Returns:
        A table for each file, and sentences for the user on what was found.

    Raises:
        ValueError: a column is missing, a number is infinite, or a value of the test file is of
            another kind; the message has file, row, column and rule. No column is left.
    """
    import pandas as pd

    train = files[0]
    for name in (*categories, *drop):
        train.column(name)
    kinds: dict[str, str] = {}
    parts: list[dict[str, dict[str, NDArray[np.float64]]]] = [{} for _ in files]
    texts: list[dict[str, NDArray[Any]]] = [{} for _ in files]
    left_out: dict[str, list[str]] = {}
    notes = []
    for name in train.frame.columns:
        if name == target or name in drop:
            continue
        kind = "categories" if name in categories else _kind(train, name)
        kinds[name] = kind
        if kind == "categories":
            for each, file in zip(texts, files, strict=True):
                each[name] = texts_of(file.column(name))
            why = "" if name in categories else _no_category(texts[0][name])
            if name not in categories and (unread := _unread(train, name)):
                read = "left out" if why else "read as categories"
                notes.append(f"{name} is {read}, since {unread}")
        else:
            for of_file, file in zip(parts, files, strict=True):
                of_file[name] = numbers_of(file, name, kind)
            why = _constant(parts[0][name])
            if kind == "numbers" and _counts_rows(parts[0][name][name]):
                notes.append(
                    f"{name} counts the rows; give --drop {name} unless it means something"
                )
        if why:
            left_out.setdefault(why, []).append(name)
            del kinds[name]
    if not kinds:
        raise ValueError(
            f"table {train.path}: no column is left to predict {target} from"
            + "".join(f"; {why}: {listed(names)}" for why, names in left_out.items())
        )
    levels = {
        name: tuple(sorted(pd.Series(np.concatenate([t[name] for t in texts])).dropna().unique()))
        for name, kind in kinds.items()
        if kind == "categories"
    }
    # A part of a date that never differs, such as the year, is left out too.
    kept = [
        (name, part)
        for name, kind in kinds.items()
        if kind != "categories"
        for part, values in parts[0][name].items()
        if kind == "numbers" or not _constant({part: values})
    ]
    columns = Columns(
        tuple(part for _, part in kept),
        tuple(levels),
        tuple(levels.values()),
        dates=tuple(name if kinds[name] == "dates" else "" for name, _ in kept),
    )
    tables = [
        Table(
            numbers=stacked([of_file[name][part] for name, part in kept], len(file.frame)),
            codes=codes_of(text, levels, len(file.frame)),
            columns=columns,
        )
        for file, of_file, text in zip(files, parts, texts, strict=True)
    ]
    notes = [
        _found(kinds, target),
        *notes,
        *(f"left out, {why}: {listed(names)}" for why, names in left_out.items()),
        *_missing(files, tables),
    ]
    return tables, notes


def _found(kinds: Mapping[str, str], target: str) -> str:
    """Return a sentence on the columns that are used, by kind."""
    of = {
        kind: [name for name, k in kinds.items() if k == kind]
        for kind in ("numbers", "dates", "categories")
    }
    counts = [f"{len(of['numbers'])} of numbers"]
    counts += [f"{len(of[k])} of {k} ({listed(of[k])})" for k in ("dates", "categories") if of[k]]
    return f"{len(kinds)} columns: {', '.join(counts)}; the target is {target}"


def _missing(files: Sequence[File], tables: Sequence[Table]) -> Iterator[str]:
    """Yield a sentence for each file with missing values, and with columns of its own."""
    train = files[0]
    for file, table in zip(files, tables, strict=True):
        if counts := table.missing:
            each = [f"{name} {n:,}" for name, n in sorted(counts.items(), key=lambda c: -c[1])]
            where = "" if file is train else f" of {file.path}"
            yield f"{sum(counts.values()):,} missing values{where}: {listed(each)}"
        more = [name for name in file.frame.columns if name not in train.frame.columns]
        if more:
            yield f"columns of {file.path} alone, left out: {listed(more)}"


def _kind(file: File, name: str) -> str:
    import pandas as pd
    from pandas.api import types

    values = file.column(name)
    if types.is_datetime64_any_dtype(values.dtype):
        return "dates"
    if types.is_numeric_dtype(values.dtype) or types.is_timedelta64_dtype(values.dtype):
        return "numbers"
    present = values.dropna()
    if present.empty or pd.to_numeric(present.astype(str), errors="coerce").notna().all():
        return "numbers"
    if as_dates(present).notna().all():
        return "dates"
    if not present.map(lambda v: isinstance(v, (str, bool, int, float))).all():
        odd = next(value for value in present if not isinstance(value, (str, bool, int, float)))
        row = int(np.flatnonzero(values.map(lambda v: v is odd))[0])
        raise ValueError(
            f"{file.place(row, name)}: {type(odd).__name__} is neither number, text nor date; give "
            f"--drop {name}"
        )
    return "categories"


def _constant(parts: dict[str, NDArray[np.float64]]) -> str:
    """Return why numbers can tell nothing; empty if they can."""
    first = next(iter(parts.values()))
    present = first[~np.isnan(first)]
    if not len(present):
        return "without a value"
    whole = len(present) == len(first)
    return "constant" if whole and present.min() == present.max() else ""


def _no_category(texts: NDArray[Any]) -> str:
    """Return why texts are no categories; empty if they are."""
    import pandas as pd

    different, missing = pd.Series(texts).nunique(), int(pd.isna(texts).sum())
    if different == 0:
        return "without a value"
    if different == 1 and not missing:
        return "constant"
    if len(texts) >= ID_ROWS and different > ID_SHARE * len(texts):
        return "almost as many different values as rows, as in a name or a key"
    return ""


def _unread(file: File, name: str) -> str:
    """Return why a column of texts is not of numbers or dates, where a person may have meant them
    so: its values are written in another way, or a few are something else. Empty for others."""
    import pandas as pd

    values = file.column(name)
    present = values[values.notna()].astype(str)
    plain = pd.to_numeric(values.astype(str), errors="coerce").notna().to_numpy(bool)
    others = np.flatnonzero(values.notna().to_numpy(bool) & ~plain)
    if not len(others):
        return ""
    first = int(others[0])
    has = f"row {file.number(first)} has {file.value(first, name)}"
    count = len(present) - len(others)
    if len(others) <= (1 - MOSTLY_NUMBERS) * len(present):
        return f"{has} and {count:,} rows have numbers; leave such values empty to have numbers"
    written = present.str.strip()
    if written.str.fullmatch(DATE).mean() >= MOSTLY_NUMBERS:
        return f"{has}; if these are dates, write all as 2012-01-31"
    if written.str.fullmatch(NUMBER).mean() >= MOSTLY_NUMBERS:
        return f"{has}; if these are numbers, write all as 1234.5, without signs and separators"
    return ""


def _counts_rows(numbers: NDArray[np.float64]) -> bool:
    # NaN compares as false.
    return len(numbers) >= ID_ROWS and bool((np.diff(numbers) == 1).all())
