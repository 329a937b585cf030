"""Images as every viewer shows them, and a word on all that was left out."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.trainables.image.test_own_images import folder
from trainables.image.config import ImageConfig
from trainables.image.datasets import load_dataset
from trainables.image.own_images import read_own
from trainables.image.task import ImageData


def of_two_classes(path, image, count=5, suffix="png", **saved):
    """`count` times `image(class number)` in each of two folders."""
    for number, name in enumerate(("a", "b")):
        (path / name).mkdir(parents=True)
        for index in range(count):
            image(number).save(path / name / f"{index}.{suffix}", **saved)
    return path


def half(value=255, shape=(8, 6)):
    """Bright above, dark below."""
    pixels = np.zeros((*shape, 3), np.uint8)
    pixels[: shape[0] // 2] = value
    return Image.fromarray(pixels)


TURNED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_photo_is_read_upright_however_the_camera_was_held(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation

    def photo(_):
        turn = TURNED[orientation]
        return half() if turn is None else half().transpose(turn)

    images = read_own(
        of_two_classes(tmp_path / "own", photo, suffix=suffix, exif=exif)
    ).train.inputs.pixels
    assert images.shape[1:] == (3, 8, 6)
    assert (images[:, :, :3].mean(axis=(1, 2, 3)) > 200).all()
    assert (images[:, :, 5:].mean(axis=(1, 2, 3)) < 50).all()


def icon(shade, mode, shape):
    """A shape in the alpha channel alone, all of one shade."""
    pixels = np.full((8, 8, len(mode)), shade, np.uint8)
    pixels[:, :, -1] = 0
    pixels[shape][..., -1] = 255
    return Image.fromarray(pixels)


SHAPES = (np.s_[:4], np.s_[:, :4])


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize(("shade", "over"), [(0, "white"), (255, "black")])
def test_a_shape_in_alpha_alone_is_seen_and_its_background_said(tmp_path, mode, shade, over):
    path = of_two_classes(tmp_path / "own", lambda number: icon(shade, mode, SHAPES[number]))
    dataset = load_dataset(str(path), tmp_path, seed=0)
    assert f"10 of 10 images are partly transparent, and got a {over} background" in dataset.notice
    # An export lays other images over the same.
    prepared = ImageData(dataset.search).prepared(ImageConfig())
    assert prepared["background"] == {"white": 255, "black": 0, "grey": 128}[over]
    images = dataset.search.inputs.pixels
    assert images.shape[1:] == (len(mode) - 1, 8, 8)
    for image, label in zip(images, dataset.search.targets, strict=True):
        shown = np.full((8, 8), 255 - shade, np.uint8)
        shown[SHAPES[label]] = shade
        assert (image == shown).all()


def test_white_icons_beside_black_ones_are_all_seen(tmp_path):
    path = of_two_classes(tmp_path / "own", lambda n: icon(255 * n, "RGBA", SHAPES[n]))
    raw = read_own(path)
    assert "got a grey background" in raw.notice
    assert all(len(np.unique(image)) == 2 for image in raw.train.inputs.pixels)


def test_a_palette_with_a_transparent_colour_is_laid_over_white_and_an_opaque_alpha_is_none(
    tmp_path,
):
    def palette(number):
        pixels = np.zeros((8, 8), np.uint8)
        pixels[SHAPES[number]] = 1
        image = Image.fromarray(pixels).convert("P")
        image.putpalette([10, 20, 30, 10, 20, 30])
        return image

    raw = read_own(of_two_classes(tmp_path / "own", palette, suffix="gif", transparency=0))
    assert "10 of 10 images are partly transparent, and got a white background" in raw.notice
    assert np.unique(raw.train.inputs.pixels[:, 0]).tolist() == [10, 255]
    opaque = read_own(of_two_classes(tmp_path / "opaque", lambda _: half().convert("RGBA")))
    assert opaque.notice == ""
    assert opaque.train.inputs.pixels.shape[1] == 3


def test_cmyk_is_read_in_colour(tmp_path):
    path = of_two_classes(tmp_path / "own", lambda _: half().convert("CMYK"), suffix="jpg")
    images = read_own(path).train.inputs.pixels
    assert images.shape[1] == 3
    assert (images[:, :, :3].mean(axis=(1, 2, 3)) > 200).all()


@pytest.mark.parametrize("suffix", ["gif", "webp", "tiff", "png"])
def test_several_pictures_in_one_file_are_refused(tmp_path, suffix):
    path = folder(tmp_path / "own")
    frames = [half(value, (8, 8)) for value in (50, 100, 150)]
    frames[0].save(path / "cat" / f"9.{suffix}", save_all=True, append_images=frames[1:])
    with pytest.raises(ValueError, match=rf"cat/9\.{suffix}, row 5: 3 pictures in one file"):
        read_own(path)


def test_a_phones_photo_with_a_preview_behind_it_is_one(tmp_path):
    path = of_two_classes(
        *(tmp_path / "own", lambda _: half()), suffix="mpo", append_images=[half(9, (4, 3))]
    )
    assert read_own(path).train.inputs.pixels.shape[1:] == (3, 8, 6)


def dangling(path):
    path.symlink_to("nowhere")


def circular(path):
    path.symlink_to(path.name)


@pytest.mark.parametrize("make", [dangling, circular, os.mkfifo])
@pytest.mark.parametrize("where", ["cat/5.png", "bird", "train/cat", ""])
def test_what_cannot_be_followed_or_read_is_named(tmp_path, make, where):
    path = tmp_path / "own"
    if where:
        folder(path / "train" if "train" in where else path, classes=("dog", "fish"))
        (path / where).parent.mkdir(exist_ok=True)
    make(path / where)
    with pytest.raises(
        ValueError, match=f"dataset {path / where}: (a broken link|neither a file nor a folder)"
    ):
        read_own(path)


@pytest.fixture
def somebody_else():
    """A folder that root shares with all users, without root's own rights: root may read all."""
    with tempfile.TemporaryDirectory() as shared:
        Path(shared).chmod(0o755)
        yield Path(shared)
        os.seteuid(os.getuid())


@pytest.mark.parametrize("closed", ["", "cat", "cat/1.png"])
def test_what_may_not_be_read_is_named(somebody_else, closed):
    path = folder(somebody_else / "own")
    (path / closed).chmod(0)
    if os.getuid() == 0:
        os.seteuid(65534)
    with pytest.raises(ValueError, match=rf"{path / closed}.*([Pp]ermission denied)"):
        read_own(path)


def test_a_link_to_a_folder_or_an_image_is_followed(tmp_path):
    real = folder(tmp_path / "real")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "cat").symlink_to(real / "cat")
    (tmp_path / "own" / "dog").mkdir()
    for image in (real / "dog").iterdir():
        (tmp_path / "own" / "dog" / image.name).symlink_to(image)
    linked = read_own(tmp_path / "own")
    assert (linked.train.inputs.pixels == read_own(real).train.inputs.pixels).all()
    assert linked.notice == ""


def test_all_that_was_left_out_is_counted(tmp_path):
    path = folder(tmp_path / "own" / "train", classes=("a", "b", "c")).parent
    folder(path / "test", classes=("a", "b"), count=2)
    (path / "test" / "c").mkdir()
    for name in (".DS_Store", "train/a/.DS_Store", "train/labels.csv", "README.txt"):
        Path(path, name).write_text("no image")
    (path / "train" / "b" / ".ipynb_checkpoints").mkdir()
    dataset = load_dataset(str(path), tmp_path, seed=0)
    for told in (
        "3 hidden (.DS_Store)",
        "2 beside the folders of the classes (README.txt)",
        "1 without images (test/c)",
    ):
        assert told in dataset.notice
