"""What a look at images adds."""

import io

import numpy as np
import pytest
from PIL import Image

from trainables.data.dataset import Part
from trainables.data.splits import prepared, with_test_set
from trainables.image.image_classifier import ImageClassifier
from trainables.image.images import Images
from trainables.image.look import SHEET_IMAGES, contact_sheet, keys


def images_of(channels=1, *, count=200, blank=0, numbers=False):
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (count, channels, 6, 5)).astype(np.uint8)
    pixels[:blank] = 17
    pixels[:, 0, 0, 0] = 17
    labels = (np.arange(count) % 2).astype(np.int64)
    whole = Part(Images(pixels), generator.normal(size=count) if numbers else labels)
    raw = with_test_set(whole, class_names=() if numbers else ("cat", "dog"), source="made up")
    return prepared("made up", raw, seed=0, train_ratio=0.8)


def test_constant_pixels_and_blank_images_are_counted():
    look = ImageClassifier.look(images_of(blank=20))
    rows = {row[0]: row[1] for one in look.sections if one.title == "Pixels" for row in one.rows}
    assert rows["pixels with one value in all images"] == "1 of 30"
    assert rows["shape"] == "1 x 6 x 5"
    assert any("one colour alone" in warning for warning in look.warnings)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("numbers", [False, True])
def test_the_contact_sheet_has_the_pixels_of_the_training_part(channels, numbers):
    dataset = images_of(channels, numbers=numbers)
    sheet = np.asarray(Image.open(io.BytesIO(contact_sheet(dataset))))
    train = dataset.search.train
    first = np.argmin(train.targets) if numbers else np.flatnonzero(train.targets == 0)[0]
    image = train.inputs.pixels[first][: 3 if channels >= 3 else 1]
    side = sheet.shape[0] // (8 if numbers else 2)
    scale = (side - 4) // 6
    left = sheet.shape[1] - SHEET_IMAGES * (5 * scale + 4)
    drawn = sheet[: 6 * scale : scale, left : left + 5 * scale : scale].transpose(2, 0, 1)
    assert (drawn[: len(image)] == image).all()


def test_only_equal_images_have_one_key():
    pixels = np.zeros((3, 1, 4, 4), np.uint8)
    pixels[1, 0, 3, 3] = 1
    found = keys(Images(pixels))
    assert found[0] == found[2] != found[1]
