"""`--batch-size`: a number, or the largest that fits and pays, measured before the first trial."""

import multiprocessing
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

import torch
import tyro
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from trainables.data.dataset import SearchData
from trainables.trainable import TaskTrainable
from trainables.training.batch_size_search import FoundBatchSize


class Granted(Protocol):
    """Cores and GPUs of a trial, or its share of one GPU: the options of a study."""

    @property
    def cpus_per_trial(self) -> float:
        """Cores, and threads."""

    @property
    def gpus_per_trial(self) -> float:
        """GPUs; 0.25 is a quarter of one."""


@dataclass(frozen=True, kw_only=True)
class BatchSizeFlags:
    """Command-line flags for the batch size of all trials."""

    batch_size: Annotated[int | Literal["auto"] | None, tyro.conf.arg(metavar="N|auto")] = None
    """Samples in one update, for all trials; auto doubles it from 8, with the first configuration,
    until it does not fit into memory, or twice in a row raises the samples per second by less than
    10%, and keeps what it finds for every resume. Default: searched, or the job's."""

    def values(
        self,
        trainable: type[TaskTrainable],
        config: Mapping[str, object],
        data: SearchData[Any],
        granted: Granted,
        given: Mapping[str, str],
    ) -> dict[str, int]:
        """Return the batch size by its name, to fix it in the space; nothing without the flag.

        It is measured on this machine, in a process of its own: what it takes is free again before
        the first trial, and the study does not end where memory does. What was measured is printed.

        Args:
            trainable: trainable of the task.
            config: configuration of the first trial.
            data: the samples.
            granted: what a trial runs on.
            given: flags that fix or search a hyperparameter, by its name.

        Raises:
            ValueError: the batch size is given by another flag too, config and data are not
                compatible, this machine has no GPU for trials that have one, or the smallest batch
                does not fit.
        """
        if self.batch_size is None:
            return {}
        if "batch_size" in given:
            raise ValueError(
                f"--batch-size {self.batch_size} and {given['batch_size']}: each gives the batch "
                "size of all trials; leave one of them out"
            )
        if self.batch_size != "auto":
            return {"batch_size": self.batch_size}
        cpus, gpus = granted.cpus_per_trial, granted.gpus_per_trial
        if gpus and not torch.cuda.is_available():
            raise ValueError(
                "--batch-size auto: this machine has no GPU to measure on; start the study on a "
                "node with the trials' kind of GPU, or give a number"
            )
        found = _in_own_process(trainable, config, data, cpus, gpus)
        console = Console()
        console.print(f"--batch-size auto: {found.batch_size}, since {found.why}", soft_wrap=True)
        console.print(table_of(found))
        return {"batch_size": found.batch_size}

    @classmethod
    def of_study(cls, about: Mapping[str, Any]) -> dict[str, Any]:
        """Return the flags of a started study, from its `study.json`: the batch size that it found,
        which a resume does not measure again."""
        if about["options"].get("batch_size") != "auto":
            return {}
        return {"batch_size": about["space"]["fixed"]["batch_size"]}


def table_of(found: FoundBatchSize) -> Table:
    """Return what was measured as a table for a person."""
    table = Table(box=None, pad_edge=False)
    for column in ("batch size", "samples/s", "memory"):
        table.add_column(column, justify="right")
    for batch in found.measured:
        fits = batch.samples_per_second > 0
        speed = f"{batch.samples_per_second:,.0f}" if fits else "-"
        memory = decimal(batch.memory) if fits else "does not fit"
        chosen = batch.batch_size == found.batch_size
        table.add_row(str(batch.batch_size), speed, memory, style="bold" if chosen else "")
    return table


def _in_own_process(
    trainable: type[TaskTrainable],
    config: Mapping[str, object],
    data: SearchData[Any],
    cpus: float,
    gpus: float,
) -> FoundBatchSize:
    # A process that is forked could not use a GPU.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        try:
            return pool.submit(_found, trainable, dict(config), data, cpus, gpus).result()
        except BrokenProcessPool:
            raise ValueError(
                "--batch-size auto: the process that measured it was ended by the system, perhaps "
                "for lack of memory; give a number"
            ) from None
        except ValueError as error:
            raise ValueError(f"--batch-size auto: {error}") from None


def _found(
    trainable: type[TaskTrainable],
    config: Mapping[str, object],
    data: SearchData[Any],
    cpus: float,
    gpus: float,
) -> FoundBatchSize:
    if 0 < gpus < 1:
        torch.cuda.set_per_process_memory_fraction(gpus)
    return trainable.find_batch_size(config, data=data, cpus=cpus, on_gpu=gpus > 0)
