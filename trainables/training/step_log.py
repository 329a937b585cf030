"""Every `print_freq`-th update of an epoch: its loss, scores, learning rate and throughput.

Nothing waits for the device at an update: what it needs is noted, and read when the trainer looks
at the losses.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class LoggedStep:
    """One update, of the batch before it."""

    update: int
    """Number of the update in the run, from 1."""
    loss: float
    """Objective of the batch."""
    scores: Mapping[str, float]
    """The task's training scores of the batch, such as its accuracy."""
    learning_rate: float
    samples_per_second: float
    """Training samples per second since the logged update before, or the beginning of the epoch."""


StepListener: TypeAlias = Callable[[float, LoggedStep], object]
"""Receives the epoch in progress, as its metrics will name it, and a step."""

Scorer: TypeAlias = Callable[[Tensor, Tensor], Mapping[str, float]]


class _Noted(NamedTuple):
    update: int
    loss: Tensor
    outputs: Tensor
    targets: Tensor
    learning_rate: float
    samples: int
    mark: Any


class StepLog:
    """Notes the updates of an epoch that are to be logged.

    Args:
        each: steps between two of them; 0 logs none.
        device: device of the network.
        scores: scores of outputs and targets.
        tell: receives each step soon after it was made.
    """

    def __init__(
        self,
        each: int,
        device: torch.device,
        scores: Scorer,
        tell: Callable[[LoggedStep], object],
    ) -> None:
        self.steps: list[LoggedStep] = []
        """Logged steps that were read."""
        self._each = each
        self._on_gpu = device.type == "cuda"
        self._scores, self._tell = scores, tell
        self._noted: list[_Noted] = []
        self._samples = 0
        self._mark = self._now() if each else None

    def note(
        self, update: int, loss: Tensor, outputs: Tensor, targets: Tensor, learning_rate: float
    ) -> None:
        """Take in an update, from 1 in the run, with tensors that are still on the device."""
        if not self._each:
            return
        self._samples += len(targets)
        if update % self._each == 0:
            self._noted.append(
                _Noted(update, loss, outputs, targets, learning_rate, self._samples, self._now())
            )
            self._samples = 0

    def read(self) -> None:
        """Read what was noted, which waits for the device."""
        for noted in self._noted:
            step = LoggedStep(
                update=noted.update,
                loss=float(noted.loss),
                scores=self._scores(noted.outputs, noted.targets),
                learning_rate=noted.learning_rate,
                samples_per_second=noted.samples / self._seconds(self._mark, noted.mark),
            )
            self._mark = noted.mark
            self.steps.append(step)
            self._tell(step)
        self._noted.clear()

    def _now(self) -> Any:
        if not self._on_gpu:
            return time.perf_counter()
        # A GPU is behind the process, which only enqueues its work.
        mark = torch.cuda.Event(enable_timing=True)
        mark.record()
        return mark

    def _seconds(self, begin: Any, end: Any) -> float:
        if not self._on_gpu:
            return float(end - begin)
        end.synchronize()
        return float(begin.elapsed_time(end)) / 1000


def curves(steps: Sequence[LoggedStep]) -> dict[str, list[tuple[int, float]]]:
    """Return pairs of an update and its value, for each name but the loss."""
    found: dict[str, list[tuple[int, float]]] = {}
    for step in steps:
        values = {
            **step.scores,
            "learning_rate": step.learning_rate,
            "samples_per_second": step.samples_per_second,
        }
        for name, value in values.items():
            found.setdefault(name, []).append((step.update, value))
    return found


def in_one_line(epoch: float, step: LoggedStep) -> str:
    """Return a step for a log: `epoch 2, update 100: loss 0.5432, accuracy 0.8125, …`."""
    scores = "".join(f", {name} {value:.4f}" for name, value in step.scores.items())
    return (
        f"epoch {epoch:g}, update {step.update}: loss {step.loss:.4f}{scores}, learning_rate "
        f"{step.learning_rate:.4g}, {step.samples_per_second:,.0f} samples/s"
    )
