"""Values of the columns of a file, as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trainables.table.tables import MISSING, Columns, Table

if TYPE_CHECKING:
    import pandas as pd

DAY_SECONDS = 86_400


@dataclass(frozen=True, eq=False)
class File:
    """A file of a table, as it was read."""

    path: str
    """Path, or name of a known table."""
    frame: pd.DataFrame

    def place(self, row: int, column: str) -> str:
        """Return a place in the file, for a message: rows are counted from 1, below the names."""
        return f"table {self.path}, row {self.number(row)}, column {column}"

    def number(self, row: int) -> int:
        """Return the number of a row in the whole file, from 1, if some rows were left out."""
        return int(self.frame.index[row]) + 1

    def value(self, row: int, column: str) -> str:
        """Return a value as a person would type it, texts in quotation marks."""
        value = self.frame[column].iloc[row]
        return repr(value) if isinstance(value, str) else str(value)

    def column(self, name: str) -> pd.Series[Any]:
        """Return a column; raise a ValueError if the file has none of that name."""
        if name not in self.frame.columns:
            raise ValueError(
                f"table {self.path}: no column {name}; it has {listed(list(self.frame.columns))}"
            )
        return self.frame[name]


def table_of(file: File, columns: Columns) -> Table:
    """Return the rows of another file by the columns of a training file; other columns are left
    out. A category that no training file has gets the code after the last.

    Raises:
        ValueError: a column is missing, or has a value of another kind.
    """
    dates = columns.dates or ("",) * len(columns.numbers)
    sources = [date or name for name, date in zip(columns.numbers, dates, strict=True)]
    needed = dict.fromkeys((*sources, *columns.categories))
    missing = [name for name in needed if name not in file.frame.columns]
    if missing:
        raise ValueError(
            f"table {file.path}: no column {listed(missing)}; it has "
            f"{listed(list(file.frame.columns))}, and needs {listed(list(needed), most=50)}"
        )
    levels = dict(zip(columns.categories, columns.levels, strict=True))
    texts = {name: _as_known(texts_of(file.column(name)), set(levels[name])) for name in levels}
    codes = codes_of(texts, levels, len(file.frame))
    for column, name in enumerate(levels):
        there = np.array([text is not None for text in texts[name]], bool)
        codes[there & (codes[:, column] == MISSING), column] = len(levels[name])
    of_dates = {date: numbers_of(file, date, "dates") for date in {*dates} - {""}}
    found = [
        of_dates[date][name] if date else numbers_of(file, name, "numbers")[name]
        for name, date in zip(columns.numbers, dates, strict=True)
    ]
    numbers = stacked(found, len(file.frame))
    return Table(numbers=numbers, codes=codes, columns=columns)


def _as_known(texts: NDArray[Any], known: set[str]) -> NDArray[Any]:
    """Return texts with those that are no known category, but a number of one, as that."""

    def of(text: str | None) -> str | None:
        if text is None or text in known:
            return text
        try:
            number = text_of(float(text))
        except ValueError:
            return text
        return number if number in known else text

    return np.array([of(text) for text in texts], dtype=object)


def as_dates(values: pd.Series[Any]) -> pd.Series[Any]:
    """Return dates, NaT where a value is none."""
    import pandas as pd

    text = values.astype(str).str.strip().str.replace("/", "-", regex=False)
    # Of pandas' ISO 8601, no year alone: a code of four digits is no date.
    text = text.where(text.str.match(r"\d{4}-\d{1,2}-\d{1,2}"))
    return pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True)


def numbers_of(file: File, name: str, kind: str) -> dict[str, NDArray[np.float64]]:
    """Return the numbers of a column, or of each part of its dates, by their own names."""
    import pandas as pd
    from pandas.api import types

    values = file.column(name)
    missing = values.isna().to_numpy(bool)
    if kind == "dates":
        given = types.is_datetime64_any_dtype(values.dtype)
        dates = pd.to_datetime(values, utc=True) if given else as_dates(values)
        _refuse_others(file, name, missing, dates.isna().to_numpy(bool), "date")
        return _parts_of(name, dates)
    if types.is_timedelta64_dtype(values.dtype):
        values = values.dt.total_seconds()
    elif not types.is_numeric_dtype(values.dtype):
        plain = pd.to_numeric(values.astype(str).where(~missing), errors="coerce")
        _refuse_others(file, name, missing, plain.isna().to_numpy(bool), "number")
        values = plain
    numbers: NDArray[np.float64] = values.to_numpy(np.float64, na_value=np.nan)
    infinite = np.flatnonzero(np.isinf(numbers))
    if len(infinite):
        raise ValueError(
            f"{file.place(int(infinite[0]), name)}: {numbers[infinite[0]]:g} is no finite number; "
            "correct it, or leave it empty for a missing value"
        )
    return {name: numbers}


def _refuse_others(
    file: File,
    name: str,
    missing: NDArray[np.bool_],
    unread: NDArray[np.bool_],
    kind: str,
) -> None:
    odd = np.flatnonzero(unread & ~missing)
    if len(odd):
        row = int(odd[0])
        raise ValueError(
            f"{file.place(row, name)}: {file.value(row, name)} is no {kind}, as the "
            f"training values of this column are; correct it, or search with --categories {name}"
        )


def _parts_of(name: str, dates: pd.Series[Any]) -> dict[str, NDArray[np.float64]]:
    import pandas as pd

    seconds = (dates - pd.Timestamp(0, tz="UTC")).dt.total_seconds().to_numpy(np.float64)
    of_day = seconds % DAY_SECONDS
    parts = {
        f"{name}.days": seconds / DAY_SECONDS,
        f"{name}.year": dates.dt.year.to_numpy(np.float64, na_value=np.nan),
        f"{name}.month": dates.dt.month.to_numpy(np.float64, na_value=np.nan),
        f"{name}.day_of_week": dates.dt.dayofweek.to_numpy(np.float64, na_value=np.nan),
        f"{name}.seconds": of_day,
    }
    return parts


def texts_of(values: pd.Series[Any]) -> NDArray[Any]:
    """Return each value as a text, None where it is missing."""
    import pandas as pd

    codes, different = pd.factorize(values)
    # A missing value has the code -1, which is the last place.
    texts = np.array([*map(text_of, different), None], dtype=object)
    found: NDArray[Any] = texts[codes]
    return found


def text_of(value: object) -> str:
    """Return the name of a category or of a class."""
    # A column with a missing value has its whole numbers as floats.
    if isinstance(value, (float, np.floating)) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def codes_of(
    texts: Mapping[str, NDArray[Any]], levels: Mapping[str, Sequence[str]], rows: int
) -> NDArray[np.int32]:
    """Return the codes of columns of texts, int32 `[rows, columns]`, by the names of the categories
    of each; `MISSING` where a text is missing or none of them."""
    import pandas as pd

    codes = np.full((rows, len(levels)), MISSING, np.int32)
    for column, (name, names) in enumerate(levels.items()):
        codes[:, column] = pd.Categorical(texts[name], categories=list(names)).codes
    return codes


def stacked(columns: list[NDArray[np.float64]], rows: int) -> NDArray[np.float64]:
    """Return columns `[rows]` as `[rows, columns]`, of which there may be none."""
    return np.stack(columns, axis=1) if columns else np.empty((rows, 0))


def listed(names: Sequence[object], most: int = 8) -> str:
    """Return names as a person reads them, `most` at most."""
    shown = [str(name) for name in names[:most]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
