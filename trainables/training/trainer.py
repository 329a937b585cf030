"""Training of one network: the updates of an epoch, and its state before and after."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor

from trainables.training.arithmetic import arithmetic
from trainables.training.config import TrainingConfig
from trainables.training.optimizers import (
    OPTIMIZERS,
    WeightAverage,
    build_optimizer,
    step_of,
)
from trainables.training.schedules import check_milestones, lr_factor, step_at
from trainables.training.state import (
    NetworkState,
    freeze,
    keep_statistics,
    load_pretrained,
    load_weights,
)
from trainables.training.step_log import LoggedStep, StepListener, StepLog
from trainables.training.task import Batch, Task

STEPS_PER_LOOK = 32
"""Number of steps between two checks of the loss, which wait for the device: at this rate they have
no measurable cost, and a diverged trial wastes at most 31 updates."""

EVALUATION_BATCH = 1024
"""Number of samples in a forward pass without gradients: large enough for the matrix units, while
32 channels of 28 x 28 floats take only 100 MB."""


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """Result of an epoch of training."""

    loss: float
    """Mean of the objective over the samples, while the weights change."""
    scores: dict[str, float]
    """The task's `train_scores`, also while the weights change."""
    samples: int
    """Number of samples; fewer than all if the loss became non-finite, which ends the epoch."""
    learning_rate: float
    """Learning rate of the last update."""
    steps: list[LoggedStep]
    """Every `print_freq`-th update."""


class Trainer:
    """Trains a network with its optimizer.

    Args:
        config: hyperparameters.
        task: network, data, loss and scores.
        fold: index of the fold, from 0; each has its own random streams.

    Raises:
        ValueError: the schedule does not fit the number of updates.
    """

    def __init__(self, config: TrainingConfig, task: Task, fold: int = 0) -> None:
        self.config = config
        self.task = task
        self.fold = fold
        self.updates = 0
        lengths = [len(self._batch_sizes(epoch)) for epoch in range(1, config.passes + 1)]
        self._begins = list(accumulate(lengths, initial=0))
        """First step of each epoch, and as the last element the total number of steps."""
        check_milestones(config, self._begins[-1])
        self._average = WeightAverage(task.model, config.ema_decay)
        self._freeze(config.freeze_epochs > 0)

    def start_from_pretrained(self) -> None:
        """Load the weights that `config.pretrained` names, if it is set.

        Raises:
            ValueError: the weights cannot be read, or are of another network.
        """
        if self.config.pretrained:
            load_pretrained(self.task.model, self.config.pretrained)
            self._average = WeightAverage(self.task.model, self.config.ema_decay)

    def run_epoch(
        self, epoch: int, plateau: float = 1.0, listener: StepListener | None = None
    ) -> EpochResult:
        """Train on every sample once, in an order and with a dropout and an augmentation that seed
        and epoch determine.

        Args:
            epoch: epoch of the run, from 1.
            plateau: current factor of the schedule "plateau".
            listener: receives every `print_freq`-th update, soon after it was made.
        """
        if self._frozen and epoch > self.config.freeze_epochs:
            self._freeze(False)
        losses: list[Tensor] = []
        outputs: list[Tensor] = []
        targets: list[Tensor] = []
        log = self._step_log(epoch, listener)
        with self.random_streams(epoch):
            for loss, out, target in self.steps(epoch, plateau):
                losses.append(loss)
                outputs.append(out)
                targets.append(target)
                log.note(self.updates, loss, out, target, self._learning_rate())
                last = losses[-STEPS_PER_LOOK:]
                if len(losses) % STEPS_PER_LOOK == 0:
                    if not torch.stack(last).isfinite().all():
                        break
                    log.read()
            log.read()
        sizes = torch.tensor([len(target) for target in targets], device=self.task.device)
        by_step = torch.stack(losses)
        samples = sum(map(len, targets))
        return EpochResult(
            loss=float((by_step * sizes).sum() / samples),
            scores=self.task.prediction.train_scores(torch.cat(outputs), torch.cat(targets)),
            samples=samples,
            learning_rate=self._learning_rate(),
            steps=log.steps,
        )

    def steps(self, epoch: int, plateau: float = 1.0) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Make one update for each batch of an epoch, from 1.

        Yields:
            The batch's loss, a scalar, and its outputs `[batch, …]`, both from before the update
            and still on the device, and its targets `[batch, …]`.
        """
        config, optimizer, average = self.config, self._optimizer, self._average
        step = step_of(optimizer)
        part = config.batch_size_in(epoch) // config.accumulation_steps
        base_rate = config.learning_rate_in(epoch)
        trained = self._trained()
        self.task.model.train()
        if self._frozen:
            keep_statistics(self.task.model)
        for index, batch in enumerate(self.task.batches(self._batch_sizes(epoch))):
            self._set_learning_rate(base_rate, epoch, index, plateau)
            optimizer.zero_grad(set_to_none=True)
            if config.accumulation_steps == 1 or len(batch.targets) <= part:
                loss, outputs = self._backward(batch)
            else:
                loss, outputs = self._accumulate(batch, part)
            if config.grad_clip_norm:
                # The norm over all parameters together (Pascanu et al. 2013, algorithm 1).
                torch.nn.utils.clip_grad_norm_(trained, config.grad_clip_norm, foreach=True)
            step()
            self.updates += 1
            average.update(self.task.model, self.updates)
            yield loss, outputs, batch.targets

    def random_streams(self, epoch: int) -> contextlib.AbstractContextManager[None]:
        """Seed PyTorch's generators for this epoch within the `with` block, then restore them."""
        return seeded(derived_seed(self.config.seed, epoch, self.fold), self.task.device)

    def evaluate(self) -> dict[str, float]:
        """Return the scores on the validation samples, of the average if there is one."""
        with self._average.in_place_of(self.task.model):
            outputs = predict(self.task, self.config, self.task.validation.inputs)
        return self.task.prediction.scores(outputs, self.task.validation.targets)

    def state(self) -> NetworkState:
        """Return the state after the last epoch; it shares its tensors with this object."""
        return NetworkState(
            updates=self.updates,
            model=self.task.model.state_dict(),
            optimizer=self._optimizer.state_dict()["state"],
            average=self._average.weights,
        )

    def restore(self, state: NetworkState, epoch: int) -> None:
        """Resume from a copy of the state after `epoch`; hyperparameters stay the config's.

        Raises:
            ValueError: the state has another model or optimizer than the config.
        """
        load_weights(self.task.model, state.model)
        # Frozen as in that epoch: the next epoch unfreezes, if it is due.
        self._freeze(0 < epoch <= self.config.freeze_epochs)
        trained = self._trained()
        allowed = OPTIMIZERS[self.config.optimizer].memory
        for index, memory in state.optimizer.items():
            shapes = {tuple(v.shape) for v in memory.values() if isinstance(v, Tensor)}
            known = index < len(trained) and shapes <= {(), tuple(trained[index].shape)}
            if not (known and set(memory) <= allowed):
                raise ValueError(
                    f"the state is not from optimizer {self.config.optimizer!r} after {epoch} "
                    f"epochs, {self.config.freeze_epochs} of them frozen: resume it with the "
                    f"configuration that it was trained with, or start from the beginning"
                )
        # Only the memory of each parameter: param_groups would restore an old learning rate.
        content = self._optimizer.state_dict()
        content["state"] = state.optimizer
        self._optimizer.load_state_dict(content)
        self._average = WeightAverage(self.task.model, self.config.ema_decay)
        self._average.load(state.average)
        self.updates = state.updates

    def _accumulate(self, batch: Batch, part: int) -> tuple[Tensor, Tensor]:
        """Compute the gradient of a batch that passes through the network in parts."""
        whole = self.task.prediction.weight(batch.targets)
        losses, outputs = [], []
        sizes = self._sizes(len(batch.targets), part)
        for inputs, targets in zip(*(whole_of.split(sizes) for whole_of in batch), strict=True):
            share = self.task.prediction.weight(targets) / whole
            loss, out = self._backward(Batch(inputs, targets), share)
            losses.append(loss)
            outputs.append(out)
        return torch.stack(losses).sum(), torch.cat(outputs)

    def _backward(self, batch: Batch, share: Tensor | float | None = None) -> tuple[Tensor, Tensor]:
        """Add the gradient of a batch, or of a part with that share of the batch's loss."""
        with arithmetic(self.config.precision, self.task.device):
            loss, outputs = self.task.loss(batch)
            if share is not None:
                loss = loss * share
        loss.backward()
        return loss.detach(), outputs.detach()

    def _batch_sizes(self, epoch: int) -> list[int]:
        return self._sizes(self.task.samples, self.config.batch_size_in(epoch))

    def _sizes(self, samples: int, size: int) -> list[int]:
        """Return batch sizes: full batches and the rest. If a rest of one sample would be too
        small, it joins the batch before, since batch norm has no deviation of one sample."""
        sizes = [size] * (samples // size)
        rest = samples % size
        if 0 < rest < self.task.smallest_batch and sizes:
            sizes[-1] += rest
        elif rest:
            sizes.append(rest)
        return sizes

    def _trained(self) -> list[Tensor]:
        return [p for group in self._optimizer.param_groups for p in group["params"]]

    def _set_learning_rate(self, base: float, epoch: int, index: int, plateau: float) -> None:
        # Not the updates so far: a population's member may have made them with other batch sizes.
        total = self._begins[-1]
        steps = self._begins[epoch] - self._begins[epoch - 1]
        step = step_at(self.config, epoch, index, steps, total)
        rate = base * lr_factor(self.config, step, total, plateau)
        for group in self._optimizer.param_groups:
            group["lr"] = rate

    def _freeze(self, frozen: bool) -> None:
        """Create an optimizer, without memory, of the parameters that are trained now."""
        self._frozen = frozen
        freeze(self.task.model, frozen)
        self._optimizer = build_optimizer(self.config, self.task.model)

    def _learning_rate(self) -> float:
        return float(self._optimizer.param_groups[0]["lr"])

    def _step_log(self, epoch: int, listener: StepListener | None) -> StepLog:
        reported = self.config.epoch_after(epoch)

        def tell(step: LoggedStep) -> None:
            if listener is not None:
                listener(reported, step)

        scores = self.task.prediction.train_scores
        return StepLog(self.config.print_freq, self.task.device, scores, tell)


def predict(task: Task, config: TrainingConfig, inputs: Tensor) -> Tensor:
    """Return the outputs of a task's model in evaluation mode, float32 `[n, …]`, for inputs `[n,
    …]` in the task's own form."""
    task.model.eval()
    with torch.inference_mode(), arithmetic(config.precision, task.device):
        outputs = [task.outputs(some) for some in inputs.split(EVALUATION_BATCH)]
    return torch.cat(outputs).float()


def derived_seed(seed: int, epoch: int, fold: int) -> int:
    """Return the seed of a fold's random streams in an epoch (from 1), or of initial weights
    (0)."""
    entropy = (seed, epoch, fold)
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)


@contextlib.contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed PyTorch's generators within the `with` block, then restore them."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
