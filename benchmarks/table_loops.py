"""Loops over a table that `training_throughput.py` times: each trains an epoch and returns its rows
per second."""

import time

import numpy as np
import torch
from torch.nn import functional as F

from trainables.data.dataset import Part, SearchData, as_tensor
from trainables.data.splits import partitions, split
from trainables.table.config import TableConfig
from trainables.table.models import build_model
from trainables.table.preparation import of_partition
from trainables.table.tables import Columns, Table
from trainables.table.task import TableData
from trainables.training.loop import fit

ROWS = 20_000


def made_up() -> SearchData[Table]:
    """Return a table of 20 numbers, a tenth of which are missing, and 4 columns of 10 categories,
    with two classes; its values do not change the speed."""
    generator = np.random.default_rng(0)
    numbers = generator.normal(size=(ROWS, 20))
    numbers[generator.random(numbers.shape) < 0.1] = np.nan
    levels = tuple(map(str, range(10)))
    columns = Columns(
        tuple(f"x{i}" for i in range(20)), tuple(f"c{i}" for i in range(4)), (levels,) * 4
    )
    codes = generator.integers(0, 10, (ROWS, 4)).astype(np.int32)
    targets = generator.integers(0, 2, ROWS)
    whole = Part(Table(numbers, codes, columns), targets)
    return split("made up", whole, class_names=("a", "b"), seed=0, train_ratio=0.99)


def ours(config: TableConfig, data: SearchData[Table]) -> float:
    """Measure the project's loop, by the metric that it reports."""
    metrics, _ = next(fit(config, TableData(data)))
    return float(metrics["samples_per_second"])


def bare(config: TableConfig, data: SearchData[Table]) -> float:
    """Measure the shortest loop over the same prepared rows: no metrics, no state, no checks."""
    (part,) = partitions(data, train_ratio=data.train_ratio, folds=0)
    preparation, inputs = of_partition(data, part, config.imputation, config.min_std)
    labels = as_tensor(data.train.targets)
    levels = [len(names) for names in data.inputs.columns.levels]
    model = build_model(config, levels, torch.ones(len(preparation.features)), data.classes)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=config.learning_rate, momentum=config.momentum, fused=True
    )
    began = time.perf_counter()
    for batch in torch.randperm(len(labels)).split(config.batch_size):
        loss = F.cross_entropy(model(inputs[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return len(labels) / (time.perf_counter() - began)
