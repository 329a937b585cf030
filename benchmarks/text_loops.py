"""The loops over texts that `training_throughput.py` times: each trains an epoch and returns its
samples per second."""

import time
from dataclasses import replace
from pathlib import Path

import torch
from torch.nn import functional as F

from trainables.data.dataset import SearchData
from trainables.text.batching import TOGETHER, by_length
from trainables.text.config import TextConfig
from trainables.text.datasets import load_dataset
from trainables.text.models import build_model
from trainables.text.preparation import prepared_for
from trainables.text.task import TextData
from trainables.text.texts import Texts
from trainables.training.loop import fit

TEXTS = {"bag": 9_600, "lstm": 960, "transformer": 960}
"""Texts of one epoch, by model: about a second on one core."""


def texts_for(model: str) -> SearchData[Texts]:
    """Return reviews for an epoch, and as few as possible to validate on."""
    data = load_dataset("chinese_reviews", Path(), seed=0).search
    count = TEXTS[model]
    return replace(
        data,
        inputs=data.inputs[: count + 10],
        targets=data.targets[: count + 10],
        train_count=count,
        train_ratio=count / (count + 10),
    )


def ours(config: TextConfig, data: SearchData[Texts]) -> float:
    """Measure the project's loop, by the metric that it reports."""
    metrics, _ = next(fit(config, TextData(data)))
    return float(metrics["samples_per_second"])


def bare(config: TextConfig, data: SearchData[Texts]) -> float:
    """Measure the shortest loop over the same batches: no metrics, no state, no checks."""
    (texts,) = prepared_for(config, data, [(range(data.train_count),)])
    labels = torch.from_numpy(data.train.targets)
    model = build_model(config, texts.preparation, data.classes)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=config.learning_rate, momentum=config.momentum, fused=True
    )
    began = time.perf_counter()
    for chosen in torch.randperm(len(labels)).split(TOGETHER * config.batch_size):
        lengths = texts.lengths[chosen]
        sizes = [len(rows) for rows in chosen.split(config.batch_size)]
        for rows in by_length(lengths, sizes):
            ids = texts.ids[chosen[rows], : int(lengths[rows[-1]])]
            loss = F.cross_entropy(model(ids), labels[chosen[rows]])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return len(labels) / (time.perf_counter() - began)
