"""Sections of a look at images: their shape, pixels that never change, and a contact sheet."""

import io
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from trainables.data.dataset import Dataset, Part
from trainables.data.look import Keys, OwnLook, Section, row_keys
from trainables.image.images import Images

SHEET_CLASSES, SHEET_IMAGES = 20, 12
"""Most rows of the contact sheet, and images in a row."""

SHEET_PIXELS = 64
"""Least side of an image on the contact sheet, in pixels."""

LABEL_PIXELS, LABEL_SIZE, LABEL_CHARACTERS = 130, 15, 16
"""Width of the label of a row, height of its letters, both in pixels, and its most characters."""

GAP = 4
"""Pixels between two images."""

BLANK_SHARE = 0.01
"""Share of the training images that may have one colour alone without a warning."""


def keys(images: Images) -> Keys:
    """Return the key of each image, of its exact pixels."""
    return row_keys(images.pixels)


def sections(dataset: Dataset[Images]) -> Iterator[Section]:
    """Return what was found in the images of a dataset."""
    yield _pixels(dataset)
    yield Section(title="Training images", picture=contact_sheet(dataset))


def _pixels(dataset: Dataset[Images]) -> Section:
    pixels = dataset.search.train.inputs.pixels
    channels, height, width = dataset.search.inputs.shape
    flat = pixels.reshape(len(pixels), -1)
    lowest, highest = flat.min(axis=0), flat.max(axis=0)
    constant = int((lowest == highest).sum())
    blank = int((flat.min(axis=1) == flat.max(axis=1)).sum())
    warnings = []
    if blank > BLANK_SHARE * len(flat):
        warnings.append(f"{blank:,} of {len(flat):,} training images have one colour alone")
    return Section(
        title="Pixels",
        heads=("", "training part"),
        rows=(
            ("shape", f"{channels} x {height} x {width}"),
            ("range", f"{lowest.min()} to {highest.max()}"),
            ("mean", f"{pixels.mean():.1f}"),
            ("pixels with one value in all images", f"{constant:,} of {flat.shape[1]:,}"),
            ("images of one colour", f"{blank:,} of {len(flat):,}"),
        ),
        warnings=tuple(warnings),
    )


def contact_sheet(dataset: Dataset[Images]) -> bytes:
    """Return a PNG file with some training images of each class; of numbers, from the least to the
    largest."""
    from PIL import Image, ImageDraw, ImageFont

    rows = _rows_of(dataset.search.train, dataset.search.class_names)
    _, height, width = dataset.search.inputs.shape
    scale = max(1, -(-SHEET_PIXELS // max(height, width)))
    high, wide = scale * height + GAP, scale * width + GAP
    sheet = Image.new("RGB", (LABEL_PIXELS + SHEET_IMAGES * wide, len(rows) * high), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(LABEL_SIZE)
    for row, (label, images) in enumerate(rows):
        middle = (GAP, row * high + high // 2)
        draw.text(middle, label[:LABEL_CHARACTERS], fill="black", font=font, anchor="lm")
        for column, image in enumerate(images):
            one = Image.fromarray(_rgb(image)).resize(
                (scale * width, scale * height), Image.Resampling.NEAREST
            )
            sheet.paste(one, (LABEL_PIXELS + column * wide, row * high))
    file = io.BytesIO()
    sheet.save(file, "PNG")
    return file.getvalue()


def _rows_of(train: Part[Images], names: tuple[str, ...]) -> list[tuple[str, NDArray[np.uint8]]]:
    """Return label and images of each row."""
    if names:
        rows = [
            (name, train.inputs.pixels[np.flatnonzero(train.targets == c)[:SHEET_IMAGES]])
            for c, name in enumerate(names[:SHEET_CLASSES])
        ]
        return [row for row in rows if len(row[1])]
    order = np.argsort(train.targets, kind="stable")
    count = min(len(order), 8 * SHEET_IMAGES)
    chosen = order[np.linspace(0, len(order) - 1, count).astype(np.int64)]
    return [
        (f"from {train.targets[some[0]]:.4g}", train.inputs.pixels[some])
        for some in np.split(chosen, range(SHEET_IMAGES, count, SHEET_IMAGES))
    ]


def _rgb(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return `[height, width, 3]` of `[channels, height, width]`: the first three channels, or a
    grey image of one or two."""
    shown = image[:3] if len(image) >= 3 else np.repeat(image[:1], 3, axis=0)
    return np.ascontiguousarray(shown.transpose(1, 2, 0))


LOOK = OwnLook(keys, sections)
