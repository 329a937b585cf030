"""Augmentation of whole batches on the device, with the random streams of the epoch."""

import functools

import torch
from torch import Tensor
from torch.nn import functional as F

SHIFT = 2
"""Largest shift in pixels in each direction: for 28 or 32 pixels as much as 4 of 40 in the usual
padded crop."""

ERASED_SHARE = (0.02, 0.2)
"""Smallest and largest share of the image's area that random erasing covers."""


def augment(images: Tensor, kind: str, mean: Tensor) -> Tensor:
    """Change images at random, as bytes: with a quarter of the memory traffic of floats.

    - shift: by up to `SHIFT` pixels in each direction, separately for each image; black fills the
      border, as in the usual padded crop.
    - shift_flip: also mirrored left to right, with probability 1/2.
    - erasing: shift and flip, and a rectangle of half of the images set to the mean (Zhong et al.
      2020, *Random Erasing Data Augmentation*, algorithm 1, with a single range of side ratios, 0.3
      to 3.3; in table 5 the mean is as good as noise, and better than black).

    Args:
        images: uint8 `[batch, channels, height, width]`.
        kind: value of the field `augmentation`.
        mean: mean of the training images, uint8 `[channels, 1, 1]`, on their device.

    Returns:
        Images with the shape of `images`; the same tensor if nothing is changed.
    """
    if kind in ("shift", "shift_flip", "erasing"):
        images = shifted(images, flip=kind != "shift")
    if kind == "erasing":
        images = erased(images, mean)
    return images


def shifted(images: Tensor, *, flip: bool) -> Tensor:
    """Shift each image by its own number of pixels, and mirror some, in one gather."""
    batch, channels, height, width = images.shape
    places = _places(height, width, flip, images.device)
    chosen = places.index_select(0, torch.randint(len(places), (batch,), device=images.device))
    # The last column stands for all pixels outside the image.
    flat = F.pad(images.reshape(batch, channels, height * width), (0, 1))
    index = chosen.unsqueeze(1).expand(-1, channels, -1)
    return flat.gather(2, index).view(batch, channels, height, width)


@functools.lru_cache(maxsize=8)
def _places(height: int, width: int, flip: bool, device: torch.device) -> Tensor:
    """Return the source of each pixel under every shift, and every mirrored shift, int64
    `[shifts, height * width]`; height * width stands for outside."""
    pixels = torch.arange(height * width).reshape(1, height, width)
    mirrors = (pixels, pixels.flip(2)) if flip else (pixels,)
    padded = [F.pad(p, (SHIFT, SHIFT, SHIFT, SHIFT), value=height * width) for p in mirrors]
    windows = [p.unfold(1, height, 1).unfold(2, width, 1).flatten(3) for p in padded]
    return torch.cat(windows).reshape(-1, height * width).to(device)


def erased(images: Tensor, mean: Tensor) -> Tensor:
    """Set a rectangle of half of the images to `mean`."""
    batch, _, height, width = images.shape
    low, high = ERASED_SHARE
    u_area, u_ratio, u_top, u_left, u_erased = torch.rand(5, batch, 1, device=images.device)
    side = ((low + (high - low) * u_area) * (height * width)).sqrt_()
    # Uniform on the log scale, so that tall and wide rectangles are equally likely.
    ratio = torch.exp((u_ratio - 0.5) * 1.2)
    tall, wide = (side * ratio).clamp_(max=height), (side / ratio).clamp_(max=width)
    tall *= u_erased < 0.5
    rows = _band(u_top * (height - tall), tall, height)
    columns = _band(u_left * (width - wide), wide, width)
    hole = (rows[:, :, None] & columns[:, None, :]).unsqueeze(1)
    # Selects `mean` where the hole has ones: a choice by bits costs a fifth of one by a mask.
    return images ^ ((images ^ mean) & hole)


def _band(begin: Tensor, length: Tensor, size: int) -> Tensor:
    """Return 255 from `begin` for `length` elements, else 0, uint8 `[batch, size]`."""
    places = torch.arange(size, device=begin.device)
    return ((places >= begin) & (places < begin + length)).to(torch.uint8).mul_(255)


def mixed(images: Tensor, alpha: float) -> tuple[Tensor, Tensor, float]:
    """Mix each image with another one of the batch: mixup (Zhang et al. 2018, section 2).

    Args:
        images: float `[batch, ...]`.
        alpha: parameter of the Beta distribution of the share λ, drawn once for the batch.

    Returns:
        λ x + (1 - λ) x', the indices of x' in the batch, and λ: the losses are mixed equally.
    """
    share = float(_beta(alpha).sample())
    # Use the larger share, so that an image's own label is that of its larger part.
    share = max(share, 1 - share)
    partner = torch.randperm(len(images), device=images.device)
    return torch.lerp(images[partner], images, share), partner, share


@functools.lru_cache(maxsize=1)
def _beta(alpha: float) -> torch.distributions.Beta:
    # Checking the arguments would take four times as long as a sample.
    return torch.distributions.Beta(alpha, alpha)
