"""The task of tables in the contract suite."""

import numpy as np
import pandas as pd

from tests.trainables.table.made_up import mixed
from tests.trainables.task_member import Member
from trainables.table.datasets import load_table


def _frame(**changes):
    generator = np.random.default_rng(0)
    age = generator.normal(40, 10, 120).round(1)
    columns = {
        "age": age,
        "city": generator.choice(["Bonn", "Oslo", "Rome"], 120),
        "target": np.where(age > 40, "old", "young"),
        **changes,
    }
    return pd.DataFrame({name: column for name, column in columns.items() if column is not None})


def _written(**changes):
    """Return a function that writes a file with these columns changed; None leaves one out."""

    def write(folder):
        _frame(**changes).to_csv(folder / "own.csv", index=False)
        return folder / "own.csv"

    return write


def _text(text):
    def write(folder):
        (folder / "own.csv").write_text(text)
        return folder / "own.csv"

    return write


def _with_other_test_classes(folder):
    _frame().to_csv(folder / "train.csv", index=False)
    _frame(target=["old", "ancient"] * 60).to_csv(folder / "test.csv", index=False)
    return folder


def _new_city_in_test(folder):
    _frame().to_csv(folder / "train.csv", index=False)
    _frame(city="Lima").to_csv(folder / "test.csv", index=False)
    return folder


def _files(folder, table):
    """Write the first rows as CSV, and the others as Parquet, with a column that no network
    needs."""
    names = table.columns
    frame = pd.DataFrame(table.numbers, columns=list(names.numbers)).assign(more="more")
    for column, (name, levels) in enumerate(zip(names.categories, names.levels, strict=True)):
        frame[name] = np.array([*levels, None], object)[table.codes[:, column]]
    frame[:7].to_csv(folder / "first.csv", index=False)
    frame[7:].to_parquet(folder / "others.parquet")
    return [folder / "first.csv", folder / "others.parquet"]


TABLE = Member(
    config={"hidden_sizes": (16,), "batch_size": 32, "dropout": 0.3, "learning_rate": 0.03},
    classes=lambda: mixed("classes"),
    numbers=lambda: mixed("numbers"),
    load=lambda path: load_table(str(path), "classes", seed=0),
    # A category that is new in the test part is no fault.
    own=_new_city_in_test,
    bad={
        "no such file": (lambda folder: folder / "missing.csv", r"missing\.csv: no such file"),
        "empty file": (_text(""), r"own\.csv: cannot be read \(it is empty\)"),
        "missing column": (_written(target=None), r"own\.csv: .*--predict; it has age, city"),
        "one class": (_written(target="old"), r"own\.csv, .*all rows are of one class, old"),
        "label not in training": (
            _with_other_test_classes,
            r"test\.csv, row 2, column target: class ancient",
        ),
        "sample without content": (_text("age,city,target\n"), r"own\.csv: has no row"),
        "not finite": (
            _written(age=[*range(118), np.inf, 1]),
            r"own\.csv, row 119, column age: inf is no finite number",
        ),
        "target without a value": (
            _written(target=np.nan),
            r"own\.csv: no row has a value of the target",
        ),
    },
    networks=(
        {"model": "mlp", "imputation": "flag"},
        {"model": "resnet", "width": 8, "feature_selection": "gate"},
        {"model": "linear", "imputation": "median", "ema_decay": 0.9},
        {"model": "mlp", "feature_selection": "mutual_information", "precision": "bfloat16"},
    ),
    written=_files,
    job="table_classification.py",
)
