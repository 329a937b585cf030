"""A person's own images: an `.npz` file, or a folder of images by class."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainables.data.image_folder import Part, read_folder
from trainables.data.splits import Images, Labels, RawDataset, with_test_set


def is_own(name: str) -> bool:
    """Whether a dataset's name is a path rather than one of ours."""
    return name.endswith(".npz") or "/" in name or Path(name).is_dir()


def read_own(path: Path) -> RawDataset:
    """Read `path`: an `.npz` or a folder.

    - `.npz`: `x`, images `[n, height, width]`, `[n, height, width, channels]` or
      `[n, channels, height, width]` (1 or 3 channels), uint8 or between 0 and 1; `y`, classes from
      0, `[n]`; `x_test` and `y_test` alike, if there are some.
    - folder: one folder a class, in the order of their names, or `train`, and perhaps `test`, with
      such folders; any image file that Pillow reads, all of one size, turned as its EXIF says. What
      is left out, and what transparent images were laid over, is in `notice`.

    Where there are no test images a fifth is set aside, stratified by class.

    Raises:
        ValueError: it is not there, or damaged, or has no image to train on of a class; names file
            and row, or the class.
    """
    try:
        folder, file = path.is_dir(), path.is_file()
    except OSError as error:
        raise ValueError(f"dataset {path}: cannot be read ({error.strerror})") from None
    if not (folder or file):
        there = "no file, no folder" if path.exists() else "no such file or folder"
        raise ValueError(
            f"dataset {path}: {'a link that leads nowhere' if path.is_symlink() else there}"
        )
    notice = ""
    if folder:
        (images, labels), test, classes, notice = read_folder(path)
    else:
        images, labels, test, classes = _read_npz(path)
    if len(classes) < 2:
        raise ValueError(f"dataset {path}: all images are of one class, {classes[0]}; give two")
    if test is None:
        raw = with_test_set(images, labels, source=str(path))
    else:
        raw = RawDataset(
            train_images=images,
            train_labels=labels,
            test_images=test[0],
            test_labels=test[1],
            source=str(path),
        )
    raw = replace(raw, notice=f"dataset {path}: {notice}" if notice else "")
    counts = np.bincount(raw.train_labels, minlength=len(classes))
    empty = [name for name, count in zip(classes, counts, strict=True) if count == 0]
    if empty:
        raise ValueError(
            f"dataset {path}: no image to train on of class {', '.join(empty)}: give each class "
            f"some, or leave it out ({'test images are given' if test else 'a fifth is set aside'})"
        )
    return raw


def _read_npz(path: Path) -> tuple[Images, Labels, Part | None, list[str]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays: dict[str, NDArray[Any]] = {name: np.asanyarray(file[name]) for name in file}
    # A damaged archive fails in many ways, zlib's own among them.
    except Exception as error:
        raise ValueError(f"dataset {path}: cannot be read as .npz ({error})") from None
    if not {"x", "y"} <= set(arrays) or ("x_test" in arrays) != ("y_test" in arrays):
        raise ValueError(
            f"dataset {path}: needs x and y, and x_test and y_test or neither; has "
            f"{', '.join(sorted(arrays)) or 'nothing'}"
        )
    images, labels = _checked(path, arrays, "x", "y")
    # A label that is far off would make a network with a million outputs.
    if labels.max() >= len(labels):
        row = int(labels.argmax())
        raise ValueError(
            f"dataset {path}: y, row {row}: class {labels[row]} of {len(labels)} rows; number the "
            "classes from 0"
        )
    classes = [str(index) for index in range(int(labels.max()) + 1)]
    if "x_test" not in arrays:
        return images, labels, None, classes
    test = _checked(path, arrays, "x_test", "y_test")
    if test[0].shape[1:] != images.shape[1:]:
        raise ValueError(
            f"dataset {path}: images of x_test are {test[0].shape[1:]} (channels, height, width), "
            f"those of x {images.shape[1:]}"
        )
    unknown = np.flatnonzero(test[1] > labels.max())
    if len(unknown):
        raise ValueError(
            f"dataset {path}: y_test, row {unknown[0]}: class {test[1][unknown[0]]}, but y has "
            f"classes 0 to {labels.max()}"
        )
    return images, labels, test, classes


def _checked(path: Path, arrays: dict[str, NDArray[Any]], x: str, y: str) -> Part:
    images, labels = arrays[x], arrays[y]
    if images.ndim not in (3, 4) or labels.ndim != 1:
        raise ValueError(
            f"dataset {path}: {x} must be [n, height, width] with or without channels and {y} [n], "
            f"got {list(images.shape)} and {list(labels.shape)}"
        )
    if len(images) != len(labels) or len(labels) == 0:
        raise ValueError(
            f"dataset {path}: {x} has {len(images)} rows, {y} {len(labels)}; they must be as many, "
            "and at least one"
        )
    if 0 in images.shape:
        raise ValueError(f"dataset {path}: {x} has images without a pixel: {list(images.shape)}")
    return _pixels(path, x, _channels_first(path, x, images)), _classes(path, y, labels)


def _channels_first(path: Path, name: str, images: NDArray[Any]) -> NDArray[Any]:
    if images.ndim == 3:
        return images[:, None]
    if images.shape[3] in (1, 3):
        return images.transpose(0, 3, 1, 2)
    if images.shape[1] in (1, 3):
        return images
    raise ValueError(
        f"dataset {path}: {name} must have 1 or 3 channels, second or last, got "
        f"{list(images.shape)}"
    )


def _pixels(path: Path, name: str, images: NDArray[Any]) -> Images:
    if images.dtype == np.uint8:
        return np.ascontiguousarray(images)
    if images.dtype.kind not in "fiu":
        raise ValueError(f"dataset {path}: {name} must hold numbers, got {images.dtype}")
    highest = 1.0 if images.dtype.kind == "f" else 255
    # A NaN is in no range.
    inside = ((images >= 0) & (images <= highest)).all(axis=(1, 2, 3))
    if not inside.all():
        row = int(np.flatnonzero(~inside)[0])
        raise ValueError(
            f"dataset {path}: {name}, row {row}: {images.dtype} pixels must be from 0 to "
            f"{highest:g}"
        )
    scaled = np.round(images * 255) if images.dtype.kind == "f" else images
    return np.ascontiguousarray(scaled.astype(np.uint8))


def _classes(path: Path, name: str, labels: NDArray[Any]) -> Labels:
    if labels.dtype.kind not in "iuf":
        raise ValueError(f"dataset {path}: {name} must hold classes from 0, got {labels.dtype}")
    # Above that the cast would turn them around.
    wrong = np.flatnonzero((labels < 0) | (labels != np.floor(labels)) | (labels >= 2**31))
    if len(wrong):
        row = int(wrong[0])
        raise ValueError(
            f"dataset {path}: {name}, row {row}: a class is a whole number from 0, got "
            f"{labels[row]}"
        )
    return labels.astype(np.int64)
