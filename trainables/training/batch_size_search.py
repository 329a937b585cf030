"""The largest batch size that fits into memory and still pays: found by doubling."""

import math
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from trainables.training.config import TrainingConfig
from trainables.training.loop import trainers
from trainables.training.task import TaskData
from trainables.training.timing import updates

C = TypeVar("C", bound=TrainingConfig)

SMALLEST = 8
"""First batch size that is tried."""

LEAST_GAIN = 0.1
"""Share by which the samples per second must rise over the best before, or a doubling does not pay.
Two doublings in a row must fail it, since one may be slow by chance."""

MEASURED_SECONDS = 0.5
"""Time in seconds for which a batch size is measured; a slow update takes longer."""

DISCARDED = 2
"""First updates, which allocate memory and choose kernels."""


@dataclass(frozen=True, kw_only=True)
class MeasuredBatch:
    """Speed and memory of a batch size."""

    batch_size: int
    samples_per_second: float
    """Training samples per second; 0 if it does not fit."""
    memory: int
    """Most bytes that were in use: of the GPU by tensors, or of the whole process; 0 if it does not
    fit."""


@dataclass(frozen=True, kw_only=True)
class FoundBatchSize:
    """The batch size that was found, and why."""

    batch_size: int
    why: str
    """Reason why no larger one was chosen."""
    measured: tuple[MeasuredBatch, ...]
    """All that were tried, ascending."""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {**asdict(self), "measured": [asdict(batch) for batch in self.measured]}


def find_batch_size(config: C, data: TaskData[C]) -> FoundBatchSize:
    """Double the batch size until it does not fit into memory, twice in a row does not pay, or has
    more samples than an epoch.

    Memory ends at an error of PyTorch's allocator; on a CPU already before a batch that, by the
    growth so far, would need more than is free, since the system would end the process.

    Args:
        config: hyperparameters; batch size, its schedule and scaling are replaced.
        data: source of the tasks, and the device.

    Raises:
        ValueError: config and data are not compatible, or the smallest batch does not fit.
    """
    task = data.tasks(_with_size(config, math.lcm(SMALLEST, config.accumulation_steps)))[0]
    samples, on_cpu = task.samples, task.device.type == "cpu"
    del task
    measured: list[MeasuredBatch] = []
    why = ""
    for size in _sizes(config.accumulation_steps):
        if measured and size > samples:
            why = f"an epoch has {samples} samples"
            break
        if on_cpu and (why := _too_large(measured)):
            break
        measured.append(_measure(_with_size(config, size), data))
        if not measured[-1].samples_per_second:
            why = f"{size} samples do not fit into memory"
            break
        if _no_longer_pays(measured):
            why = f"two doublings raised the samples per second by less than {LEAST_GAIN:.0%}"
            break
    fitting = [batch for batch in measured if batch.samples_per_second]
    if not fitting:
        raise ValueError(
            f"a batch of {measured[0].batch_size} samples does not fit into memory: give a smaller "
            "network or more memory"
        )
    return FoundBatchSize(
        batch_size=_last_that_pays(fitting).batch_size, why=why, measured=tuple(measured)
    )


def _sizes(parts: int) -> Iterator[int]:
    size = math.lcm(SMALLEST, parts)
    while True:
        yield size
        size *= 2


def _with_size(config: C, size: int) -> C:
    return replace(
        config,
        batch_size=size,
        batch_size_schedule="constant",
        epochs_scaling="none",
        # A frozen body needs less.
        freeze_epochs=0,
    )


def _last_that_pays(measured: list[MeasuredBatch]) -> MeasuredBatch:
    best = measured[0]
    for batch in measured[1:]:
        if batch.samples_per_second >= best.samples_per_second * (1 + LEAST_GAIN):
            best = batch
    return best


def _no_longer_pays(measured: list[MeasuredBatch]) -> bool:
    return len(measured) - measured.index(_last_that_pays(measured)) > 2


def _measure(config: TrainingConfig, data: TaskData[Any]) -> MeasuredBatch:
    try:
        return _measured(config, data)
    except (MemoryError, RuntimeError) as error:
        # Of the CPU it raises a RuntimeError, of a GPU a subclass of it.
        text = str(error)
        lacks = isinstance(error, (MemoryError, torch.OutOfMemoryError))
        if not (lacks or "DefaultCPUAllocator" in text or "out of memory" in text):
            raise
        return MeasuredBatch(batch_size=config.batch_size, samples_per_second=0, memory=0)


def _measured(config: TrainingConfig, data: TaskData[Any]) -> MeasuredBatch:
    trainer = trainers(config, data)[0]
    device = trainer.task.device
    _forget_peak(device)
    with closing(updates(trainer, 1)) as work:
        for _ in range(DISCARDED):
            next(work)
        began, made = _now(device), 0
        while made < DISCARDED or _now(device) - began < MEASURED_SECONDS:
            next(work)
            made += 1
        seconds = _now(device) - began
    return MeasuredBatch(
        batch_size=config.batch_size,
        samples_per_second=made * min(config.batch_size, trainer.task.samples) / seconds,
        memory=_peak(device),
    )


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _forget_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        # Linux sets VmHWM to the memory that is in use now.
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        # Not allowed in some containers: the peak is that of the process so far.
        return


def _peak(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return _field("/proc/self/status", "VmHWM")


def _too_large(measured: list[MeasuredBatch]) -> str:
    """Return why the next doubling must not be tried on a CPU; empty if it may be."""
    if len(measured) < 2:
        return ""
    # A batch of twice the size needs twice what its own tensors need.
    growth = 2 * max(0, measured[-1].memory - measured[-2].memory)
    free = _free()
    if growth <= free:
        return ""
    next_size = 2 * measured[-1].batch_size
    return (
        f"{next_size} samples would need {growth / 1e9:.1f} GB more, and {free / 1e9:.1f} are free"
    )


def _free() -> int:
    """Return the bytes that this process may still take, of the machine and of its container."""
    free = _field("/proc/meminfo", "MemAvailable")
    group = Path("/sys/fs/cgroup")
    try:
        limit = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
    except (OSError, ValueError):
        # No limit is the word max.
        return free
    return min(free, limit - used)


def _field(path: str, name: str) -> int:
    """Return a field of a file of `/proc`, in bytes."""
    for line in Path(path).read_text().splitlines():
        if line.startswith(f"{name}:"):
            return 1024 * int(line.split()[1])
    raise ValueError(f"{path} has no {name}")
