"""The task of tables: a network, and batches of prepared rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainables.data.dataset import Part, SearchData, as_tensor
from trainables.data.splits import Partition, partitions
from trainables.prediction.batch_norm import check_partitions, smallest_batch
from trainables.prediction.choice import check_loss, prediction_of
from trainables.table.config import TableConfig
from trainables.table.models import Features, build_model
from trainables.table.preparation import of_partition
from trainables.table.selection import chosen, scores_of
from trainables.table.tables import Table
from trainables.training.state import load_pretrained
from trainables.training.task import Batch
from trainables.training.trainer import derived_seed

BYTES_TOGETHER = 2**20
"""Bytes of training rows that are fetched at once: a batch each would take a call each."""


@dataclass(frozen=True, eq=False)
class TableData:
    """The table that trials use, and their device: a `TaskData` of the training loop."""

    search: SearchData[Table]
    device: torch.device | str = "cpu"

    def check(self, config: TableConfig) -> None:
        """Check config and pretrained weights against the table; raises as `TaskData.check`."""
        check_loss(config, self.search)
        parts = self.partitions(config)
        if config.pretrained:
            task = TableTask(config, self.search, parts[0])
            load_pretrained(task.model, config.pretrained)

    def tasks(self, config: TableConfig) -> list["TableTask"]:
        """Return one task, or one per fold; raises as `partitions`."""
        device = torch.device(self.device)
        return [
            TableTask(config, self.search, part, fold, device)
            for fold, part in enumerate(self.partitions(config))
        ]

    def partitions(self, config: TableConfig) -> list[Partition]:
        """Return the rows to train on and to validate on: one partition, or one per fold.

        Raises:
            ValueError: config and data are not compatible.
        """
        found = partitions(self.search, train_ratio=config.train_ratio, folds=config.folds)
        check_partitions(config, config.norm, self.search, found)
        return found

    def prepared(self, config: TableConfig) -> dict[str, Any]:
        """Return `PreparedData.prepared`: the columns of the table, and for each network what its
        training rows have given."""
        fitting = (config.imputation, config.min_std)
        return {
            **asdict(self.search.inputs.columns),
            "networks": [
                of_partition(self.search, part, *fitting)[0].stored()
                for part in self.partitions(config)
            ],
        }


class TableTask:
    """A model on its device that takes prepared rows: a `Task` of the training loop.

    Args:
        config: configuration of the network.
        data: table with its targets.
        partition: rows to train on, by which all rows are prepared, and to validate on.
        fold: index of the fold, from 0; it determines the initial weights.
        device: device of the network, to which the prepared rows are copied.

    Raises:
        ValueError: as `prediction_of`.
    """

    def __init__(
        self,
        config: TableConfig,
        data: SearchData[Table],
        partition: Partition,
        fold: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        self.device = torch.device(device)
        self.samples = partition.samples
        self.smallest_batch = smallest_batch(config.norm)
        self.facts: Mapping[str, float] = {}
        fitting = (config.imputation, config.min_std)
        self.preparation, inputs = of_partition(data, partition, *fitting)
        self._inputs = inputs.to(self.device)
        blocks = [torch.arange(block.start, block.stop) for block in partition.train]
        self._indices = torch.cat(blocks).to(self.device)
        self.prediction = prediction_of(config, data, self._indices)
        self._targets = self.prediction.targets(as_tensor(data.targets).to(self.device))
        held_out = slice(partition.validation.start, partition.validation.stop)
        self.validation = Batch(self._inputs[held_out], self._targets[held_out])
        self.validation_rows = np.arange(held_out.start, held_out.stop)

        mask = torch.ones(inputs.shape[1])
        if config.feature_selection in ("variance", "mutual_information"):
            scores = scores_of(config.feature_selection, data, partition.train, *fitting)
            mask = chosen(scores, config.feature_share)
        levels = [len(names) for names in data.inputs.columns.levels]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(config.seed, 0, fold))
            model = build_model(config, levels, mask, self.prediction.width)
        self.model: nn.Sequential = model.to(self.device)
        gated = config.feature_selection == "gate"
        self._gate_penalty = config.gate_penalty if gated else 0.0

    @property
    def features(self) -> Features:
        """First layer of the network."""
        found = self.model[0]
        assert isinstance(found, Features)
        return found

    def batches(self, sizes: Sequence[int]) -> Iterator[Batch]:
        """Yield the training rows in a random order."""
        order = self._indices[torch.randperm(self.samples).to(self.device)]
        targets = iter(self._targets[order].split(list(sizes)))
        row_bytes = self._inputs.shape[1] * self._inputs.element_size()
        together = max(1, BYTES_TOGETHER // (sizes[0] * row_bytes))
        blocks = [sizes[begin : begin + together] for begin in range(0, len(sizes), together)]
        for block, indices in zip(blocks, order.split([sum(b) for b in blocks]), strict=True):
            rows = self._inputs.index_select(0, indices)
            yield from map(Batch, rows.split(list(block)), targets)

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return `Task.loss`; the outputs are `[batch, classes]`, or `[batch, 1]` for numbers."""
        # In bfloat16 a sum over the batch would keep only two digits.
        outputs = self.model(batch.inputs).float()
        loss = self.prediction.loss(outputs, batch.targets)
        if self._gate_penalty:
            loss = loss + self._gate_penalty * self.features.penalty()
        return loss, outputs

    def outputs(self, inputs: Tensor) -> Tensor:
        """Return the outputs of the model for prepared rows, `[n, classes]` or `[n, 1]`."""
        found: Tensor = self.model(inputs)
        return found

    def held_out(self, part: Part[Table]) -> Batch:
        """Return other rows, prepared by what the training rows have given."""
        inputs = self.preparation.prepared(part.inputs).to(self.device)
        return Batch(inputs, self.prediction.targets(as_tensor(part.targets).to(self.device)))
