"""Image files, and arrays of images, as bytes."""

from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[np.uint8]

EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
"""Pillow's modes with at most 8 bits a channel; it would clip larger values of others to 255."""

GREY = ("1", "L", "LA")


class RefusedError(ValueError):
    """An image file that is readable but not usable as one image."""


def read_picture(file: Path) -> Any:
    """Return one image, upright, with mode L, LA, RGB or RGBA; alpha only if it is not opaque."""
    from PIL import Image, ImageOps

    with Image.open(file) as picture:
        # A phone's MPO file has a preview behind its photo.
        if getattr(picture, "n_frames", 1) > 1 and picture.format != "MPO":
            raise RefusedError(f"{picture.n_frames} pictures in one file; give each a file")  # type: ignore[attr-defined]
        picture.load()
        if picture.mode not in EIGHT_BITS:
            raise RefusedError(
                f"pixels of mode {picture.mode} are not of 8 bits; convert it to one of "
                f"{', '.join(EIGHT_BITS)}"
            )
        shades = "L" if picture.mode in GREY else "RGB"
        upright = ImageOps.exif_transpose(picture)
        if upright.has_transparency_data:
            # Only the conversion by way of RGBA turns a transparent colour into an alpha channel.
            whole = upright.convert("RGBA")
            if np.asarray(whole)[:, :, 3].min() < 255:
                return whole if shades == "RGB" else whole.convert("LA")
        return upright.convert(shades)


def laid_over(shade: int, picture: Any) -> NDArray[np.uint8]:
    """Return an image with alpha on a background, 0 to 255, `[height, width, channels]`."""
    pixels = np.asarray(picture, np.float32)
    alpha = pixels[:, :, -1:] / 255
    return np.round(pixels[:, :, :-1] * alpha + shade * (1 - alpha)).astype(np.uint8)


def as_array(pictures: list[Any], coloured: bool, background: int) -> Pixels:
    """Return pictures of `read_picture`, all of one size, uint8 `[n, channels, height, width]`: 3
    channels if they are `coloured`, else 1; one with alpha gets a background, 0 to 255."""
    from PIL import Image

    shades, arrays = "RGB" if coloured else "L", []
    for picture in pictures:
        if picture.mode.endswith("A"):
            pixels = laid_over(background, picture)
            picture = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0])
        arrays.append(np.asarray(picture.convert(shades), np.uint8))
    images = np.stack(arrays)
    images = images.transpose(0, 3, 1, 2) if coloured else images[:, None]
    return np.ascontiguousarray(images)


def pixels_of(name: str, images: NDArray[Any]) -> Pixels:
    """Return an array of images, uint8 or between 0 and 1, as uint8 `[n, channels, height, width]`.

    Args:
        name: name of the array, for messages.
        images: `[n, height, width]`, `[n, height, width, channels]` or
            `[n, channels, height, width]`, with 1 or 3 channels.

    Raises:
        ValueError: it has other channels or values.
    """
    if images.ndim == 3:
        images = images[:, None]
    elif images.shape[3] in (1, 3):
        images = images.transpose(0, 3, 1, 2)
    elif images.shape[1] not in (1, 3):
        raise ValueError(
            f"{name} must have 1 or 3 channels, second or last, got {list(images.shape)}"
        )
    if images.dtype == np.uint8:
        return np.ascontiguousarray(images)
    if images.dtype.kind not in "fiu":
        raise ValueError(f"{name} must hold numbers, got {images.dtype}")
    highest = 1.0 if images.dtype.kind == "f" else 255
    # A NaN fails both comparisons.
    inside = ((images >= 0) & (images <= highest)).all(axis=(1, 2, 3))
    if not inside.all():
        row = int(np.flatnonzero(~inside)[0])
        raise ValueError(f"{name}, row {row}: {images.dtype} pixels must be from 0 to {highest:g}")
    scaled = np.round(images * 255) if images.dtype.kind == "f" else images
    return np.ascontiguousarray(scaled.astype(np.uint8))
