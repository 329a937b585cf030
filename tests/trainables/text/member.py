"""The task of texts in the contract suite."""

import csv
import json

from tests.trainables.task_member import Member
from tests.trainables.text.made_up import made_up, sentences
from trainables.text.datasets import load_dataset


def rows_of(count=60, **changes):
    """Return rows of text and label; `changes` are new labels or texts by row, from 0."""
    texts, names = sentences(count)
    rows = [{"text": text, "label": name} for text, name in zip(texts, names, strict=True)]
    for row, change in changes.get("rows", {}).items():
        rows[row] = {**rows[row], **change}
    return rows


def as_csv(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def _written(**changes):
    return lambda folder: as_csv(folder / "own.csv", rows_of(**changes))


def _bytes(content, name="own.csv"):
    def write(folder):
        (folder / name).write_bytes(content)
        return folder / name

    return write


def _numbers(bad):
    def write(folder):
        rows = [{**row, "label": f"{n / 2}"} for n, row in enumerate(rows_of())]
        rows[11]["label"] = bad
        return as_csv(folder / "own.csv", rows)

    return write


def _one_class(folder):
    return as_csv(folder / "own.csv", [{**row, "label": "good"} for row in rows_of()])


def _new_label_in_test(folder):
    as_csv(folder / "train.csv", rows_of())
    as_csv(folder / "test.csv", rows_of(20, rows={3: {"label": "divine"}}))
    return folder


def _without(column):
    def write(folder):
        rows = [{"first": row[column], "second": "1", "third": "2"} for row in rows_of()]
        return as_csv(folder / "own.csv", rows)

    return write


def _folders(folder):
    """Write a text file for each text: a folder for each class, and a test part."""
    for part in ("train", "test"):
        for number, row in enumerate(rows_of()):
            place = folder / "own" / part / row["label"]
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{number:03}.txt").write_text(row["text"])
    return folder / "own"


def _files(folder, texts):
    """Write the first texts a line each, and the others as a table."""
    first, *others = texts.strings()
    (folder / "first.txt").write_text(f"{first}\n")
    return [folder / "first.txt", as_csv(folder / "others.csv", [{"Text": t} for t in others])]


JSON = json.dumps({"text": "fine", "label": "good"})

TEXT = Member(
    config={
        "embedding_size": 16,
        "hidden_size": 16,
        "batch_size": 16,
        "dropout": 0.3,
        "embedding_dropout": 0.1,
        "swap_share": 0.1,
        "deletion_share": 0.1,
        "learning_rate": 0.3,
    },
    classes=made_up,
    numbers=lambda: made_up("numbers"),
    load=lambda path: load_dataset(str(path), path.parent, seed=0),
    own=_folders,
    bad={
        "no such file": (lambda folder: folder / "missing.csv", r"missing\.csv: no such file"),
        "empty file": (_bytes(b""), r"own\.csv: is empty"),
        "names alone": (_bytes(b"text,label\n"), r"own\.csv: has no row below"),
        "missing column": (_without("text"), r"own\.csv: no column is called text.*it has first"),
        "one class": (_one_class, r"own\.csv: all texts are of one class, good"),
        "label not in training": (
            _new_label_in_test,
            r"test\.csv, row 4: label divine, which no training text has",
        ),
        "sample without content": (
            _written(rows={7: {"text": "  "}, 9: {"text": ""}}),
            r"own\.csv, row 8: the text is empty \(and in 1 more rows\)",
        ),
        "no label": (_written(rows={4: {"label": ""}}), r"own\.csv, row 5: the label is empty"),
        "not finite": (_numbers("inf"), r"own\.csv, row 12: label 'inf' is no finite number"),
        "another encoding": (
            _bytes("text,label\nfine,good\ncafé,bad\n".encode("cp1252")),
            r"own\.csv, line 3: byte 0xe9 is not UTF-8",
        ),
        "a separator without quotes": (
            _bytes(b"text,label\nfine, good,good\n"),
            r"own\.csv, row 1: has more values than there are names",
        ),
        "semicolons": (
            _bytes(b"text;label\nfine, really;good\nbad;bad\n"),
            r"own\.csv: the names of its columns are separated by ';' and not by ','",
        ),
        "a separator without quotes, later": (
            _bytes(b"text,label\nfine,good\nbad, bad,bad\n"),
            r"own\.csv: cannot be read \(.*line 3, saw 3",
        ),
        "no JSON": (
            _bytes(f"{JSON}\nfine\n".encode(), "own.jsonl"),
            r"own\.jsonl, line 2: is no JSON",
        ),
        "no object": (
            _bytes(f"{JSON}\n3\n".encode(), "own.jsonl"),
            r"own\.jsonl, line 2: give an object",
        ),
        "no label in a line": (
            _bytes(f'{JSON}\n{{"text": "a"}}\n'.encode(), "own.jsonl"),
            r"own\.jsonl, row 2: has no label",
        ),
        "a file of another kind": (_bytes(b"x", "own.docx"), r"own\.docx: give a file that ends"),
    },
    networks=(
        {"model": "bag", "tokenizer": "characters"},
        {"model": "lstm", "layers": 2},
        {"model": "lstm", "bidirectional": False, "ema_decay": 0.9, "unicode_form": "nfc"},
        {"model": "transformer", "heads": 2, "precision": "bfloat16"},
    ),
    written=_files,
    job="text_lstm.py",
)
