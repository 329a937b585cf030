"""The task of the image classifier: its network, batches of standardised images, scores."""

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainables.data.splits import Partition, SearchData, as_tensor, partitions
from trainables.image.augmentation import augment, mixed
from trainables.image.classification import SCORES, ClassificationLoss, balanced_weights, scores
from trainables.image.config import ImageConfig
from trainables.image.models import build_model
from trainables.training.state import State, load_weights
from trainables.training.task import Batch
from trainables.training.trainer import derived_seed, predict

BYTES_TOGETHER = 2**20
"""Bytes of training images that are fetched and augmented at once, ten batches of the default: a
single batch takes half as long again, most of it for the calls."""


@dataclass(frozen=True, eq=False)
class ImageData:
    """The images that trials use, and their device, to which all are copied once."""

    search: SearchData
    device: torch.device | str = "cpu"

    def tasks(self, config: ImageConfig) -> list["ImageTask"]:
        """Return one task, or one per fold; raises as `partitions`."""
        parts = self.partitions(config)
        device = torch.device(self.device)
        images = to_device(self.search.images, config, device)
        whole = Batch(images, as_tensor(self.search.labels).to(device))
        return [
            ImageTask(config, self.search, whole, part, fold) for fold, part in enumerate(parts)
        ]

    def partitions(self, config: ImageConfig) -> list[Partition]:
        """Return the images to train on and to validate on: one partition, or one per fold.

        Raises:
            ValueError: config and data are not compatible.
        """
        data, ratio = self.search, config.train_ratio
        found = partitions(data, train_ratio=ratio, folds=config.folds)
        if found[0].samples == 1 and config.norm == "batch" and not config.folds:
            raise ValueError(
                f"train_ratio {ratio} leaves one image of {data.name} to train on: norm 'batch' "
                f"needs 2; raise the ratio or choose another norm"
            )
        return found


class ImageTask:
    """A model on its device that takes uint8 images: a `Task` of the training loop.

    Args:
        config: configuration of the classifier.
        data: images with their shape, classes and statistics for standardisation.
        whole: all images, as returned by `to_device`, and their labels, int64 `[n]`.
        partition: images to train on and to validate on.
        fold: index of the fold, from 0; it determines the initial weights.
    """

    def __init__(
        self,
        config: ImageConfig,
        data: SearchData,
        whole: Batch,
        partition: Partition,
        fold: int = 0,
    ) -> None:
        self.device = whole.inputs.device
        self.samples = partition.samples
        self.smallest_batch = 2 if config.norm == "batch" else 1
        held_out = slice(partition.validation.start, partition.validation.stop)
        self.validation = Batch(whole.inputs[held_out], whole.targets[held_out])
        self._config, self._whole, self._shape = config, whole, data.image_shape
        blocks = [torch.arange(block.start, block.stop) for block in partition.train]
        self._indices = torch.cat(blocks).to(self.device)
        weights = None
        if config.class_weights == "balanced":
            weights = balanced_weights(whole.targets[self._indices], data.classes)
        self.objective = ClassificationLoss(
            kind=config.loss,
            focal_gamma=config.focal_gamma,
            label_smoothing=config.label_smoothing,
            class_weights=weights,
        )
        more = () if self.objective.is_plain else ("objective",)
        self.score_names: tuple[str, ...] = (*SCORES, *more)

        # On the CPU convolutions run up to 1.3 times as fast with channels last, more with
        # bfloat16; dense layers need a flat row, which is also the fastest to gather.
        self._format = torch.contiguous_format if is_flat(config) else torch.channels_last
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(config.seed, 0, fold))
            model = build_model(config, data.image_shape, data.classes)
        self.model: nn.Sequential = model.to(  # type: ignore[call-overload]
            device=self.device, memory_format=self._format
        )

        mean, std = standardisation(data, partition.train, config.min_std)
        self._mean = (255 * mean).round().to(torch.uint8).reshape(-1, 1, 1).to(self.device)
        # (pixel / 255 - mean) / std, as one subtraction and one multiplication.
        shift, scale = 255 * mean, 1 / (255 * std)
        _, height, width = data.image_shape
        if is_flat(config):
            shift = shift.repeat_interleave(height * width)
            scale = scale.repeat_interleave(height * width)
        else:
            shift, scale = shift.reshape(-1, 1, 1), scale.reshape(-1, 1, 1)
        self._shift, self._scale = shift.to(self.device), scale.to(self.device)

    def batches(self, sizes: Sequence[int]) -> Iterator[Batch]:
        """Yield the training images in a random order, augmented as configured."""
        order = self._indices[torch.randperm(self.samples).to(self.device)]
        targets = iter(self._whole.targets[order].split(list(sizes)))
        together = max(1, BYTES_TOGETHER // (sizes[0] * self._whole.inputs[0].numel()))
        blocks = [sizes[begin : begin + together] for begin in range(0, len(sizes), together)]
        for block, indices in zip(blocks, order.split([sum(b) for b in blocks]), strict=True):
            chosen = self._whole.inputs.index_select(0, indices)
            images = chosen.view(-1, *self._shape)
            changed = augment(images, self._config.augmentation, self._mean)
            yield from map(Batch, changed.view(chosen.shape).split(list(block)), targets)

    def standardise(self, images: Tensor) -> Tensor:
        """Convert a batch of images on the device to the model's input: float32, standardised."""
        inputs = images.to(torch.float32, memory_format=self._format)
        return inputs.sub_(self._shift).mul_(self._scale)

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return `Task.loss`; the outputs are the logits `[batch, classes]`."""
        inputs, targets = self.standardise(batch.inputs), batch.targets
        partner, own = None, 1.0
        if self._config.augmentation == "mixup":
            inputs, partner, own = mixed(inputs, self._config.mixup_alpha)
        # In bfloat16 a sum over the batch would keep only two digits.
        logits = self.model(inputs).float()
        loss = self.objective(logits, targets)
        if partner is not None:
            loss = own * loss + (1 - own) * self.objective(logits, targets[partner])
        return loss, logits

    def weight(self, targets: Tensor) -> Tensor | int:
        """Return the divisor of the mean of `loss` over these samples."""
        return self.objective.weight(targets)

    def outputs(self, inputs: Tensor) -> Tensor:
        """Return the logits of images on the device, `[n, classes]`."""
        logits: Tensor = self.model(self.standardise(inputs))
        return logits

    def train_scores(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Return the accuracy on the training images."""
        return {"accuracy": float((outputs.argmax(dim=1) == targets).sum()) / len(targets)}

    def scores(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Return the scores of a classifier, and `objective` if the training loss is not the plain
        cross entropy."""
        found = scores(outputs, targets)
        if not self.objective.is_plain:
            found["objective"] = float(self.objective(outputs, targets))
        return found


def standardisation(
    data: SearchData, blocks: Sequence[range], min_std: float
) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each channel over some blocks of the images.

    Args:
        data: the images.
        blocks: indices of images; each block is counted once for all trials of a process.
        min_std: lower bound of the standard deviation, in the same units.

    Returns:
        Two float32 tensors `[channels]`, in units of the full pixel range (0 to 1); the standard
        deviation is at least `min_std`.
    """
    histogram = np.sum([_histogram(data, block.start, block.stop) for block in blocks], axis=0)
    share = histogram / histogram.sum(axis=1, keepdims=True)
    level = np.arange(256) / 255
    mean = share @ level
    variance = (share * (level - mean[:, None]) ** 2).sum(axis=1)
    return (
        torch.tensor(mean, dtype=torch.float32),
        torch.tensor(np.sqrt(variance), dtype=torch.float32).clamp(min=min_std),
    )


# One pass over 48,000 Fashion-MNIST images takes longer than Tune takes to start a trial in a
# reused process, and all trials in such a process share their data.
@functools.lru_cache(maxsize=64)
def _histogram(data: SearchData, start: int, stop: int) -> NDArray[np.float64]:
    channels = data.images.shape[1]
    histogram = np.zeros((channels, 256))
    # In steps, since bincount widens its input to 8 bytes a pixel.
    for first in range(start, stop, 1024):
        for channel in range(channels):
            pixels = data.images[first : min(first + 1024, stop), channel].ravel()
            histogram[channel] += np.bincount(pixels, minlength=256)
    return histogram


def is_flat(config: ImageConfig) -> bool:
    """Return whether the model has dense layers alone, which take an image as a row."""
    return config.model in ("mlp", "linear")


def to_device(images: NDArray[np.uint8], config: ImageConfig, device: torch.device) -> Tensor:
    """Copy images to the device in the shape in which they are indexed: `[n, channels * height *
    width]` for dense layers alone. On the CPU the result shares the memory of `images`."""
    tensor = as_tensor(images).to(device)
    return tensor.flatten(1) if is_flat(config) else tensor


def evaluate_images(
    config: ImageConfig,
    state: State,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    data: ImageData,
) -> dict[str, float]:
    """Evaluate a trained state on other images, standardised as its training images were.

    The networks of several folds form an ensemble: their probabilities are averaged.

    Args:
        config: configuration that the state was trained with.
        state: weights; their moving average is used if there is one.
        images: uint8 `[k, channels, height, width]`.
        labels: int64 `[k]`.
        data: data that the state was trained on, and the device for the evaluation.

    Returns:
        `loss` (cross entropy in nats), `accuracy`, `precision`, `recall`, `f1` (macro).

    Raises:
        ValueError: the state has another model or number of folds than the config.
    """
    tasks = data.tasks(config)
    state.check_networks(len(tasks))
    device = torch.device(data.device)
    pixels = to_device(images, config, device)
    logits = []
    for task, network in zip(tasks, state.networks, strict=True):
        load_weights(task.model, {**network.model, **network.average})
        logits.append(predict(task, config, pixels))
    together = logits[0]
    if len(logits) > 1:
        # The logarithm of the mean probability.
        together = torch.stack([one.log_softmax(dim=1) for one in logits]).logsumexp(dim=0)
        together -= math.log(len(logits))
    return scores(together, as_tensor(labels).to(device))
