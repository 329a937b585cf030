"""One model in training: the updates of an epoch, and its state before and after."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainables.augmentation import augment, mixed
from trainables.average import WeightAverage
from trainables.config import Config
from trainables.losses import balanced_weights, divisor, total_loss
from trainables.network import Network, derived_seed
from trainables.optimizers import MEMORY, build_optimizer, clip_gradients, step_of
from trainables.schedules import lr_factor
from trainables.state import State, snapshot

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


class Training:
    """A network, its optimizer and its training data, all on one device.

    Args:
        config: the trial's hyperparameters.
        network: to be trained.
        images: placed images, `[n, ...]`.
        labels: int64 `[n]`, on the device.
        samples: indices of the images to train on, int64 `[m]`, on the device.
    """

    def __init__(
        self, config: Config, network: Network, images: Tensor, labels: Tensor, samples: Tensor
    ) -> None:
        self.config = config
        self.network = network
        self.updates = 0
        self.plateau = 1.0
        """What the schedule "plateau" has come to."""
        self._images, self._labels, self._samples = images, labels, samples
        self._weights = None
        if config.class_weights == "balanced":
            self._weights = balanced_weights(labels[samples], network.classes)
        sizes = [config.batch_size_in(epoch) for epoch in range(1, config.epochs + 1)]
        self._total_steps = sum(-(-len(samples) // size) for size in sizes)
        self._frozen = config.freeze_epochs > 0
        self._build_optimizer()
        self.average = WeightAverage(network.model, config.ema_decay) if config.ema_decay else None

    def run_epoch(self, epoch: int) -> EpochResult:
        """Train on every image once, in an order and with a dropout and an augmentation that seed
        and epoch determine."""
        if self._frozen and epoch > self.config.freeze_epochs:
            self._frozen = False
            self._build_optimizer()
        losses: list[Tensor] = []
        logits: list[Tensor] = []
        begun, print_freq = self.updates, self.config.print_freq
        with self.random_streams(epoch):
            order = self._samples[torch.randperm(len(self._samples)).to(self._samples.device)]
            for loss, outputs in self.steps(order, self.config.batch_size_in(epoch)):
                losses.append(loss)
                logits.append(outputs)
                if len(losses) % STEPS_PER_LOOK == 0 and not _all_finite(losses[-STEPS_PER_LOOK:]):
                    break
        predicted = torch.cat(logits).argmax(dim=1)
        hits = (predicted == self._labels[order[: len(predicted)]]).sum()
        sizes = torch.tensor([len(batch) for batch in logits], device=predicted.device)
        by_step = torch.stack(losses)
        logged = range(print_freq - 1 - begun % print_freq, len(losses), print_freq) if print_freq else []
        return EpochResult(
            loss=float((by_step * sizes).sum() / len(predicted)),
            accuracy=float(hits) / len(predicted),
            samples=len(predicted),
            learning_rate=self._optimizer.param_groups[0]["lr"],
            step_losses=[
                (begun + step + 1, loss)
                for step, loss in zip(logged, by_step[list(logged)].tolist(), strict=True)
            ],
        )

    def steps(self, order: Tensor, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Make one update for each batch of `order`.

        Args:
            order: indices of images, int64 `[n]`, on the device.
            batch_size: samples in an update.

        Yields:
            The batch's loss, a scalar, and its logits `[batch, classes]`, both from before the
            update and left on the device.
        """
        config, network, optimizer = self.config, self.network, self._optimizer
        step, targets = step_of(optimizer), self._labels[order]
        trained = [p for group in optimizer.param_groups for p in group["params"]]
        part = -(-batch_size // config.accumulation_steps)
        self._training_mode()
        for batch, target in zip(order.split(batch_size), targets.split(batch_size), strict=True):
            rate = self._learning_rate()
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad(set_to_none=True)
            shared = divisor(config, target, self._weights)
            parts = [
                self._backward(indices, labels, shared)
                for indices, labels in zip(batch.split(part), target.split(part), strict=True)
            ]
            if config.grad_clip_norm:
                clip_gradients(trained, config.grad_clip_norm)
            step()
            self.updates += 1
            if self.average is not None:
                self.average.update(network.model)
            losses, outputs = zip(*parts, strict=True)
            yield (losses[0], outputs[0]) if len(parts) == 1 else (sum(losses), torch.cat(outputs))

    def _backward(self, batch: Tensor, target: Tensor, shared: Tensor | int) -> tuple[Tensor, Tensor]:
        """Adds the gradients of a part of a batch; its share of the loss, and its logits."""
        config, network = self.config, self.network
        inputs = network.standardise(self._images.index_select(0, batch))
        with network.arithmetic():
            if config.augmentation == "mixup":
                inputs, partner, share = mixed(inputs, config.mixup_alpha)
                logits = network.model(inputs)
                loss = torch.lerp(
                    total_loss(config, logits, target[partner], self._weights),
                    total_loss(config, logits, target, self._weights),
                    share,
                )
            else:
                logits = network.model(network.augmented(inputs, config.augmentation))
                loss = total_loss(config, logits, target, self._weights)
            loss = loss / shared
        loss.backward()
        return loss.detach(), logits.detach()

    def _learning_rate(self) -> float:
        config = self.config
        if config.learning_rate_schedule:
            return config.learning_rate_in(1 + self._epoch_of(self.updates))
        factor = lr_factor(config, self.updates, self._total_steps, self.plateau)
        return config.peak_learning_rate * factor
