"""A person's own images: an `.npz` file, or a folder of images by class, as viewers show it."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainables.data.splits import Images, Labels, RawDataset, with_test_set

Part = tuple[Images, Labels]


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


EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
"""Pillow's modes of at most 8 bits a channel: of others it would cut off what is above 255."""

GREY = ("1", "L", "LA")

BACKGROUNDS = {"white": 255, "black": 0, "grey": 128}
"""What is transparent is laid over the first of these before which no image vanishes."""


@dataclass
class LeftOut:
    """What lies in a dataset's folder and is no image of it, by kind."""

    found: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def notice(self) -> str:
        """How much of each kind, with an example; empty where nothing is."""
        kinds = [f"{len(names)} {kind} ({names[0]})" for kind, names in self.found.items()]
        return f"left out: {', '.join(kinds)}" if kinds else ""


@dataclass(frozen=True)
class Labelled:
    """The pictures of one part, grey, in colour, or one of both with an alpha channel."""

    path: Path
    pictures: list[Any]
    labels: Labels


def read_folder(path: Path) -> tuple[Part, Part | None, list[str], str]:
    """Read the images to train on, those to test on where there are some, and the classes.

    The last is what a person must know: what was left out, and over what transparent images were
    laid.

    Raises:
        ValueError: a file or folder that cannot be read, or that nothing would read; names it.
    """
    left_out = LeftOut()
    found = _subfolders(path, left_out)
    test = None
    # A train may be a vehicle.
    if "train" not in found or not _entries(path / "train", LeftOut())[0]:
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
    background, notice = _background([one for part in both for one in part.pictures])
    coloured = any(picture.mode.startswith("RGB") for picture in train.pictures)
    parts = [_as_arrays(part, coloured, background) for part in both]
    if len(parts) == 2 and parts[1][0].shape[1:] != parts[0][0].shape[1:]:
        raise ValueError(
            f"dataset {path / 'test'}: images are {parts[1][0].shape[1:]} (channels, height, "
            f"width), those of train {parts[0][0].shape[1:]}"
        )
    notices = "; ".join(note for note in (left_out.notice(), notice) if note)
    return parts[0], parts[1] if len(parts) == 2 else None, classes, notices


def _entries(path: Path, left_out: LeftOut) -> tuple[list[str], list[str]]:
    """The names of the folders and of the files in a folder; hidden ones, which tools leave, such
    as .ipynb_checkpoints, are left out.

    Raises:
        ValueError: one that cannot be read, or is neither.
    """
    folders, files = [], []
    try:
        for entry in sorted(path.iterdir()):
            if entry.name.startswith("."):
                left_out.found["hidden"].append(entry.name)
            elif entry.is_dir():
                folders.append(entry.name)
            elif entry.is_file():
                files.append(entry.name)
            else:
                what = "a link that leads nowhere" if entry.is_symlink() else "no file, no folder"
                raise ValueError(f"dataset {entry}: {what}; mend it or take it away")
    except OSError as error:
        raise ValueError(f"dataset {path}: cannot be read ({error.strerror})") from None
    return folders, files


def _subfolders(path: Path, left_out: LeftOut) -> list[str]:
    folders, files = _entries(path, left_out)
    if not folders:
        raise ValueError(f"dataset {path}: no folder in it; one folder of images a class is needed")
    if files:
        left_out.found["beside the folders of the classes"] += files
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
            left_out.found["without an image"].append(f"{path.name}/{name}")
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
    return Labelled(path, pictures, np.array(labels, np.int64))


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


def _background(pictures: Iterable[Any]) -> tuple[int, str]:
    """Over what transparent images are laid: white, unless what they show is white itself; the
    same in words, empty where none is transparent."""
    pictures = list(pictures)
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


def _as_arrays(part: Labelled, coloured: bool, background: int) -> Part:
    from PIL import Image

    shades, arrays = "RGB" if coloured else "L", []
    for picture in part.pictures:
        if picture.mode.endswith("A"):
            pixels = _laid_over(background, picture)
            picture = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0])
        arrays.append(np.asarray(picture.convert(shades), np.uint8))
    images = np.stack(arrays)
    images = images.transpose(0, 3, 1, 2) if coloured else images[:, None]
    return np.ascontiguousarray(images), part.labels
