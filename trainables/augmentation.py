"""Augmentation of whole batches on the device, from the random streams of the epoch."""

import functools

import torch
from torch import Tensor
from torch.nn import functional as F

SHIFT = 2
"""Pixels at most, each way: of 28 or 32, as much as 4 of 40 in the usual padded crop."""

ERASED_SHARE = (0.02, 0.2)
"""Of the image's area that random erasing covers."""

ERASED_PROBABILITY = 0.5


def augment(images: Tensor, kind: str) -> Tensor:
    """Change standardised images at random; 0 (the mean) comes in where pixels are missing.

    - shift: by up to `SHIFT` pixels each way, each image by its own.
    - shift_flip: and left to right, half of them.
    - erasing: shifted, flipped, and a rectangle of half of them set to the mean (Zhong et al. 2020,
      *Random Erasing Data Augmentation*, algorithm 1, with one side ratio of 0.3 to 3.3).

    Args:
        images: float `[batch, channels, height, width]`.
        kind: the field `augmentation`.

    Returns:
        As `images`; they themselves where nothing is changed.
    """
    if kind in ("shift", "shift_flip", "erasing"):
        images = shifted(images, flip=kind != "shift")
    if kind == "erasing":
        images = erased(images)
    return images


def shifted(images: Tensor, *, flip: bool) -> Tensor:
    """Each image moved by its own number of pixels, and mirrored or not, in one gather."""
    batch, channels, height, width = images.shape
    places = _places(height, width, flip).to(images.device)
    chosen = places.index_select(0, torch.randint(len(places), (batch,), device=images.device))
    # What lies outside is the last column.
    flat = F.pad(images.reshape(batch, channels, height * width), (0, 1))
    index = chosen.unsqueeze(1).expand(-1, channels, -1)
    return flat.gather(2, index).view(batch, channels, height, width)


@functools.lru_cache(maxsize=8)
def _places(height: int, width: int, flip: bool) -> Tensor:
    """Where each pixel comes from under every shift, and every mirrored one, int64
    `[shifts, height * width]`; height * width is outside."""
    pixels = torch.arange(height * width).reshape(1, height, width)
    mirrors = (pixels, pixels.flip(2)) if flip else (pixels,)
    padded = [F.pad(p, (SHIFT, SHIFT, SHIFT, SHIFT), value=height * width) for p in mirrors]
    windows = [p.unfold(1, height, 1).unfold(2, width, 1).flatten(3) for p in padded]
    return torch.cat(windows).reshape(-1, height * width)


def erased(images: Tensor) -> Tensor:
    """Half of the images with a rectangle set to 0."""
    batch, _, height, width = images.shape
    device = images.device
    low, high = ERASED_SHARE
    area = (low + (high - low) * torch.rand(batch, device=device)) * height * width
    # Uniform on the log scale, so that tall and wide are as likely.
    ratio = torch.exp((2 * torch.rand(batch, device=device) - 1) * 1.2)
    tall, wide = (area * ratio).sqrt().clamp(max=height), (area / ratio).sqrt().clamp(max=width)
    top = torch.rand(batch, device=device) * (height - tall)
    left = torch.rand(batch, device=device) * (width - wide)
    rows = torch.arange(height, device=device)
    columns = torch.arange(width, device=device)
    chosen = torch.rand(batch, device=device) < ERASED_PROBABILITY
    in_rows = (rows >= top[:, None]) & (rows < (top + tall)[:, None]) & chosen[:, None]
    in_columns = (columns >= left[:, None]) & (columns < (left + wide)[:, None])
    hole = in_rows.to(images)[:, None, :, None] * in_columns.to(images)[:, None, None, :]
    # As a mask would do it, in half the time on a CPU.
    return torch.addcmul(images, images, hole, value=-1)


def mixed(images: Tensor, alpha: float) -> tuple[Tensor, Tensor, float]:
    """Mixup (Zhang et al. 2018, section 2): each image with another one of the batch.

    Args:
        images: float `[batch, ...]`.
        alpha: of the Beta distribution that the share λ is drawn from, one for the batch.

    Returns:
        λ x + (1 - λ) x', the indices of x' in the batch, and λ: the loss is mixed alike.
    """
    share = float(torch.distributions.Beta(alpha, alpha).sample())
    # The larger one: an image's own label is then the one that it is more of.
    share = max(share, 1 - share)
    partner = torch.randperm(len(images), device=images.device)
    return torch.lerp(images[partner], images, share), partner, share
