"""The task of images in the contract suite."""

import numpy as np
from PIL import Image

from tests.trainables.made_up import split_images
from tests.trainables.task_member import Member
from trainables.data.dataset import Part
from trainables.data.splits import split
from trainables.image.datasets import load_dataset
from trainables.image.images import Images


def _images(labels, seed=0):
    """Images of 1 x 8 x 8, half of it noise, that tell the labels."""
    generator = np.random.default_rng(seed)
    patterns = generator.integers(0, 128, (4, 1, 8, 8))
    return (patterns[labels] + generator.integers(0, 128, (len(labels), 1, 8, 8))).astype(np.uint8)


def _labels():
    return np.random.default_rng(1).integers(0, 4, 250).astype(np.int64)


def _classes():
    return split_images(_images(_labels()), _labels(), 4)


def _numbers():
    images = Images(_images(_labels()))
    whole = Part(images, 100 + 7.5 * _labels())
    return split("made up", whole, class_names=(), seed=0, train_ratio=0.8)


def _written(**changes):
    """Return a function that writes a file with these arrays changed; None leaves one out."""

    def write(folder):
        arrays = {
            "x": _images(_labels()),
            "y": _labels(),
            "x_test": _images(_labels()[:20]),
            "y_test": _labels()[:20],
        }
        for name, change in changes.items():
            if change is None:
                del arrays[name]
            else:
                arrays[name] = change(arrays[name])
        np.savez(folder / "own.npz", **arrays)
        return folder / "own.npz"

    return write


def _with(row, value):
    def change(array):
        changed = array.astype(np.float64) / max(1, array.max())
        changed[row] = value
        return changed

    return change


def _empty(folder):
    (folder / "own.npz").touch()
    return folder / "own.npz"


def _files(folder, images):
    """Write the first images as files of two kinds, and the others as an array."""
    named = [folder / "a.png", folder / "b.bmp"]
    for path, pixels in zip(named, images.pixels, strict=False):
        Image.fromarray(pixels[0]).save(path)
    np.save(folder / "others.npy", images.pixels[2:])
    return [*named, folder / "others.npy"]


IMAGE = Member(
    config={"hidden_sizes": (16,), "batch_size": 32, "dropout": 0.3, "learning_rate": 0.03},
    classes=_classes,
    numbers=_numbers,
    load=lambda path: load_dataset(str(path), path.parent, seed=0),
    own=_written(),
    bad={
        "no such file": (lambda folder: folder / "missing.npz", r"missing\.npz"),
        "empty file": (_empty, r"own\.npz: cannot be read as \.npz"),
        "missing column": (_written(y=None), r"own\.npz: needs x and y.*; has x, x_test"),
        "one class": (
            _written(y=np.zeros_like, y_test=np.zeros_like),
            r"own\.npz: all images are of one class",
        ),
        "label not in training": (
            _written(y_test=lambda labels: labels + 4),
            r"own\.npz: y_test, row 0: class \d+, but y has classes 0 to 3",
        ),
        "sample without content": (
            _written(x=lambda images: images[..., :0]),
            r"own\.npz: x has images without a pixel",
        ),
        "not finite": (_written(x=_with(17, np.inf)), r"own\.npz: x, row 17: .*from 0 to 1"),
    },
    networks=(
        {"model": "mlp", "norm": "layer"},
        {"model": "linear", "ema_decay": 0.9},
        {"model": "cnn", "channels": (4, 8), "precision": "bfloat16"},
        {"model": "resnet", "channels": (4, 8), "depth": 2},
    ),
    written=_files,
    job="random_loss.py",
)
