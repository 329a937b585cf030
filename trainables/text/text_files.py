"""Files of texts."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

from trainables.data.encodings import not_utf8
from trainables.data.separators import SEPARATORS, not_separated

SUFFIXES = (*SEPARATORS, ".jsonl")


TEXT_NAMES = ("text", "sentence", "review", "content", "comment", "message", "body", "document")
"""Names by which the column of texts is found, upper or lower case; the first counts."""


def read_columns(path: Path) -> dict[str, list[str | None]]:
    """Return the columns of a `.csv`, `.tsv` or `.jsonl` file in UTF-8; None is a value that is
    missing.

    Raises:
        ValueError: it cannot be read; the message is a line with file, row and rule.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"dataset {path}: cannot be read ({error.strerror})") from None
    text = decoded(data, path)
    if not text.strip():
        raise ValueError(f"dataset {path}: is empty; give a row for each text")
    found = _of_json(text, path) if path.suffix == ".jsonl" else _of_table(text, path)
    if not next(iter(found.values()), []):
        raise ValueError(f"dataset {path}: has no row below the names of its columns")
    return found


def decoded(data: bytes, path: Path) -> str:
    """Return the text of a file in UTF-8; raise a ValueError, with the line, if it is not."""
    if wrong := not_utf8(data):
        raise ValueError(f"dataset {path}, {wrong}")
    return data.decode("utf-8-sig")


def _of_table(text: str, path: Path) -> dict[str, list[str | None]]:
    import pandas as pd

    separator = SEPARATORS[path.suffix]
    if why := not_separated(text.lstrip().partition("\n")[0], separator):
        raise ValueError(f"dataset {path}: {why}")
    try:
        frame = pd.read_csv(io.StringIO(text), sep=separator, dtype=str, keep_default_na=False)
    except (ValueError, pd.errors.ParserError) as error:
        why = str(error).strip().partition("\n")[0].rstrip(".")
        raise ValueError(
            f"dataset {path}: cannot be read ({why}); a text with a separator or a line break in "
            "it needs quotes around it"
        ) from None
    # pandas takes what precedes the named columns for names of rows.
    if not isinstance(frame.index, pd.RangeIndex):
        raise ValueError(
            f"dataset {path}, row 1: has more values than there are names of columns; a text with "
            "a separator in it needs quotes around it"
        )
    return {
        str(name).strip(): [value if isinstance(value, str) else None for value in frame[name]]
        for name in frame.columns
    }


def _of_json(text: str, path: Path) -> dict[str, list[str | None]]:
    rows: list[dict[str, object]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ValueError(f"dataset {path}, line {number}: is no JSON ({error})") from None
        if not isinstance(row, dict):
            raise ValueError(
                f"dataset {path}, line {number}: give an object, such as "
                '{"text": "…", "label": "…"}'
            )
        rows.append(row)
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [_word(row.get(name)) for row in rows] for name in names}


def _word(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)


def usual_column(read: dict[str, list[str | None]], names: Sequence[str]) -> str | None:
    """Return the first of these names that a column has, upper or lower case; None if none has."""
    lower = {name.lower(): name for name in reversed(read)}
    return next((lower[name] for name in names if name in lower), None)
