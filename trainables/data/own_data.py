"""A person's own images: an `.npz` file, or a folder of images by class, as viewers show it."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainables.data.splits import Images, Labels, RawDataset, with_test_set

Part = tuple[Images, Labels]

NO_TARGET = "a link that leads nowhere"


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
        raise ValueError(f"dataset {path}: {NO_TARGET if path.is_symlink() else there}")
    train, test, classes, notice = _read_folder(path) if folder else _read_npz(path)
    if len(classes) < 2:
        raise ValueError(f"dataset {path}: all images are of one class, {classes[0]}; give two")
    if test is None:
        raw = with_test_set(*train, source=str(path))
    else:
        raw = RawDataset(*train, *test, source=str(path))
    raw = replace(raw, notice=f"dataset {path}: {notice}" if notice else "")
    counts = np.bincount(raw.train_labels, minlength=len(classes))
    empty = [name for name, count in zip(classes, counts, strict=True) if count == 0]
    if empty:
        raise ValueError(
            f"dataset {path}: no image to train on of class {', '.join(empty)}: give each class "
            f"some, or leave it out ({'test images are given' if test else 'a fifth is set aside'})"
        )
    return raw


def _read_npz(path: Path) -> tuple[Part, Part | None, list[str], str]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays: dict[str, NDArray[Any]] = {name: np.asanyarray(file[name]) for name in file}
    # A damaged archive fails in many ways, zlib's own among them.
    except Exception as error:
        raise ValueError(f"dataset {path}: cannot be read as .npz ({error})") from None
    try:
        return _parts_of(arrays)
    except ValueError as error:
        raise ValueError(f"dataset {path}: {error}") from None


def _parts_of(arrays: dict[str, NDArray[Any]]) -> tuple[Part, Part | None, list[str], str]:
    if not {"x", "y"} <= set(arrays) or ("x_test" in arrays) != ("y_test" in arrays):
        raise ValueError(
            "needs x and y, and x_test and y_test or neither; has "
            f"{', '.join(sorted(arrays)) or 'nothing'}"
        )
    images, labels = _part_of(arrays, "x", "y")
    # A label that is far off would make a network with a million outputs.
    if labels.max() >= len(labels):
        row = int(labels.argmax())
        raise ValueError(
            f"y, row {row}: class {labels[row]} of {len(labels)} rows; number the classes from 0"
        )
    classes = [str(index) for index in range(int(labels.max()) + 1)]
    if "x_test" not in arrays:
        return (images, labels), None, classes, ""
    test = _part_of(arrays, "x_test", "y_test")
    if test[0].shape[1:] != images.shape[1:]:
        raise ValueError(
            f"images of x_test are {test[0].shape[1:]} (channels, height, width), those of x "
            f"{images.shape[1:]}"
        )
    unknown = np.flatnonzero(test[1] > labels.max())
    if len(unknown):
        raise ValueError(
            f"y_test, row {unknown[0]}: class {test[1][unknown[0]]}, but y has classes 0 to "
            f"{labels.max()}"
        )
    return (images, labels), test, classes, ""


def _part_of(arrays: dict[str, NDArray[Any]], x: str, y: str) -> Part:
    images, labels = arrays[x], arrays[y]
    if images.ndim not in (3, 4) or labels.ndim != 1:
        raise ValueError(
            f"{x} must be [n, height, width] with or without channels and {y} [n], got "
            f"{list(images.shape)} and {list(labels.shape)}"
        )
    if len(images) != len(labels) or len(labels) == 0:
        raise ValueError(
            f"{x} has {len(images)} rows, {y} {len(labels)}; they must be as many, and at least one"
        )
    if 0 in images.shape:
        raise ValueError(f"{x} has images without a pixel: {list(images.shape)}")
    if images.ndim == 3:
        images = images[:, None]
    elif images.shape[3] in (1, 3):
        images = images.transpose(0, 3, 1, 2)
    elif images.shape[1] not in (1, 3):
        raise ValueError(f"{x} must have 1 or 3 channels, second or last, got {list(images.shape)}")
    return _pixels(x, images), _classes(y, labels)


def _pixels(name: str, images: NDArray[Any]) -> Images:
    if images.dtype == np.uint8:
        return np.ascontiguousarray(images)
    if images.dtype.kind not in "fiu":
        raise ValueError(f"{name} must hold numbers, got {images.dtype}")
    highest = 1.0 if images.dtype.kind == "f" else 255
    # A NaN is in no range.
    inside = ((images >= 0) & (images <= highest)).all(axis=(1, 2, 3))
    if not inside.all():
        row = int(np.flatnonzero(~inside)[0])
        raise ValueError(f"{name}, row {row}: {images.dtype} pixels must be from 0 to {highest:g}")
    scaled = np.round(images * 255) if images.dtype.kind == "f" else images
    return np.ascontiguousarray(scaled.astype(np.uint8))


def _classes(name: str, labels: NDArray[Any]) -> Labels:
    if labels.dtype.kind not in "iuf":
        raise ValueError(f"{name} must hold classes from 0, got {labels.dtype}")
    # Above that the cast would turn them around.
    wrong = np.flatnonzero((labels < 0) | (labels != np.floor(labels)) | (labels >= 2**31))
    if len(wrong):
        row = int(wrong[0])
        raise ValueError(f"{name}, row {row}: a class is a whole number from 0, got {labels[row]}")
    return labels.astype(np.int64)


EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
"""Pillow's modes of at most 8 bits a channel: of others it would cut off what is above 255."""

GREY = ("1", "L", "LA")

BACKGROUNDS = {"white": 255, "black": 0, "grey": 128}
"""What is transparent is laid over the first of these before which no image vanishes."""


LeftOut = defaultdict[str, list[str]]
"""What lies in a dataset's folder and is no image of it, by kind."""

Labelled = tuple[list[Any], Labels]
"""The pictures of one part, grey, in colour, or one of both with an alpha channel."""


def _read_folder(path: Path) -> tuple[Part, Part | None, list[str], str]:
    """Read the images to train on, those to test on where there are some, and the classes.

    The last is what a person must know: what was left out, and over what transparent images were
    laid.
    """
    left_out = LeftOut(list)
    found = _subfolders(path, left_out)
    test = None
    # A train may be a vehicle.
    if "train" not in found or not _entries(path / "train", LeftOut(list))[0]:
        classes = found
        train = _read_classes(path, classes, left_out)
    else:
        if set(found) - {"train", "test"}:
            others = ", ".join(sorted(set(found) - {"train", "test"}))
            raise ValueError(
                f"dataset {path}: beside train and test there is {others}, which nothing would "
                "read: put its images into train, a part of which validates, or take the folder "
                "away"
            )
        classes = _subfolders(path / "train", left_out)
        train = _read_classes(path / "train", classes, left_out)
        if "test" in found:
            unknown = set(_subfolders(path / "test", left_out)) - set(classes)
            if unknown:
                raise ValueError(
                    f"dataset {path}: test has classes that train has not: {sorted(unknown)}"
                )
            test = _read_classes(path / "test", classes, left_out)
    both = [part for part in (train, test) if part is not None]
    background, notice = _background([picture for pictures, _ in both for picture in pictures])
    coloured = any(picture.mode.startswith("RGB") for picture in train[0])
    parts = [(_as_array(pictures, coloured, background), labels) for pictures, labels in both]
    if len(parts) == 2 and parts[1][0].shape[1:] != parts[0][0].shape[1:]:
        raise ValueError(
            f"dataset {path / 'test'}: images are {parts[1][0].shape[1:]} (channels, height, "
            f"width), those of train {parts[0][0].shape[1:]}"
        )
    kinds = [f"{len(names)} {kind} ({names[0]})" for kind, names in left_out.items()]
    notices = [f"left out: {', '.join(kinds)}"] if kinds else []
    if notice:
        notices.append(notice)
    return parts[0], parts[1] if len(parts) == 2 else None, classes, "; ".join(notices)


def _entries(path: Path, left_out: LeftOut) -> tuple[list[str], list[str]]:
    """The names of the folders and of the files in a folder; hidden ones, which tools leave, such
    as .ipynb_checkpoints, are left out."""
    folders, files = [], []
    try:
        for entry in sorted(path.iterdir()):
            if entry.name.startswith("."):
                left_out["hidden"].append(entry.name)
            elif entry.is_dir():
                folders.append(entry.name)
            elif entry.is_file():
                files.append(entry.name)
            else:
                what = NO_TARGET if entry.is_symlink() else "no file, no folder"
                raise ValueError(f"dataset {entry}: {what}; mend it or take it away")
    except OSError as error:
        raise ValueError(f"dataset {path}: cannot be read ({error.strerror})") from None
    return folders, files


def _subfolders(path: Path, left_out: LeftOut) -> list[str]:
    folders, files = _entries(path, left_out)
    if not folders:
        raise ValueError(f"dataset {path}: no folder in it; one folder of images a class is needed")
    if files:
        left_out["beside the folders of the classes"] += files
    return folders


def _read_classes(path: Path, classes: Sequence[str], left_out: LeftOut) -> Labelled:
    files: list[Path] = []
    labels: list[int] = []
    for index, name in enumerate(classes):
        if not (path / name).is_dir():
            continue
        deeper, here = _entries(path / name, left_out)
        if deeper:
            raise ValueError(
                f"dataset {path / name}: a folder, {deeper[0]}, in that of a class, which "
                "nothing would read: images lie in the folder of their class"
            )
        if not here:
            left_out["without an image"].append(f"{path.name}/{name}")
        files += [path / name / file for file in here]
        labels += [index] * len(here)
    if not files:
        raise ValueError(f"dataset {path}: no image in its folders")
    pictures: list[Any] = []
    for row, file in enumerate(files):
        try:
            pictures.append(_read(file))
        # A damaged image fails in many ways, a SyntaxError among them.
        except Exception as error:
            why = str(error) if isinstance(error, _RefusedError) else f"unreadable ({error})"
            raise ValueError(f"dataset {path}: {file}, row {row}: {why}") from None
        width, height = pictures[0].size
        if pictures[-1].size != pictures[0].size:
            raise ValueError(
                f"dataset {path}: {file}, row {row}: {pictures[-1].size[0]} x "
                f"{pictures[-1].size[1]} pixels, the first is {width} x {height}; all must be of "
                "one size"
            )
    return pictures, np.array(labels, np.int64)


class _RefusedError(ValueError):
    """An image that could be read, but not as one."""


def _read(file: Path) -> Any:
    """One image, upright, of mode L, LA, RGB or RGBA; with alpha only where that is not opaque."""
    from PIL import Image, ImageOps

    with Image.open(file) as picture:
        # A phone's MPO has a preview behind its photo.
        if getattr(picture, "n_frames", 1) > 1 and picture.format != "MPO":
            raise _RefusedError(f"{picture.n_frames} pictures in one file; give each a file")  # type: ignore[attr-defined]
        picture.load()
        if picture.mode not in EIGHT_BITS:
            raise _RefusedError(
                f"pixels of mode {picture.mode} are not of 8 bits; convert it to one of "
                f"{', '.join(EIGHT_BITS)}"
            )
        shades = "L" if picture.mode in GREY else "RGB"
        upright = ImageOps.exif_transpose(picture)
        if upright.has_transparency_data:
            # By way of RGBA: only there a colour that stands for transparency becomes it.
            whole = upright.convert("RGBA")
            if np.asarray(whole)[:, :, 3].min() < 255:
                return whole if shades == "RGB" else whole.convert("LA")
        return upright.convert(shades)


def _background(pictures: list[Any]) -> tuple[int, str]:
    """Over what transparent images are laid: white, unless what they show is white itself; the
    same in words, empty where none is transparent."""
    transparent = [picture for picture in pictures if picture.mode.endswith("A")]
    if not transparent:
        return 0, ""

    def vanishing(shade: int) -> int:
        return sum(np.ptp(_laid_over(shade, one), axis=(0, 1)).max() == 0 for one in transparent)

    name = min(BACKGROUNDS, key=lambda name: vanishing(BACKGROUNDS[name]))
    count = f"{len(transparent):,} of {len(pictures):,} images"
    return BACKGROUNDS[name], f"{count} are transparent in part, and were laid over {name}"


def _laid_over(shade: int, picture: Any) -> NDArray[np.uint8]:
    """`[height, width, channels]` of an image with alpha, before a background."""
    pixels = np.asarray(picture, np.float32)
    alpha = pixels[:, :, -1:] / 255
    return np.round(pixels[:, :, :-1] * alpha + shade * (1 - alpha)).astype(np.uint8)


def _as_array(pictures: list[Any], coloured: bool, background: int) -> Images:
    from PIL import Image

    shades, arrays = "RGB" if coloured else "L", []
    for picture in pictures:
        if picture.mode.endswith("A"):
            pixels = _laid_over(background, picture)
            picture = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0])
        arrays.append(np.asarray(picture.convert(shades), np.uint8))
    images = np.stack(arrays)
    images = images.transpose(0, 3, 1, 2) if coloured else images[:, None]
    return np.ascontiguousarray(images)
