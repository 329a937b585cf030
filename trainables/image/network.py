"""A model together with what it needs of the data: the device, the layout, standardisation."""

import contextlib
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from trainables.data.partition import Partition
from trainables.data.splits import SearchData, as_tensor, standardisation
from trainables.image.augmentation import augment
from trainables.image.config import Config
from trainables.image.models import build_model
from trainables.training.metrics import classification_scores, confusion_matrix

# Images in one forward pass without gradients: large enough for the matrix units, and 32 channels
# of 28 x 28 floats still take only 100 MB.
EVALUATION_BATCH = 1024

# Of training images are fetched and changed at once, ten batches of the default: alone, a batch of
# them takes half as long again, most of it for the calls.
BYTES_TOGETHER = 2**20


class Network:
    """A model on its device that takes uint8 images.

    Args:
        config: the trial's hyperparameters.
        data: gives the shape of the images, the classes and the statistics of standardisation.
        device: where the model and its inputs live.
        partition: what the model is trained on.
        fold: from 0, for initial weights of its own.
    """

    def __init__(
        self,
        config: Config,
        data: SearchData,
        device: torch.device,
        partition: Partition,
        fold: int = 0,
    ) -> None:
        self.device = device
        self._shape = data.image_shape
        self._augmentation = config.augmentation
        self.needs_two = config.norm == "batch"
        """Whether it cannot be trained on a batch of one."""
        self._precision = config.precision
        # Convolutions run up to 1.3 times as fast on the CPU with channels last, more with
        # bfloat16; dense layers want a flat row, which is also the fastest to gather.
        self._flat = is_flat(config)
        self._format = torch.contiguous_format if self._flat else torch.channels_last

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(config.seed, 0, fold))
            model = build_model(config, data.image_shape, data.classes)
        self.model = model.to(device=device, memory_format=self._format)  # type: ignore[call-overload]

        mean, std = standardisation(data, partition.train, config.min_std)
        self._mean = (255 * mean).round().to(torch.uint8).reshape(-1, 1, 1).to(device)
        # (pixel / 255 - mean) / std, as one subtraction and one multiplication.
        shift, scale = 255 * mean, 1 / (255 * std)
        _, height, width = data.image_shape
        if self._flat:
            shift = shift.repeat_interleave(height * width)
            scale = scale.repeat_interleave(height * width)
        else:
            shift, scale = shift.reshape(-1, 1, 1), scale.reshape(-1, 1, 1)
        self._shift, self._scale = shift.to(device), scale.to(device)

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Copy a model's `state_dict` into this one.

        Raises:
            ValueError: the state is of another model than this one.
        """
        try:
            self.model.load_state_dict(weights)
        except RuntimeError as error:
            raise ValueError(
                f"the state is of another model than the config describes; give the config that it "
                f"was trained with ({error})"
            ) from None

    def standardise(self, images: Tensor) -> Tensor:
        """Turn a batch of placed images into the model's input: float32, standardised."""
        inputs = images.to(torch.float32, memory_format=self._format)
        return inputs.sub_(self._shift).mul_(self._scale)

    def batches(self, images: Tensor, order: Tensor, sizes: list[int]) -> Iterator[Tensor]:
        """Batches of training images, changed at random as the config says.

        Args:
            images: uint8, as `placed` has put them.
            order: indices of them, int64 `[n]`.
            sizes: of the batches; n together.
        """
        together = max(1, BYTES_TOGETHER // (sizes[0] * images[0].numel()))
        blocks = [sizes[begin : begin + together] for begin in range(0, len(sizes), together)]
        for block, indices in zip(blocks, order.split([sum(b) for b in blocks]), strict=True):
            chosen = images.index_select(0, indices)
            changed = augment(chosen.view(-1, *self._shape), self._augmentation, self._mean)
            yield from changed.view(chosen.shape).split(block)

    def arithmetic(self) -> contextlib.AbstractContextManager[object]:
        """The precision that forward pass and loss run under."""
        if self._precision == "bfloat16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        if self.device.type == "cuda":
            # Of the process, and so of the backward pass too; a trial before may have chosen else.
            # By the older of its two interfaces: after the newer one, asking the older is an error.
            torch.backends.cuda.matmul.allow_tf32 = self._precision == "tf32"
            torch.backends.cudnn.allow_tf32 = self._precision == "tf32"
        return contextlib.nullcontext()

    def predict(self, images: Tensor) -> Tensor:
        """Logits of placed images, float32 `[n, classes]`, in evaluation mode."""
        self.model.eval()
        with torch.inference_mode(), self.arithmetic():
            logits = [self.model(self.standardise(b)) for b in images.split(EVALUATION_BATCH)]
        return torch.cat(logits).float()


def scores(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Mean cross entropy in nats, accuracy, and macro precision, recall and F1.

    Args:
        logits: float `[n, classes]`.
        labels: int64 `[n]`.
    """
    loss = float(F.cross_entropy(logits, labels))
    confusion = confusion_matrix(logits.argmax(dim=1), labels, logits.shape[1])
    return {"loss": loss, **classification_scores(confusion)}


def is_flat(config: Config) -> bool:
    """Whether the model has dense layers alone, which take an image as a row."""
    return config.model in ("mlp", "linear")


def placed(images: NDArray[np.uint8], config: Config, device: torch.device) -> Tensor:
    """Put images on the device, as they are indexed by batch.

    Args:
        images: uint8 `[n, channels, height, width]`.
        config: of the model.
        device: where to.

    Returns:
        uint8, `[n, channels * height * width]` for a model of dense layers alone. On the CPU it
        shares the memory of `images`.
    """
    tensor = as_tensor(images).to(device)
    return tensor.flatten(1) if is_flat(config) else tensor


def derived_seed(seed: int, epoch: int, fold: int) -> int:
    """Seed of a fold's random streams of one epoch (from 1), or of its initial weights (0)."""
    entropy = (seed, epoch, fold)
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)


@contextlib.contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Inside, PyTorch's generators begin with `seed`; afterwards, they are what they were."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
