"""One network in training: the updates of an epoch, and its state before and after."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from trainables.data.partition import Partition, partitions
from trainables.data.splits import SearchData, as_tensor
from trainables.image.augmentation import mixed
from trainables.image.config import Config
from trainables.image.network import Network, derived_seed, placed, scores, seeded
from trainables.training.losses import balanced_weights, is_plain, objective, weight_of
from trainables.training.optimizers import MEMORY, build_optimizer, clip_gradients, step_of
from trainables.training.pretrained import freeze, keep_statistics, load_pretrained
from trainables.training.schedules import lr_factor, step_at
from trainables.training.state import NetworkState
from trainables.training.weight_average import WeightAverage

# A look at the loss waits for the device; every 32 steps it costs nothing that can be measured, and
# a diverged trial wastes at most 31 updates.
STEPS_PER_LOOK = 32


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """What came of an epoch of training."""

    loss: float
    """Mean of what is minimised, over the samples, while the weights change."""
    accuracy: float
    samples: int
    """Fewer than all where the loss became non-finite, which ends the epoch."""
    learning_rate: float
    """Of the last update."""
    step_losses: list[tuple[int, float]]
    """Every `print_freq` updates: its number in the run, from 1, and its loss."""


def trainings(config: Config, data: SearchData, device: torch.device) -> list["Training"]:
    """One network in training, or one a fold; the images are on the device once.

    Raises:
        ValueError: config and data do not fit together.
    """
    images, labels = placed(data.images, config, device), as_tensor(data.labels).to(device)
    return [
        Training(config, data, images, labels, partition, fold)
        for fold, partition in enumerate(partitions(config, data))
    ]


class Training:
    """A network and its optimizer, beside its data on their device.

    Args:
        config: the trial's hyperparameters.
        data: what trials see of the dataset.
        images: all of its images, as `placed` has put them.
        labels: int64 `[n]`, on the same device.
        partition: which of them to train on.
        fold: from 0, for random streams of its own.
    """

    def __init__(
        self,
        config: Config,
        data: SearchData,
        images: Tensor,
        labels: Tensor,
        partition: Partition,
        fold: int = 0,
    ) -> None:
        self.config = config
        self.fold = fold
        self.device = images.device
        self.network = Network(config, data, self.device, partition, fold)
        self.updates = 0
        self.plateau = 1.0
        """What the schedule "plateau" has come to."""
        self.samples = partition.samples
        held_out = slice(partition.validation.start, partition.validation.stop)
        self.validation = images[held_out], labels[held_out]
        """Images and labels."""
        self._images, self._labels = images, labels
        blocks = [torch.arange(block.start, block.stop) for block in partition.train]
        self._indices = torch.cat(blocks).to(self.device)
        self._class_weights = None
        if config.class_weights == "balanced":
            self._class_weights = balanced_weights(labels[self._indices], data.classes)
        lengths = [len(self._batch_sizes(epoch)) for epoch in range(1, config.epochs + 1)]
        self._begins = list(accumulate(lengths, initial=0))
        """The step that each epoch begins with; last, the number of them all."""
        self._average = WeightAverage(self.network.model, config.ema_decay)
        self._freeze(config.freeze_epochs > 0)

    def start_from_pretrained(self) -> None:
        """Take the weights that `config.pretrained` names, if it names any.

        Raises:
            ValueError: they cannot be had, or are of another network.
        """
        if self.config.pretrained:
            load_pretrained(self.network.model, self.config.pretrained)
            self._average = WeightAverage(self.network.model, self.config.ema_decay)

    def run_epoch(self, epoch: int) -> EpochResult:
        """Train on every image once, in an order and with a dropout and an augmentation that seed
        and epoch determine."""
        if self._frozen and epoch > self.config.freeze_epochs:
            self._freeze(False)
        losses: list[Tensor] = []
        logits: list[Tensor] = []
        begun = self.updates
        with self.random_streams(epoch):
            order = self._indices[torch.randperm(self.samples).to(self.device)]
            for loss, outputs in self.steps(order, epoch):
                losses.append(loss)
                logits.append(outputs)
                if len(losses) % STEPS_PER_LOOK == 0 and not _all_finite(losses[-STEPS_PER_LOOK:]):
                    break
        predicted = torch.cat(logits).argmax(dim=1)
        hits = (predicted == self._labels[order[: len(predicted)]]).sum()
        sizes = torch.tensor([len(batch) for batch in logits], device=self.device)
        by_step = torch.stack(losses)
        return EpochResult(
            loss=float((by_step * sizes).sum() / len(predicted)),
            accuracy=float(hits) / len(predicted),
            samples=len(predicted),
            learning_rate=float(self._optimizer.param_groups[0]["lr"]),
            step_losses=self._logged(begun, by_step),
        )

    def steps(self, order: Tensor, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Make one update for each batch of `order`.

        Args:
            order: indices of images, int64 `[n]`, on the device.
            epoch: from 1.

        Yields:
            The batch's loss, a scalar, and its logits `[batch, classes]`, both from before the
            update and left on the device.
        """
        config, optimizer, average = self.config, self._optimizer, self._average
        step, sizes = step_of(optimizer), self._batch_sizes(epoch, len(order))
        part = config.batch_size_in(epoch) // config.accumulation_steps
        trained = [p for group in optimizer.param_groups for p in group["params"]]
        self._training_mode()
        batches = self.network.batches(self._images, order, sizes)
        targets = self._labels[order].split(sizes)
        for index, (images, target) in enumerate(zip(batches, targets, strict=True)):
            self._set_learning_rate(epoch, index)
            optimizer.zero_grad(set_to_none=True)
            if config.accumulation_steps == 1 or len(images) <= part:
                loss, logits = self._backward(images, target)
            else:
                loss, logits = self._accumulate(images, target, part)
            if config.grad_clip_norm:
                clip_gradients(trained, config.grad_clip_norm)
            step()
            self.updates += 1
            average.update(self.network.model, self.updates)
            yield loss, logits

    def random_streams(self, epoch: int) -> contextlib.AbstractContextManager[None]:
        """Inside, PyTorch's generators are those of this epoch; afterwards, what they were."""
        return seeded(derived_seed(self.config.seed, epoch, self.fold), self.device)

    def evaluate(self) -> dict[str, float]:
        """Scores on the validation images, of the average where one is kept; `objective` among them
        where what is minimised is not the plain cross entropy."""
        images, labels = self.validation
        with self._average.in_place_of(self.network.model):
            logits = self.network.predict(images)
        found = scores(logits, labels)
        if not is_plain(self.config):
            own = objective(self.config, logits, labels, self._class_weights)
            found["objective"] = float(own)
        return found

    def state(self) -> NetworkState:
        """The state after the last epoch, which shares its tensors with this object."""
        return NetworkState(
            updates=self.updates,
            model=self.network.model.state_dict(),
            optimizer=self._optimizer.state_dict()["state"],
            average=self._average.weights,
        )

    def restore(self, state: NetworkState, epoch: int) -> None:
        """Go on from a state after `epoch`, a copy of one; hyperparameters stay the config's.

        Raises:
            ValueError: the state is of another model or optimizer than the config's.
        """
        self.network.load_weights(state.model)
        # As it was in that epoch: the one after it thaws, if it is to.
        self._freeze(0 < epoch <= self.config.freeze_epochs)
        trained = [p for group in self._optimizer.param_groups for p in group["params"]]
        allowed = MEMORY[self.config.optimizer]
        for index, memory in state.optimizer.items():
            shapes = {tuple(v.shape) for v in memory.values() if isinstance(v, Tensor)}
            known = index < len(trained) and shapes <= {(), tuple(trained[index].shape)}
            if not (known and set(memory) <= allowed):
                raise ValueError(
                    f"the state is not from optimizer {self.config.optimizer!r} after {epoch} "
                    f"epochs, {self.config.freeze_epochs} of them frozen: resume it under what it "
                    f"was trained with, or start afresh"
                )
        # Only the memory of each parameter: param_groups would bring an old learning rate back.
        content = self._optimizer.state_dict()
        content["state"] = state.optimizer
        self._optimizer.load_state_dict(content)
        self._average = WeightAverage(self.network.model, self.config.ema_decay)
        self._average.load(state.average)
        self.updates = state.updates

    def _accumulate(self, images: Tensor, target: Tensor, part: int) -> tuple[Tensor, Tensor]:
        """The gradient of a batch that is passed through the network in parts."""
        whole = weight_of(self.config, target, self._class_weights)
        losses, logits = [], []
        parts = self._sizes(len(images), part)
        for some, labels in zip(images.split(parts), target.split(parts), strict=True):
            share = weight_of(self.config, labels, self._class_weights) / whole
            loss, outputs = self._backward(some, labels, share)
            losses.append(loss)
            logits.append(outputs)
        return torch.stack(losses).sum(), torch.cat(logits)

    def _backward(
        self, images: Tensor, target: Tensor, share: Tensor | float | None = None
    ) -> tuple[Tensor, Tensor]:
        """Add the gradient of a batch, or of its part, which has that share of the batch's loss."""
        config, network, weights = self.config, self.network, self._class_weights
        inputs = network.standardise(images)
        partner, own = None, 1.0
        if config.augmentation == "mixup":
            inputs, partner, own = mixed(inputs, config.mixup_alpha)
        with network.arithmetic():
            # Of bfloat16 a sum over the batch would keep two digits.
            logits = network.model(inputs).float()
            loss = objective(config, logits, target, weights)
            if partner is not None:
                loss = own * loss + (1 - own) * objective(config, logits, target[partner], weights)
            if share is not None:
                loss = loss * share
        loss.backward()
        return loss.detach(), logits.detach()

    def _batch_sizes(self, epoch: int, samples: int | None = None) -> list[int]:
        return self._sizes(samples or self.samples, self.config.batch_size_in(epoch))

    def _sizes(self, samples: int, size: int) -> list[int]:
        """So many, and what is left; where one alone would be, it goes to those before it, since
        the batch norm of a dense layer has no deviation of one."""
        sizes = [size] * (samples // size)
        rest = samples % size
        if rest == 1 and sizes and self.network.needs_two:
            sizes[-1] += 1
        elif rest:
            sizes.append(rest)
        return sizes

    def _set_learning_rate(self, epoch: int, index: int) -> None:
        # Not the updates so far: a population's member may have made them with other batches.
        total = self._begins[-1]
        steps = self._begins[epoch] - self._begins[epoch - 1]
        step = step_at(self.config, epoch, index, steps, total)
        factor = lr_factor(self.config, step, total, self.plateau)
        rate = self.config.learning_rate_in(epoch) * factor
        for group in self._optimizer.param_groups:
            group["lr"] = rate

    def _freeze(self, frozen: bool) -> None:
        """Makes an optimizer of what is trained now, which remembers nothing yet."""
        self._frozen = frozen
        freeze(self.network.model, frozen)
        self._optimizer = build_optimizer(self.config, self.network.model)

    def _training_mode(self) -> None:
        self.network.model.train()
        if self._frozen:
            keep_statistics(self.network.model)

    def _logged(self, begun: int, losses: Tensor) -> list[tuple[int, float]]:
        each = self.config.print_freq
        steps = [n for n in range(begun + 1, begun + len(losses) + 1) if each and n % each == 0]
        if not steps:
            return []
        chosen = losses[[step - begun - 1 for step in steps]].tolist()
        return list(zip(steps, chosen, strict=True))


def _all_finite(losses: list[Tensor]) -> bool:
    return bool(torch.stack(losses).isfinite().all())
