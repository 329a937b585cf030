"""Tables that a test makes up."""

import numpy as np

from trainables.data.dataset import Part
from trainables.data.splits import split
from trainables.table.tables import Columns, Table


def table(numbers=((),), codes=None, levels=()):
    """A table of these numbers `[n, …]` and codes `[n, …]`, whose categories are named."""
    numbers = np.asarray(numbers, np.float64)
    codes = np.empty((len(numbers), 0)) if codes is None else np.asarray(codes)
    columns = Columns(
        tuple(f"x{i}" for i in range(numbers.shape[1])),
        tuple(f"c{i}" for i in range(codes.shape[1])),
        tuple(tuple(f"{name}" for name in range(count)) for count in levels),
    )
    return Table(numbers, codes.astype(np.int32), columns)


def mixed(kind, *, rows=200, seed=0, train_ratio=0.8):
    """A table of four numbers, of which one says nothing, and a category, with missing values in
    two columns and a target that a network can learn."""
    generator = np.random.default_rng(seed)
    numbers = generator.normal(size=(rows, 4)) * (1, 10, 1000, 1) + (0, 5, -3000, 7)
    codes = generator.integers(-1, 3, (rows, 1))
    signal = numbers[:, 0] + numbers[:, 1] / 10 + (codes[:, 0] == 1)
    numbers[generator.random(rows) < 0.1, 1] = np.nan
    classes = np.digitize(signal, np.quantile(signal, (0.4, 0.7)))
    targets = signal * 50 + 1000 if kind == "numbers" else classes.astype(np.int64)
    names = () if kind == "numbers" else ("low", "middle", "high")
    part = Part(table(numbers, codes, (3,)), targets)
    return split("mixed", part, class_names=names, seed=seed, train_ratio=train_ratio)
