"""Files of tables."""

import warnings
from collections.abc import Sequence
from pathlib import Path

from trainables.table.values import File

SEPARATORS = {".csv": ",", ".tsv": "\t"}
"""Separator of a text file by its suffix; it may be compressed."""

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
        else:
            with warnings.catch_warnings():
                # Of rows with more values than there are names, of which it would drop some.
                warnings.simplefilter("error", pd.errors.ParserWarning)
                frame = pd.read_csv(
                    path,
                    sep=SEPARATORS[plain.suffix],
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
        raise ValueError(f"table {path}: cannot be read ({why})") from None
    if not isinstance(frame.index, pd.RangeIndex):
        frame = frame.reset_index()
    if frame.empty:
        raise ValueError(f"table {path}: has no row below the names of its columns")
    frame.columns = [str(name).strip() for name in frame.columns]
    return File(str(path), frame)
