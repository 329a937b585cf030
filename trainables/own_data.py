"""A person's own images: an `.npz` file, or a folder of images by class."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainables.data import Images, Labels
from trainables.dataset_files import RawDataset, with_test_set

EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
"""Pillow's modes of at most 8 bits a channel: of others it would cut off what is above 255."""

GREY = ("1", "L", "LA")


def is_own(name: str) -> bool:
    """Whether a dataset's name is a path rather than one of ours."""
    return name.endswith(".npz") or "/" in name or Path(name).is_dir()


def read_own(path: Path) -> RawDataset:
    """Read `path`: an `.npz` or a folder.

    - `.npz`: `x`, images `[n, height, width]`, `[n, height, width, channels]` or
      `[n, channels, height, width]` (1 or 3 channels), uint8 or between 0 and 1; `y`, classes from
      0, `[n]`; `x_test` and `y_test` alike, if there are some.
    - folder: one folder a class, in the order of their names, or `train`, and perhaps `test`, with
      such folders; any image file that Pillow reads, all of one size.

    Where there are no test images a fifth is set aside, stratified by class.

    Raises:
        ValueError: it is not there, or damaged, or has no image to train on of a class; names file
            and row, or the class.
    """
    if not path.exists():
        raise ValueError(f"dataset {path}: no such file or folder")
    images, labels, test, classes = _read_folder(path) if path.is_dir() else _read_npz(path)
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
    counts = np.bincount(raw.train_labels, minlength=len(classes))
    empty = [name for name, count in zip(classes, counts, strict=True) if count == 0]
    if empty:
        raise ValueError(
            f"dataset {path}: no image to train on of class {', '.join(empty)}: give each class "
            f"some, or leave it out ({'test images are given' if test else 'a fifth is set aside'})"
        )
    return raw


Part = tuple[Images, Labels]


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


def _read_folder(path: Path) -> tuple[Images, Labels, Part | None, list[str]]:
    found = _subfolders(path)
    # A train may be a vehicle.
    if "train" not in found or not _folders(path / "train"):
        return *_read_classes(path, found), None, found
    if set(found) - {"train", "test"}:
        others = ", ".join(sorted(set(found) - {"train", "test"}))
        raise ValueError(
            f"dataset {path}: beside train and test there is {others}, which nothing would read: "
            "put its images into train, a part of which validates, or take the folder away"
        )
    classes = _subfolders(path / "train")
    images, labels = _read_classes(path / "train", classes)
    if not (path / "test").is_dir():
        return images, labels, None, classes
    unknown = set(_subfolders(path / "test")) - set(classes)
    if unknown:
        raise ValueError(f"dataset {path}: test has classes that train has not: {sorted(unknown)}")
    test = _read_classes(path / "test", classes, like=images)
    return images, labels, test, classes


def _folders(path: Path) -> list[str]:
    folders = (entry.name for entry in path.iterdir() if entry.is_dir())
    # Tools leave hidden ones, such as .ipynb_checkpoints.
    return sorted(name for name in folders if not name.startswith("."))


def _subfolders(path: Path) -> list[str]:
    found = _folders(path)
    if not found:
        raise ValueError(f"dataset {path}: no folder in it; one folder of images a class is needed")
    return found


def _read_classes(path: Path, classes: list[str], like: Images | None = None) -> Part:
    from PIL import Image

    files, labels = [], []
    for index, name in enumerate(classes):
        if (path / name).is_dir():
            deeper = _folders(path / name)
            if deeper:
                raise ValueError(
                    f"dataset {path / name}: a folder, {deeper[0]}, in that of a class, which "
                    "nothing would read: images lie in the folder of their class"
                )
            entries = (path / name).iterdir()
            here = sorted(e for e in entries if e.is_file() and not e.name.startswith("."))
            files += here
            labels += [index] * len(here)
    if not files:
        raise ValueError(f"dataset {path}: no image in its folders")
    pictures = []
    for row, file in enumerate(files):
        try:
            with Image.open(file) as picture:
                picture.load()
                mode = picture.mode
                pictures.append(picture.convert("L" if mode in GREY else "RGB"))
        # A damaged image fails in many ways, a SyntaxError among them.
        except Exception as error:
            raise ValueError(f"dataset {path}: {file}, row {row}: unreadable ({error})") from None
        if mode not in EIGHT_BITS:
            raise ValueError(
                f"dataset {path}: {file}, row {row}: pixels of mode {mode} are not of 8 bits; "
                f"convert it to one of {', '.join(EIGHT_BITS)}"
            )
        if pictures[-1].size != pictures[0].size:
            raise ValueError(
                f"dataset {path}: {file}, row {row}: {pictures[-1].size[0]} x "
                f"{pictures[-1].size[1]} pixels, the first is {pictures[0].size[0]} x "
                f"{pictures[0].size[1]}; all must be of one size"
            )
    coloured = any(picture.mode == "RGB" for picture in pictures)
    if like is not None:
        coloured = like.shape[1] == 3
    shades = "RGB" if coloured else "L"
    arrays = np.stack([np.asarray(picture.convert(shades), np.uint8) for picture in pictures])
    images = arrays.transpose(0, 3, 1, 2) if coloured else arrays[:, None]
    if like is not None and images.shape[1:] != like.shape[1:]:
        raise ValueError(
            f"dataset {path}: images are {images.shape[1:]} (channels, height, width), those of "
            f"train {like.shape[1:]}"
        )
    return np.ascontiguousarray(images), np.array(labels, np.int64)
