"""A person's own texts: a file of texts and labels, or a folder of texts by class."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from trainables.data.class_folders import (
    LeftOut,
    check_path,
    class_folders,
    files_by_class,
    told,
)
from trainables.data.dataset import Part, RawDataset, Targets
from trainables.data.splits import with_test_set
from trainables.text.cleaning import cleaned
from trainables.text.config import TextConfig
from trainables.text.text_files import (
    SUFFIXES,
    TEXT_NAMES,
    decoded,
    read_columns,
    usual_column,
)
from trainables.text.texts import Texts
from trainables.text.tokens import split

Kind: TypeAlias = Literal["classes", "numbers"]

LABEL_NAMES = ("label", "class", "category", "target", "sentiment", "rating", "score", "stars", "y")
"""Names by which a column is found if none is given, upper or lower case; the first counts."""

MOST_CLASSES = 20
"""Number of different numbers above which labels are taken for numbers, if all are."""

SMALLEST = 5
"""Number of texts below which no part of a split would have two."""


@dataclass(frozen=True)
class Rows:
    """Texts with their labels, as a file has them."""

    place: str
    """File or folder."""
    texts: list[str]
    labels: list[str]
    names: Sequence[str] = ()
    """File of each text, in a folder of classes; else a text is named by its row, from 1."""

    def at(self, row: int) -> str:
        """Return the place of a text, for a message; `row` counts from 0."""
        return f"dataset {self.names[row] if self.names else f'{self.place}, row {row + 1}'}"


def is_own(name: str) -> bool:
    """Return whether a dataset's name is a path rather than a known name."""
    return "/" in name or Path(name).suffix in SUFFIXES or Path(name).is_dir()


def read_own(
    path: Path,
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    targets: Kind | None = None,
) -> tuple[RawDataset[Texts], list[str]]:
    """Read texts.

    - a `.csv`, `.tsv` or `.jsonl` file with a column of texts and one of labels;
    - a folder with such files `train` and, if there is one, `test`;
    - a folder with a folder for each class, with a `.txt` file for each text; or `train`, and
      optionally `test`, with such folders.

    Without test texts a fifth is set aside, stratified.

    Args:
        path: file or folder; all are in UTF-8.
        text_column: column of the texts; None takes the first of `TEXT_NAMES` that is there.
        label_column: column of the labels; None takes the first of `LABEL_NAMES`. In a file of two
            columns one that is found or given makes the other one known.
        targets: whether the labels are classes or numbers; None decides by the labels: numbers, if
            all are numbers and more than `MOST_CLASSES` of them differ or one is no whole number.

    Returns:
        The texts, and sentences for the user.

    Raises:
        ValueError: a file cannot be read or used; the message is a line with file, row and rule.
    """
    check_path(path)
    files = _files_of(path)
    notes = []
    if files:
        read = [read_columns(file) for file in files]
        columns = _columns(read[0], files[0], text_column, label_column)
        parts = [_rows(each, file, *columns) for each, file in zip(read, files, strict=True)]
        notes.append(f"texts are in column {columns[0]}, labels in column {columns[1]}")
    else:
        parts, left_out = _read_folder(path)
        notes += [left_out] if left_out else []
    for part in parts:
        _check(part)
        notes += _without_words(part)
    kind = targets or _kind_of(parts[0].labels)
    labelled, names = _classes(parts) if kind == "classes" else (_numbers(parts), ())
    notes.append(_told(kind, parts[0].labels, names, given=targets is not None))
    whole = [
        Part(Texts.of(part.texts), of_part) for part, of_part in zip(parts, labelled, strict=True)
    ]
    if len(whole) == 2:
        raw = RawDataset(train=whole[0], test=whole[1], class_names=names, source=str(path))
    else:
        raw = with_test_set(whole[0], class_names=names, source=str(path))
    return raw, notes


def _files_of(path: Path) -> list[Path]:
    """Return the training file and, if there is one, the test file; none in a folder of classes."""
    if path.is_file():
        if path.suffix not in SUFFIXES:
            raise ValueError(f"dataset {path}: give a file that ends in {', '.join(SUFFIXES)}")
        return [path]
    found = []
    for part in ("train", "test"):
        there = [path / f"{part}{s}" for s in SUFFIXES if (path / f"{part}{s}").is_file()]
        if len(there) > 1:
            raise ValueError(f"dataset {path}: both {there[0].name} and {there[1].name}; keep one")
        found += there
    if found and found[0].stem != "train":
        raise ValueError(f"dataset {path}: has {found[0].name}, but no train{found[0].suffix}")
    return found


def _columns(
    read: dict[str, list[str | None]], path: Path, text: str | None, label: str | None
) -> tuple[str, str]:
    has = ", ".join(read)
    for flag, name in (("--text-column", text), ("--label-column", label)):
        if name is not None and name not in read:
            raise ValueError(f"dataset {path}: no column {name}, as {flag} says; it has {has}")
    found = [text or usual_column(read, TEXT_NAMES), label or usual_column(read, LABEL_NAMES)]
    if len(read) == 2 and found.count(None) == 1:
        other = found[0] or found[1]
        found = [name or next(n for n in read if n != other) for name in found]
    for flag, name, usual in (
        ("--text-column", found[0], TEXT_NAMES),
        ("--label-column", found[1], LABEL_NAMES),
    ):
        if name is None:
            raise ValueError(
                f"dataset {path}: no column is called {', '.join(usual)}; it has {has}: give {flag}"
            )
    if found[0] == found[1]:
        raise ValueError(f"dataset {path}: column {found[0]} cannot be both text and label")
    return str(found[0]), str(found[1])


def _rows(read: dict[str, list[str | None]], path: Path, text: str, label: str) -> Rows:
    for name in (text, label):
        if name not in read:
            raise ValueError(f"dataset {path}: no column {name}; it has {', '.join(read)}")
        missing = [row for row, value in enumerate(read[name]) if value is None]
        if missing:
            raise ValueError(
                f"dataset {path}, row {missing[0] + 1}: has no {name}{_and_others(missing)}; give "
                "each row a text and a label"
            )
    return Rows(str(path), [t or "" for t in read[text]], [(v or "").strip() for v in read[label]])


def _read_folder(path: Path) -> tuple[list[Rows], str]:
    left_out = LeftOut(list)
    classes, folders = class_folders(path, "text", left_out)
    parts = []
    for folder in folders.values():
        files, labels = files_by_class(folder, classes, "text", left_out)
        chosen = [(f, classes[c]) for f, c in zip(files, labels, strict=True) if f.suffix == ".txt"]
        left_out["not .txt"] += [f.name for f in files if f.suffix != ".txt"]
        if not chosen:
            raise ValueError(f"dataset {folder}: has no .txt file; give one for each text")
        texts = [decoded(file.read_bytes(), file) for file, _ in chosen]
        parts.append(Rows(str(folder), texts, [c for _, c in chosen], [str(f) for f, _ in chosen]))
    return parts, told(LeftOut(list, {why: names for why, names in left_out.items() if names}))


def _check(part: Rows) -> None:
    for what, values in (("text", part.texts), ("label", part.labels)):
        empty = [row for row, value in enumerate(values) if not value.strip()]
        if empty:
            raise ValueError(
                f"{part.at(empty[0])}: the {what} is empty{_and_others(empty)}; give it one, or "
                "remove the row"
            )
    if len(part.texts) < SMALLEST:
        raise ValueError(
            f"dataset {part.place}: has {len(part.texts)} texts; give at least {SMALLEST}"
        )


def _without_words(part: Rows) -> list[str]:
    """Return a sentence on the texts of which the default cleaning leaves nothing."""
    found = split(cleaned(part.texts, TextConfig()), "words").places.lengths
    rows = [row for row, count in enumerate(found.tolist()) if count == 0]
    if not rows:
        return []
    return [
        f"{len(rows):,} texts have no word after cleaning, first {part.at(rows[0])}: each counts "
        "as one unknown token"
    ]


def _and_others(rows: Sequence[int]) -> str:
    return f" (and in {len(rows) - 1:,} more rows)" if len(rows) > 1 else ""


def _kind_of(labels: Sequence[str]) -> Kind:
    numbers = [_number(label) for label in labels]
    if any(number is None for number in numbers):
        return "classes"
    whole = all(number is not None and float(number).is_integer() for number in numbers)
    return "classes" if whole and len({*numbers}) <= MOST_CLASSES else "numbers"


def _number(label: str) -> float | None:
    try:
        return float(label)
    except ValueError:
        return None


def _classes(parts: Sequence[Rows]) -> tuple[list[Targets], tuple[str, ...]]:
    train = parts[0]
    names = tuple(sorted({*train.labels}, key=_class_order))
    if len(names) < 2:
        raise ValueError(
            f"dataset {train.place}: all texts are of one class, {names[0]}; give at least two "
            "classes"
        )
    if len(names) > len(train.labels) / 2:
        raise ValueError(
            f"dataset {train.place}: {len(names):,} different labels of {len(train.labels):,} "
            "texts are no classes; give another --label-column, or --targets numbers"
        )
    index = {name: code for code, name in enumerate(names)}
    for part in parts[1:]:
        unknown = [row for row, label in enumerate(part.labels) if label not in index]
        if unknown:
            raise ValueError(
                f"{part.at(unknown[0])}: label {part.labels[unknown[0]]}, which no training text "
                f"has{_and_others(unknown)}; add texts of it to the training part, or remove it"
            )
    return [np.array([index[label] for label in p.labels], np.int64) for p in parts], names


def _class_order(label: str) -> tuple[bool, float, str]:
    """Order numbers by value, before other names."""
    number = _number(label)
    plain = number is not None and math.isfinite(number)
    return (not plain, number if number is not None and plain else 0.0, label)


def _numbers(parts: Sequence[Rows]) -> list[Targets]:
    found: list[Targets] = []
    for part in parts:
        numbers = [_number(label) for label in part.labels]
        wrong = [row for row, n in enumerate(numbers) if n is None or not math.isfinite(n)]
        if wrong:
            raise ValueError(
                f"{part.at(wrong[0])}: label {part.labels[wrong[0]]!r} is no finite number"
                f"{_and_others(wrong)}; correct it, or give --targets classes"
            )
        found.append(np.array(numbers, np.float64))
    if len(np.unique(found[0])) < 2:
        raise ValueError(
            f"dataset {parts[0].place}: all labels are {found[0][0]:g}; they must differ"
        )
    return found


def _told(kind: Kind, labels: Sequence[str], names: Sequence[str], *, given: bool) -> str:
    if kind == "classes":
        shown = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
        other = "numbers" if all(_number(name) is not None for name in names) else ""
        what = f"labels are {len(names)} classes: {shown}"
    else:
        numbers = [float(label) for label in labels]
        what = f"labels are numbers, from {min(numbers):g} to {max(numbers):g}"
        other = "classes"
    return what if given or not other else f"{what} (--targets {other} makes them {other})"
