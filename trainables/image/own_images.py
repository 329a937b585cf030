"""The user's own images: an `.npz` file, or a folder of images by class."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trainables.data.class_folders import (
    LeftOut,
    check_path,
    class_folders,
    files_by_class,
    told,
)
from trainables.data.dataset import Part, RawDataset
from trainables.data.splits import with_test_set
from trainables.image.images import Images
from trainables.image.pictures import (
    RefusedError,
    as_array,
    laid_over,
    pixels_of,
    read_picture,
)

Kind: TypeAlias = Literal["classes", "numbers"]

Labels = NDArray[np.int64]

Read = tuple[Part[Images], Part[Images] | None, list[str], str]
"""Training part, test part if there is one, class names (none of numbers), and a notice."""

MOSTLY = 0.5
"""Share of targets that are no whole numbers above which they are numbers rather than classes: of
classes, some may be typing errors."""


def is_own(name: str) -> bool:
    """Return whether a dataset's name is a path rather than a known name."""
    return name.endswith(".npz") or "/" in name or Path(name).is_dir()


def read_own(path: Path, targets: Kind | None = None) -> RawDataset[Images]:
    """Read `path`: an `.npz` or a folder.

    - `.npz`: `x`, images `[n, height, width]`, `[n, height, width, channels]` or
      `[n, channels, height, width]` (1 or 3 channels), uint8 or between 0 and 1; `y`, classes from
      0 or numbers to be predicted, `[n]`; optionally `x_test` and `y_test` in the same form.
      `x_train` and `y_train`, the names in Keras' files, are x and y.
    - folder: one folder per class, in the order of their names, or `train`, and optionally `test`,
      with such folders; any image file that Pillow reads, all of one size, rotated by their EXIF
      data. `notice` lists files that are left out and the background of transparent images.

    Without test images a fifth of the images is set aside, stratified by class, or by tenths of the
    numbers.

    Args:
        path: the file or folder.
        targets: what `y` has; None takes it for numbers if more than half of them are not whole.

    Raises:
        ValueError: the path does not exist, the data is damaged, or a class has no training image;
            the message names file and row, or the class.
    """
    check_path(path)
    folder = path.is_dir()
    if folder and targets == "numbers":
        raise ValueError(
            f"dataset {path}: a folder has classes of images; give an .npz file to predict numbers"
        )
    train, test, classes, notice = _read_folder(path) if folder else _read_npz(path, targets)
    numbers = train.targets.dtype.kind == "f"
    if len(classes) < 2 and not numbers:
        raise ValueError(
            f"dataset {path}: all images are of one class, {classes[0]}; give at least two classes"
        )
    names, source = tuple(classes), str(path)
    if test is None:
        raw = with_test_set(train, class_names=names, source=source)
    else:
        raw = RawDataset(train=train, test=test, class_names=names, source=source)
    raw = replace(raw, notice=f"dataset {path}: {notice}" if notice else "")
    if numbers:
        return raw
    counts = np.bincount(raw.train.targets.astype(np.int64), minlength=len(classes))
    empty = [name for name, count in zip(classes, counts, strict=True) if count == 0]
    if empty:
        raise ValueError(
            f"dataset {path}: no training image of class {', '.join(empty)}: add images to each "
            f"class, or remove it ({'test images are given' if test else 'a fifth is set aside'})"
        )
    return raw


def _read_npz(path: Path, targets: Kind | None) -> Read:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays: dict[str, NDArray[Any]] = {name: np.asanyarray(file[name]) for name in file}
    # A damaged archive raises many kinds of errors, zlib's own among them.
    except Exception as error:
        raise ValueError(f"dataset {path}: cannot be read as .npz ({error})") from None
    try:
        return _parts_of(arrays, targets)
    except ValueError as error:
        raise ValueError(f"dataset {path}: {error}") from None


def _parts_of(arrays: dict[str, NDArray[Any]], targets: Kind | None) -> Read:
    if not {"x", "y"} & set(arrays):
        arrays = {name.removesuffix("_train"): array for name, array in arrays.items()}
    if not {"x", "y"} <= set(arrays) or ("x_test" in arrays) != ("y_test" in arrays):
        raise ValueError(
            "needs x and y (or x_train and y_train), and both or neither of x_test and y_test; has "
            f"{', '.join(sorted(arrays)) or 'nothing'}"
        )
    kind = targets or ("numbers" if _mostly_fractions(arrays["y"]) else "classes")
    train = _part_of(arrays, "x", "y", kind)
    if kind == "numbers" and train.targets.min() == train.targets.max():
        raise ValueError(f"y has the number {train.targets[0]:g} alone; targets must differ")
    if kind == "numbers" and "x_test" not in arrays:
        return train, None, [], ""
    images, labels = train.inputs, train.targets
    # A wrong label could make a network with a million outputs.
    if kind == "classes" and labels.max() >= len(labels):
        row = int(labels.argmax())
        raise ValueError(
            f"y, row {row}: class {labels[row]} of {len(labels)} rows; number the classes from 0"
        )
    count = int(labels.max()) + 1 if kind == "classes" else 0
    classes = [str(index) for index in range(count)]
    if "x_test" not in arrays:
        return train, None, classes, ""
    test = _part_of(arrays, "x_test", "y_test", kind)
    if test.inputs.shape != images.shape:
        raise ValueError(
            f"images of x_test are {test.inputs.shape} (channels, height, width), those of x "
            f"{images.shape}"
        )
    unknown = np.flatnonzero(test.targets > labels.max())
    if kind == "classes" and len(unknown):
        raise ValueError(
            f"y_test, row {unknown[0]}: class {test.targets[unknown[0]]}, but y has classes 0 to "
            f"{labels.max()}"
        )
    return train, test, classes, ""


def _part_of(arrays: dict[str, NDArray[Any]], x: str, y: str, kind: Kind) -> Part[Images]:
    images, labels = arrays[x], arrays[y]
    if images.ndim not in (3, 4) or labels.ndim != 1:
        raise ValueError(
            f"{x} must be [n, height, width] with or without channels and {y} [n], got "
            f"{list(images.shape)} and {list(labels.shape)}"
        )
    if len(images) != len(labels) or len(labels) == 0:
        raise ValueError(
            f"{x} has {len(images)} rows, {y} has {len(labels)}; give equal numbers, at least one"
        )
    if 0 in images.shape:
        raise ValueError(f"{x} has images without a pixel: {list(images.shape)}")
    targets = _numbers(y, labels) if kind == "numbers" else _classes(y, labels)
    return Part(Images(pixels_of(x, images)), targets)


def _mostly_fractions(targets: NDArray[Any]) -> bool:
    finite = targets[np.isfinite(targets)] if targets.dtype.kind == "f" else targets[:0]
    return finite.size > 0 and float(np.mean(finite != np.floor(finite))) > MOSTLY


def _numbers(name: str, targets: NDArray[Any]) -> NDArray[np.float64]:
    if targets.dtype.kind not in "iuf":
        raise ValueError(f"{name} must hold numbers, got {targets.dtype}")
    numbers = targets.astype(np.float64)
    wrong = np.flatnonzero(~np.isfinite(numbers))
    if len(wrong):
        row = int(wrong[0])
        raise ValueError(f"{name}, row {row}: {numbers[row]:g} is no finite number")
    return numbers


def _classes(name: str, labels: NDArray[Any]) -> Labels:
    if labels.dtype.kind not in "iuf":
        raise ValueError(f"{name} must hold classes from 0, got {labels.dtype}")
    # Larger numbers would overflow in the conversion.
    wrong = np.flatnonzero((labels < 0) | (labels != np.floor(labels)) | (labels >= 2**31))
    if len(wrong):
        row = int(wrong[0])
        raise ValueError(
            f"{name}, row {row}: a class is a whole number from 0, got {labels[row]}; to predict "
            "numbers give --targets numbers"
        )
    return labels.astype(np.int64)


BACKGROUNDS = {"white": 255, "black": 0, "grey": 128}
"""Shades of the background of transparent images; the first on which no image vanishes is used."""


Labelled = tuple[list[Any], Labels]
"""Images of one part, all grey or all in colour, each with or without an alpha channel; labels."""


def _read_folder(path: Path) -> Read:
    """Read the training images, the test images if there are any, the class names, and a notice.

    The notice tells the user which files were left out, and on which background transparent images
    were placed.
    """
    left_out = LeftOut(list)
    classes, folders = class_folders(path, "image", left_out)
    both = [_read_classes(folder, classes, left_out) for folder in folders.values()]
    train = both[0]
    background, notice = _background([picture for pictures, _ in both for picture in pictures])
    coloured = any(picture.mode.startswith("RGB") for picture in train[0])
    parts = [
        Part(Images(as_array(pictures, coloured, background), background), labels)
        for pictures, labels in both
    ]
    shapes = [part.inputs.shape for part in parts]
    if shapes[-1] != shapes[0]:
        raise ValueError(
            f"dataset {path / 'test'}: images are {shapes[-1]} (channels, height, width), those of "
            f"train {shapes[0]}"
        )
    notices = [text for text in (told(left_out), notice) if text]
    return parts[0], parts[1] if len(parts) == 2 else None, classes, "; ".join(notices)


def _read_classes(path: Path, classes: Sequence[str], left_out: LeftOut) -> Labelled:
    files, labels = files_by_class(path, classes, "image", left_out)
    pictures: list[Any] = []
    for row, file in enumerate(files):
        try:
            pictures.append(read_picture(file))
        # A damaged image raises many kinds of errors, SyntaxError among them.
        except Exception as error:
            why = str(error) if isinstance(error, RefusedError) else f"unreadable ({error})"
            raise ValueError(f"dataset {path}: {file}, row {row}: {why}") from None
        width, height = pictures[0].size
        if pictures[-1].size != pictures[0].size:
            raise ValueError(
                f"dataset {path}: {file}, row {row}: {pictures[-1].size[0]} x "
                f"{pictures[-1].size[1]} pixels, the first is {width} x {height}; all must be of "
                "one size"
            )
    return pictures, labels


def _background(pictures: list[Any]) -> tuple[int, str]:
    """Return the background of transparent images: white, unless the image itself is white; and a
    notice about it, empty if no image is transparent."""
    transparent = [picture for picture in pictures if picture.mode.endswith("A")]
    if not transparent:
        return BACKGROUNDS["white"], ""

    def vanishing(shade: int) -> int:
        return sum(np.ptp(laid_over(shade, one), axis=(0, 1)).max() == 0 for one in transparent)

    name = min(BACKGROUNDS, key=lambda name: vanishing(BACKGROUNDS[name]))
    count = f"{len(transparent):,} of {len(pictures):,} images"
    return BACKGROUNDS[name], f"{count} are partly transparent, and got a {name} background"
