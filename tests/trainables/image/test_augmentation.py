"""Augmentation: changed and unchanged parts, and dependence on the random streams."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.image.augmentation import SHIFT, augment, erased, mixed, shifted

KINDS = ("shift", "shift_flip", "erasing")


MEAN = torch.tensor([7, 70], dtype=torch.uint8).reshape(2, 1, 1)


def pictures(count=64, channels=2, size=9):
    """Each pixel has a value of its own, above 0, so that it can be followed."""
    numbers = torch.arange(1, 1 + channels * size * size, dtype=torch.uint8)
    return numbers.reshape(1, channels, size, size).repeat(count, 1, 1, 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_shape_and_type_stay_and_the_given_images_too(kind, memory_format):
    given_images = pictures().to(memory_format=memory_format)
    kept = given_images.clone()
    torch.manual_seed(0)
    found = augment(given_images, kind, MEAN)
    assert (found.shape, found.dtype) == (kept.shape, kept.dtype)
    assert torch.equal(given_images, kept)
    assert not torch.equal(found, kept)


@pytest.mark.parametrize("kind", ["none", "mixup"])
def test_what_changes_no_pixel_gives_the_images_back(kind):
    images = pictures()
    assert augment(images, kind, MEAN) is images


@pytest.mark.parametrize("kind", KINDS)
def test_one_seed_one_result(kind):
    results = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        results.append(augment(pictures(), kind, MEAN))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def moved_by_hand(image, down, right, flip):
    """The image whose pixel (r, c) was at (r + down, c + right) of the given one, or its mirror."""
    source = image.flip(2) if flip else image
    _, height, width = image.shape
    moved = torch.zeros_like(image)
    for r in range(height):
        for c in range(width):
            if 0 <= r + down < height and 0 <= c + right < width:
                moved[:, r, c] = source[:, r + down, c + right]
    return moved


@pytest.mark.parametrize("flip", [False, True])
def test_each_image_is_moved_by_at_most_the_shift_and_mirrored_or_not(flip):
    torch.manual_seed(0)
    image = pictures(1)[0]
    steps = range(-SHIFT, SHIFT + 1)
    mirrors = (False, True) if flip else (False,)
    possible = {
        (down, right, mirror): moved_by_hand(image, down, right, mirror)
        for down in steps
        for right in steps
        for mirror in mirrors
    }
    seen = set()
    for found in shifted(pictures(600), flip=flip):
        matching = [key for key, moved in possible.items() if torch.equal(found, moved)]
        assert len(matching) == 1
        seen.add(matching[0])
    assert seen == set(possible), "all of them come up"


def test_half_of_the_images_lose_a_rectangle_and_the_others_nothing():
    torch.manual_seed(0)
    images = torch.full((2000, 2, 28, 28), 255, dtype=torch.uint8)
    found = erased(images, MEAN)
    assert torch.equal(torch.where(found == 255, 255, MEAN), found), "by the mean of its channel"
    assert torch.equal(found[:, 0] == 255, found[:, 1] == 255), "in all channels alike"
    holes = found[:, 0] != 255
    changed = holes.flatten(1).any(dim=1)
    assert 0.45 < changed.float().mean() < 0.55
    for hole in holes[changed][:200]:
        rows, columns = hole.any(dim=1), hole.any(dim=0)
        assert hole.sum() == rows.sum() * columns.sum(), "a full rectangle"
    share = holes[changed].float().mean(dim=(1, 2))
    assert 0.08 < share.mean() < 0.14
    assert share.max() < 0.3


@given(st.integers(1, 8), st.floats(0.05, 4))
def test_mixup_mixes_each_image_with_its_partner(count, alpha):
    images = torch.rand(count, 3)
    found, partner, share = mixed(images, alpha)
    assert 0 <= share <= 1
    assert sorted(partner.tolist()) == list(range(count))
    assert torch.allclose(found, share * images + (1 - share) * images[partner], atol=1e-6)
