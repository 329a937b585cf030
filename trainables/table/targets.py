"""The target of a table: classes or numbers of its rows, or none."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trainables.data.dataset import Targets
from trainables.table.values import File, text_of

Kind: TypeAlias = Literal["classes", "numbers"]

USUAL_NAMES = ("target", "label", "class", "y")
"""Names by which a target is found if none is given, upper or lower case."""

MOST_CLASSES = 1_000
"""Number of classes above which a target is taken for numbers or names."""


@dataclass(frozen=True, eq=False)
class FoundTargets:
    """Targets of the files of a table."""

    rows: list[NDArray[np.bool_]]
    """For each file, whether a row has a target, bool `[n]`."""
    targets: list[Targets]
    """For each file, the targets of the rows that have one."""
    class_names: tuple[str, ...]
    """Name of each class; empty for numbers."""
    notes: list[str]
    """Sentences for the user."""


def target_name(file: File, given: str | None) -> str:
    """Return the name of the target's column.

    Args:
        file: training file.
        given: name that the user gave; None takes the one column whose name is in `USUAL_NAMES`.

    Raises:
        ValueError: the file has no such column, or several.
    """
    if given is not None:
        file.column(given)
        return given
    usual = [name for name in file.frame.columns if str(name).lower() in USUAL_NAMES]
    if len(usual) != 1:
        has = ", ".join(map(str, file.frame.columns[:20]))
        raise ValueError(
            f"table {file.path}: give the column to predict by --predict; it has {has}"
            + (", …" if len(file.frame.columns) > 20 else "")
        )
    return str(usual[0])


def targets_of(files: Sequence[File], name: str, kind: Kind) -> FoundTargets:
    """Return the targets of a training file and, if given, of a test file.

    Rows without a target are left out, and counted in the notes.

    Raises:
        ValueError: a value is no class or no finite number, there is one class only, or the test
            file has a class that the training file has not; the message has file, row, column and
            rule.
    """
    rows = [file.column(name).notna().to_numpy(bool) for file in files]
    notes = []
    for file, kept in zip(files, rows, strict=True):
        if not kept.any():
            raise ValueError(f"table {file.path}: no row has a value of the target, {name}")
        if not kept.all():
            count = int((~kept).sum())
            notes.append(f"{count:,} rows of {file.path} without a target are left out")
    if kind == "numbers":
        found = [_numbers(file, name, kept) for file, kept in zip(files, rows, strict=True)]
        low, high = found[0].min(), found[0].max()
        if low == high:
            raise ValueError(
                f"table {files[0].path}, column {name}: every row has {low:g}; a target must differ"
            )
        return FoundTargets(rows, [*found], (), notes)
    labels = [_labels(file, name, kept) for file, kept in zip(files, rows, strict=True)]
    names = tuple(sorted({*labels[0]}, key=_class_order))
    _check_classes(files[0], name, names, len(labels[0]))
    index = {label: code for code, label in enumerate(names)}
    for file, of_file, kept in zip(files[1:], labels[1:], rows[1:], strict=True):
        unknown = [row for row, label in enumerate(of_file) if label not in index]
        if unknown:
            row = int(np.flatnonzero(kept)[unknown[0]])
            raise ValueError(
                f"{file.place(row, name)}: class {of_file[unknown[0]]}, which {files[0].path} has "
                "not; add rows of it there, or leave these out"
            )
    codes = [np.array([index[label] for label in of], np.int64) for of in labels]
    return FoundTargets(rows, [*codes], names, notes)


def _numbers(file: File, name: str, kept: NDArray[np.bool_]) -> NDArray[np.float64]:
    import pandas as pd

    values = file.column(name)
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    wrong = np.flatnonzero(~np.isfinite(numbers) & kept)
    if len(wrong):
        row = int(wrong[0])
        raise ValueError(
            f"{file.place(row, name)}: the target {file.value(row, name)} is no finite number; "
            "correct it, leave it empty, or predict classes by table_classification.py"
        )
    found: NDArray[np.float64] = numbers[kept]
    return found


def _labels(file: File, name: str, kept: NDArray[np.bool_]) -> list[str]:
    import pandas as pd

    values = file.column(name)
    codes, different = pd.factorize(values)
    names = [*map(text_of, different)]
    for code, value in enumerate(different):
        if isinstance(value, (float, np.floating)) and not value.is_integer():
            row = int(np.flatnonzero(codes == code)[0])
            raise ValueError(
                f"{file.place(row, name)}: the target {value:g} is no class; predict numbers by "
                "table_regression.py"
            )
    return [names[code] for code in codes[kept]]


def _check_classes(file: File, name: str, names: tuple[str, ...], rows: int) -> None:
    if len(names) < 2:
        raise ValueError(
            f"table {file.path}, column {name}: all rows are of one class, {names[0]}; give at "
            "least two classes"
        )
    if len(names) > min(MOST_CLASSES, rows / 2):
        raise ValueError(
            f"table {file.path}, column {name}: {len(names):,} different values in {rows:,} rows "
            "are no classes; predict numbers by table_regression.py, or give another --predict"
        )


def _class_order(label: str) -> tuple[bool, int, str]:
    """Order whole numbers by value, before other names."""
    whole = label.lstrip("-").isdecimal()
    return (not whole, int(label) if whole else 0, label)
