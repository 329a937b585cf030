"""One model in training: the updates of an epoch, and its state before and after."""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from trainables.config import Config
from trainables.data import SearchData, as_tensor, train_count
from trainables.network import Network, derived_seed
from trainables.optimizers import build_optimizer, step_of
from trainables.state import State, snapshot

# A look at the loss waits for the device; every 32 steps it costs nothing that can be measured, and
# a diverged trial wastes at most 31 updates.
STEPS_PER_LOOK = 32

OPTIMIZER_MEMORY = {"sgd": {"momentum_buffer"}, "adam": {"step", "exp_avg", "exp_avg_sq"}}


class Training:
    """A network, its optimizer and its training data, all on one device.

    Args:
        config: the trial's hyperparameters.
        data: what trials see of the dataset.
        device: where to train; the training images are moved there.

    Raises:
        ValueError: `config.train_ratio` does not fit the data.
    """

    def __init__(self, config: Config, data: SearchData, device: torch.device) -> None:
        self.config = config
        self.network = Network(config, data, device)
        self.samples = train_count(data, config.train_ratio)
        self.updates = 0
        self._device = device
        self._optimizer = build_optimizer(config, self.network.model)
        self._images = self.network.place(data.train_images[: self.samples])
        self._labels = as_tensor(data.train_labels[: self.samples]).to(device)

    def run_epoch(self, epoch: int) -> tuple[float, float, int]:
        """Train on every image once, in an order and with a dropout that seed and epoch determine,
        and with the learning rate of that epoch.

        Returns:
            Mean loss in nats, accuracy, and the images trained on: fewer than all where the loss
            became non-finite, which ends the epoch.
        """
        losses: list[Tensor] = []
        logits: list[Tensor] = []
        for group in self._optimizer.param_groups:
            group["lr"] = self.config.learning_rate_in(epoch)
        with self.random_streams(epoch):
            order = torch.randperm(self.samples).to(self._device)
            for loss, outputs in self.steps(order):
                losses.append(loss)
                logits.append(outputs)
                if len(losses) % STEPS_PER_LOOK == 0 and not _all_finite(losses[-STEPS_PER_LOOK:]):
                    break
        predicted = torch.cat(logits).argmax(dim=1)
        hits = (predicted == self._labels[order[: len(predicted)]]).sum()
        sizes = torch.tensor([len(batch) for batch in logits], device=self._device)
        mean_loss = (torch.stack(losses) * sizes).sum() / len(predicted)
        return float(mean_loss), float(hits) / len(predicted), len(predicted)

    def steps(self, order: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Make one update for each batch of `order`.

        Args:
            order: indices of training images, int64 `[n]`, on the device.

        Yields:
            The batch's loss in nats, a scalar, and its logits `[batch, classes]`, both from before
            the update and left on the device.
        """
        network, optimizer = self.network, self._optimizer
        step, smoothing = step_of(optimizer), self.config.label_smoothing
        network.model.train()
        batches = order.split(self.config.batch_size)
        targets = self._labels[order].split(self.config.batch_size)
        for batch, target in zip(batches, targets, strict=True):
            inputs = network.standardise(self._images.index_select(0, batch))
            optimizer.zero_grad(set_to_none=True)
            with network.arithmetic():
                logits = network.model(inputs)
                loss = F.cross_entropy(logits, target, label_smoothing=smoothing)
            loss.backward()
            step()
            self.updates += 1
            yield loss.detach(), logits.detach()

    def random_streams(self, epoch: int) -> contextlib.AbstractContextManager[None]:
        """Inside, PyTorch's generators are those of this epoch; afterwards, what they were."""
        return _seeded(derived_seed(self.config.seed, epoch), self._device)

    def state(self, epoch: int) -> State:
        """The state after `epoch`, which shares its tensors with this object."""
        return State(
            epoch=epoch,
            updates=self.updates,
            model=self.network.model.state_dict(),
            optimizer=self._optimizer.state_dict()["state"],
        )

    def restore(self, state: State) -> None:
        """Go on from a state, which is copied; hyperparameters stay those of the config.

        Raises:
            ValueError: the state is of another model or optimizer than the config's.
        """
        self.network.load_weights(state)
        allowed = OPTIMIZER_MEMORY[self.config.optimizer]
        if any(not set(memory) <= allowed for memory in state.optimizer.values()):
            raise ValueError(
                f"the state is not from optimizer {self.config.optimizer!r}: resume it under the "
                f"optimizer that it was trained with, or start afresh"
            )
        # Only the memory of each parameter: param_groups would bring an old learning rate back.
        content = self._optimizer.state_dict()
        content["state"] = snapshot(state).optimizer
        self._optimizer.load_state_dict(content)
        self.updates = state.updates


@contextlib.contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _all_finite(losses: list[Tensor]) -> bool:
    return bool(torch.stack(losses).isfinite().all())
