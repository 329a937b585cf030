"""The task of images: a network, and batches of standardised images."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainables.data.dataset import Part, SearchData, as_tensor
from trainables.data.splits import Partition, partitions
from trainables.image.augmentation import augment, mixed
from trainables.image.config import ImageConfig
from trainables.image.images import Images
from trainables.image.models import build_model, is_flat
from trainables.image.standardisation import Standardisation
from trainables.prediction.batch_norm import check_partitions, smallest_batch
from trainables.prediction.choice import check_loss, prediction_of
from trainables.training.state import load_pretrained
from trainables.training.task import Batch
from trainables.training.trainer import derived_seed

BYTES_TOGETHER = 2**20
"""Bytes of training images that are fetched and augmented at once, ten batches of the default: a
single batch takes half as long again, most of it for the calls."""


@dataclass(frozen=True, eq=False)
class ImageData:
    """The images that trials use, and their device, to which all are copied once: a `TaskData` of
    the training loop."""

    search: SearchData[Images]
    device: torch.device | str = "cpu"

    def check(self, config: ImageConfig) -> None:
        """Check config and pretrained weights against the images; raises as `TaskData.check`."""
        check_loss(config, self.search)
        self.partitions(config)
        if config.pretrained:
            width = self.search.classes or 1
            model = build_model(config, self.search.inputs.shape, width)
            load_pretrained(model, config.pretrained)

    def tasks(self, config: ImageConfig) -> list["ImageTask"]:
        """Return one task, or one per fold; raises as `partitions`."""
        parts = self.partitions(config)
        images = to_device(self.search.inputs, config, torch.device(self.device))
        return [
            ImageTask(config, self.search, images, part, fold) for fold, part in enumerate(parts)
        ]

    def partitions(self, config: ImageConfig) -> list[Partition]:
        """Return the images to train on and to validate on: one partition, or one per fold.

        Raises:
            ValueError: config and data are not compatible.
        """
        found = partitions(self.search, train_ratio=config.train_ratio, folds=config.folds)
        check_partitions(config, config.norm, self.search, found)
        return found

    def prepared(self, config: ImageConfig) -> dict[str, Any]:
        """Return `PreparedData.prepared`: the shape of an image, the shade behind transparent ones,
        and mean and standard deviation of each channel for each network."""
        spreads = [
            standardisation(self.search, part.train, config.min_std)
            for part in self.partitions(config)
        ]
        return {
            "shape": self.search.inputs.shape,
            "background": self.search.inputs.background,
            "networks": [{"mean": mean.tolist(), "std": std.tolist()} for mean, std in spreads],
        }


class ImageTask:
    """A model on its device that takes uint8 images: a `Task` of the training loop.

    Args:
        config: configuration of the network.
        data: images with their targets and statistics for standardisation.
        images: all images, as returned by `to_device`.
        partition: images to train on and to validate on.
        fold: index of the fold, from 0; it determines the initial weights.

    Raises:
        ValueError: as `prediction_of`.
    """

    def __init__(
        self,
        config: ImageConfig,
        data: SearchData[Images],
        images: Tensor,
        partition: Partition,
        fold: int = 0,
    ) -> None:
        self.device = images.device
        self.samples = partition.samples
        self.smallest_batch = smallest_batch(config.norm)
        self.facts: Mapping[str, float] = {}
        self._config, self._images, self._shape = config, images, data.inputs.shape
        blocks = [torch.arange(block.start, block.stop) for block in partition.train]
        self._indices = torch.cat(blocks).to(self.device)
        self.prediction = prediction_of(config, data, self._indices)
        self._targets = self.prediction.targets(as_tensor(data.targets).to(self.device))
        held_out = slice(partition.validation.start, partition.validation.stop)
        self.validation = Batch(images[held_out], self._targets[held_out])
        self.validation_rows = np.arange(held_out.start, held_out.stop)

        mean, std = standardisation(data, partition.train, config.min_std)
        self._mean = (255 * mean).round().to(torch.uint8).reshape(-1, 1, 1).to(self.device)
        self.standardise = Standardisation(
            mean, std, self._shape, flat=is_flat(config), device=self.device
        )
        """Converts a batch of images on the device to the model's input."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(config.seed, 0, fold))
            model = build_model(config, self._shape, self.prediction.width)
        self.model: nn.Sequential = model.to(  # type: ignore[call-overload]
            device=self.device, memory_format=self.standardise.format
        )

    def batches(self, sizes: Sequence[int]) -> Iterator[Batch]:
        """Yield the training images in a random order, augmented as configured."""
        order = self._indices[torch.randperm(self.samples).to(self.device)]
        targets = iter(self._targets[order].split(list(sizes)))
        together = max(1, BYTES_TOGETHER // (sizes[0] * self._images[0].numel()))
        blocks = [sizes[begin : begin + together] for begin in range(0, len(sizes), together)]
        for block, indices in zip(blocks, order.split([sum(b) for b in blocks]), strict=True):
            chosen = self._images.index_select(0, indices)
            images = chosen.view(-1, *self._shape)
            changed = augment(images, self._config.augmentation, self._mean)
            yield from map(Batch, changed.view(chosen.shape).split(list(block)), targets)

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return `Task.loss`; the outputs are `[batch, classes]`, or `[batch, 1]` for numbers."""
        inputs, targets = self.standardise(batch.inputs), batch.targets
        partner, own = None, 1.0
        if self._config.augmentation == "mixup":
            inputs, partner, own = mixed(inputs, self._config.mixup_alpha)
        # In bfloat16 a sum over the batch would keep only two digits.
        outputs = self.model(inputs).float()
        loss = self.prediction.loss(outputs, targets)
        if partner is not None:
            loss = own * loss + (1 - own) * self.prediction.loss(outputs, targets[partner])
        return loss, outputs

    def outputs(self, inputs: Tensor) -> Tensor:
        """Return the outputs of the model for images on the device, `[n, classes]` or `[n, 1]`."""
        found: Tensor = self.model(self.standardise(inputs))
        return found

    def held_out(self, part: Part[Images]) -> Batch:
        """Return other images, which `outputs` standardises as the training images."""
        images = to_device(part.inputs, self._config, self.device)
        return Batch(images, self.prediction.targets(as_tensor(part.targets).to(self.device)))


def standardisation(
    data: SearchData[Images], blocks: Sequence[range], min_std: float
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
def _histogram(data: SearchData[Images], start: int, stop: int) -> NDArray[np.float64]:
    images = data.inputs.pixels
    channels = images.shape[1]
    histogram = np.zeros((channels, 256))
    # In steps, since bincount widens its input to 8 bytes a pixel.
    for first in range(start, stop, 1024):
        for channel in range(channels):
            pixels = images[first : min(first + 1024, stop), channel].ravel()
            histogram[channel] += np.bincount(pixels, minlength=256)
    return histogram


def to_device(images: Images, config: ImageConfig, device: torch.device) -> Tensor:
    """Copy images to the device in the shape in which they are indexed: `[n, channels * height *
    width]` for dense layers alone. On the CPU the result shares the memory of `images`."""
    tensor = as_tensor(images.pixels).to(device)
    return tensor.flatten(1) if is_flat(config) else tensor
