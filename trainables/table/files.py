"""Files of tables."""

import warnings
from collections.abc import Sequence
from pathlib import Path

from trainables.data.encodings import not_utf8
from trainables.data.separators import SEPARATORS, not_separated
from trainables.table.values import File, listed

COMPRESSED = (".gz", ".bz2", ".xz", ".zip")

PARQUET = (".parquet", ".pq")

ALSO_MISSING = ("?",)
"""Texts that are missing values beside those of pandas: nothing, NA, N/A, NaN, null, None …"""


def read_file(path: Path, texts: Sequence[str] = ()) -> File:
    """Read a CSV or Parquet file.

    Args:
        path: the file.
        texts: columns whose values are read as they are written, such as 007.

    Raises:
        ValueError: there is no such file, or it cannot be read or has no row.
    """
    import pandas as pd

    if not path.is_file():
        there = "no file" if path.exists() else "no such file"
        raise ValueError(f"table {path}: {there}")
    plain = path.with_suffix("") if path.suffix in COMPRESSED else path
    if plain.suffix not in (*SEPARATORS, *PARQUET):
        raise ValueError(
            f"table {path}: give a file that ends in {', '.join((*SEPARATORS, *PARQUET))}; a text "
            f"may be compressed ({', '.join(COMPRESSED)})"
        )
    try:
        if plain.suffix in PARQUET:
            frame = pd.read_parquet(path)
            names = [*map(str, frame.columns)]
        else:
            separator = SEPARATORS[plain.suffix]
            # pandas gives equal names a number each, and tells nobody.
            names = _names(path, separator)
            with warnings.catch_warnings():
                # Of rows with more values than there are names, of which it would drop some.
                warnings.simplefilter("error", pd.errors.ParserWarning)
                frame = pd.read_csv(
                    path,
                    sep=separator,
                    index_col=False,
                    na_values=list(ALSO_MISSING),
                    dtype=dict.fromkeys(texts, str),
                    skipinitialspace=True,
                    low_memory=False,
                )
    # Damaged files raise many kinds of errors, pyarrow's and zlib's own among them.
    except Exception as error:
        why = str(error).strip().partition("\n")[0].rstrip(".")
        if isinstance(error, pd.errors.EmptyDataError):
            why = "it is empty"
        if isinstance(error, pd.errors.ParserWarning):
            why = "its rows have more values than there are names of columns"
        if isinstance(error, UnicodeDecodeError) and path.suffix not in COMPRESSED:
            raise ValueError(f"table {path}, {not_utf8(path.read_bytes())}") from None
        raise ValueError(f"table {path}: cannot be read ({why})") from None
    stripped = [name.strip() for name in names]
    if equal := [name for name in dict.fromkeys(stripped) if stripped.count(name) > 1]:
        raise ValueError(
            f"table {path}: several columns are called {listed(equal)}; give each a name of its own"
        )
    if not isinstance(frame.index, pd.RangeIndex):
        frame = frame.reset_index()
    if frame.empty:
        raise ValueError(f"table {path}: has no row below the names of its columns")
    frame.columns = [str(name).strip() for name in frame.columns]
    return File(str(path), frame)


def _names(path: Path, separator: str) -> list[str]:
    """Return the names of the columns of a text file as they are written, without empty ones.

    Raises:
        ValueError: they are separated by something else.
    """
    import pandas as pd

    line = pd.read_csv(
        path, sep=separator, header=None, nrows=1, dtype=str, keep_default_na=False
    ).iloc[0]
    if len(line) == 1 and (why := not_separated(line[0], separator)):
        raise ValueError(why)
    return [name for name in line if name.strip()]
